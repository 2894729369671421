"""Writes a whole prepared response to the connection in one call, past uvicorn's `send`.

`send` checks every header against two regular expressions and writes head and body apart. The fast path needs neither:
its headers hold nothing that a client has sent, and they are rendered once for all requests of the same second.

The server puts a `DirectWrite` into the scope of each request (`offer_direct_write`); the fast path takes it out
(`take_direct_write`). These two functions are all that the application knows of uvicorn's internals.

`Respond` and a `Handler` serve requests without a task: see `taskless.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from aggregator.api.routing.replies import Header, Reply

# Takes status, rendered headers (with the blank line that ends them) and body. Returns False if nothing was written.
DirectWrite = Callable[[int, bytes, bytes], bool]

# Serves a request by its head, at once, with this DirectWrite. Returns False, with nothing written, if the application
# must serve the request: for one with a body too.
Respond = Callable[[Mapping[str, Any], DirectWrite], bool]

# Takes the response of a request; None if the application must serve the request. To be called once, from the loop.
Answer = Callable[[Reply | None], None]

DIRECT_WRITE = "aggregator.direct_write"  # its key in scope["state"]


# Takes the body of a request, and what answers it later. Returns False, and does nothing, if the application must serve
# the request. After True, the answer is given once, but not before this call has returned.
Take = Callable[[bytes, Answer], bool]


class Handler(Protocol):
    """Serves requests for `path`, whose bodies are small and of which the answer is known later."""

    path: str

    def taker(self, scope: Mapping[str, Any]) -> Take | None:
        """Return what takes the body of a request for `path`, by its head; None if the application must serve it.

        The body that the head announces must be smaller than uvicorn reads without a pause (64 KiB).
        """


class DefaultHeaders:
    """The headers that uvicorn adds to every response, rendered as bytes.

    Uvicorn makes a new list of them once a second, for the date; they are rendered again when the list is another one.
    """

    def __init__(self) -> None:
        self._rendered: tuple[object, bytes | None] = (None, None)

    def render(self, headers: Sequence[Header]) -> bytes | None:
        """Return the header lines; None if there is a `connection` header, which ends the connection."""
        if headers is not self._rendered[0]:
            ends_connection = any(name == b"connection" for name, _ in headers)
            self._rendered = (headers, None if ends_connection else header_lines(headers))
        return self._rendered[1]


def header_lines(headers: Sequence[Header]) -> bytes:
    """Return headers in the form of HTTP/1.1."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def offer_direct_write(cycle: RequestResponseCycle, default_headers: DefaultHeaders) -> None:
    """Put a DirectWrite for this request into its scope."""
    cycle.scope["state"][DIRECT_WRITE] = partial(write_response, cycle, default_headers)


def take_direct_write(scope: Scope) -> DirectWrite | None:
    """Remove the DirectWrite from the scope and return it; None when the server offers none.

    It refers to the scope: left inside, the two form a reference cycle, which only the garbage collector frees.
    """
    write: DirectWrite | None = scope["state"].pop(DIRECT_WRITE, None) if "state" in scope else None
    return write


def write_response(
    cycle: RequestResponseCycle, default_headers: DefaultHeaders, status: int, head: bytes, body: bytes
) -> bool:
    """Write the response and finish the request as uvicorn's `send` does.

    Returns False, and writes nothing, in the cases that need `send`: the client has not read earlier responses or has
    left, or this is the connection's last response, or the response has begun already.
    """
    first = default_headers.render(cycle.default_headers)
    if first is None or cycle.flow.write_paused or cycle.disconnected or not cycle.keep_alive or cycle.response_started:
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join((STATUS_LINE[status], first, head, body)))
    cycle.message_event.set()
    cycle.on_response()
    return True
