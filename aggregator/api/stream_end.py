"""The end of a stream, shared by the route and the server's connection in the scope of the request."""

from collections.abc import Mapping, MutableMapping
from typing import Any

import msgspec

SLOW = "Read too slowly"
_NAME = "stream"


class StreamEnd(msgspec.Struct):
    """If the connection must be closed, the server sends `last_chunk` as the end of the body and sets `reason`."""

    last_chunk: bytes = b""
    reason: str = ""


def announce(scope: MutableMapping[str, Any], last_chunk: bytes = b"") -> StreamEnd:
    """Mark the response as a stream for the server, and return the shared state."""
    ending = StreamEnd(last_chunk)
    scope.setdefault("state", {})[_NAME] = ending
    return ending


def announced(state: Mapping[str, Any]) -> StreamEnd | None:
    """Return the shared state of a stream; None if the response is not a stream."""
    found: StreamEnd | None = state.get(_NAME)
    return found
