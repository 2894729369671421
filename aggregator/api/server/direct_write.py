"""A whole answer in one write: what uvicorn's `send` would do after looking at each header by two expressions."""

from collections.abc import Sequence
from functools import partial

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from aggregator.api.fast_path import AT_ONCE
from aggregator.api.price_bodies import Header


class Dated:
    """The headers that uvicorn adds to every answer, as they are sent; made once a second, as it makes them."""

    def __init__(self) -> None:
        self._made: tuple[object, bytes | None] = (None, None)

    def lines(self, headers: Sequence[Header]) -> bytes | None:
        """Return them; None once they end the connection."""
        if headers is not self._made[0]:
            ends = any(name == b"connection" for name, _ in headers)
            self._made = (headers, None if ends else lines(headers))
        return self._made[1]


def lines(headers: Sequence[Header]) -> bytes:
    """Return headers as they are sent."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def offer(cycle: RequestResponseCycle, dated: Dated) -> None:
    """Let the application answer this request so."""
    cycle.scope["state"][AT_ONCE] = partial(_answer, cycle, dated)


def _answer(cycle: RequestResponseCycle, dated: Dated, status: int, head: bytes, body: bytes) -> bool:
    """Send it; False where there is more to it: a client that does not read, a last answer. Those go the usual way."""
    first = dated.lines(cycle.default_headers)
    if first is None or cycle.flow.write_paused or cycle.disconnected or not cycle.keep_alive or cycle.response_started:
        return False
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join((STATUS_LINE[status], first, head, body)))
    cycle.message_event.set()
    cycle.on_response()
    return True
