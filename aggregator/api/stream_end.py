"""What a stream and the connection it is on tell each other about its end, in the request's scope."""

from collections.abc import Mapping, MutableMapping
from typing import Any

import msgspec

SLOW = "Read too slowly"
_NAME = "stream"


class StreamEnd(msgspec.Struct):
    """If the connection has to hang up, it says `words` (part of the body), and the stream is told the `reason`."""

    words: bytes = b""
    reason: str = ""


def announce(scope: MutableMapping[str, Any], words: bytes = b"") -> StreamEnd:
    """Tell the connection that this answer is a stream."""
    ending = StreamEnd(words)
    scope.setdefault("state", {})[_NAME] = ending
    return ending


def announced(state: Mapping[str, Any]) -> StreamEnd | None:
    """Return what was announced of the answer to the request of this state; None when it is no stream."""
    found: StreamEnd | None = state.get(_NAME)
    return found
