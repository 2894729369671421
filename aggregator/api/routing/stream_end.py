"""The refusal and the end of a stream. The route and the server's connection share the end in the request's scope."""

from collections.abc import Mapping, MutableMapping
from typing import Any

import msgspec

from aggregator.api.routing.responses import RETRY_SOON, STOPPING, Code, Refusal, Refused, refuse

SLOW = "Read too slowly"
_NAME = "stream"


class StreamEnd(msgspec.Struct):
    """If the connection must be closed, the server sends `last_chunk` as the end of the body and sets `reason`."""

    last_chunk: bytes = b""
    reason: str = ""


def refuse_stream(why: str) -> Refused:
    """Return the exception that becomes the response 503 to a stream that the fan-out refuses."""
    return refuse(503, STOPPING if why == STOPPING.msg else Refusal(why, Code.TOO_MANY_STREAMS), RETRY_SOON)


def announce(scope: MutableMapping[str, Any], last_chunk: bytes = b"") -> StreamEnd:
    """Mark the response as a stream for the server, and return the shared state."""
    ending = StreamEnd(last_chunk)
    scope.setdefault("state", {})[_NAME] = ending
    return ending


def announced(state: Mapping[str, Any]) -> StreamEnd | None:
    """Return the shared state of a stream; None if the response is not a stream."""
    found: StreamEnd | None = state.get(_NAME)
    return found
