"""HTTP/1.1 by uvicorn and httptools, with an end to what a client may send, leave unread or keep waiting for.

Uvicorn bounds neither the size of a request's head nor the time it takes, and a single byte stops its keep-alive timer
for good. Here a connection keeps no timer of its own: `Server` sweeps over all of them once a second, and a request
that arrives in one piece costs three comparisons.
"""

import asyncio

from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from aggregator.api.server.direct_write import lines, offer
from aggregator.api.server.slow_readers import SlowReader, State
from aggregator.api.stream_end import StreamEnd, announced
from aggregator.models import encode

_PIECE = 16 * 1024  # the loop reads up to 256 KB at once: looked at in pieces, so that a bound means what it says
_MOST_PIPELINED = 1000  # requests of one connection waiting for their turn, at some 3 KB each
_MOST_IGNORED = 4 * 1024 * 1024  # bytes still read from who has been refused, so that the refusal arrives
_MOST_HEADERS = 120  # of a request that becomes a WebSocket, each at most so long
_LONGEST_LINE = 8000
_LAST_CALL = 1.0  # seconds in which idle clients may still ask once we have been told to stop


class _Deaf:
    """Stands in for the parser of a connection that has been refused."""

    def feed_data(self, data: bytes) -> None:
        """Ignore it."""


# By name, as super() costs as much as all that is done here for a request that comes in one piece.
_parse = HttpToolsProtocol.data_received
_start = HttpToolsProtocol._start_asgi_task  # noqa: SLF001  # there is no other place to learn who is being answered


class Protocol(SlowReader, HttpToolsProtocol):
    """One connection."""

    server_state: State
    _unfinished = 0  # bytes of a head or body that has not ended yet, and of which request
    _unfinished_of: object = None
    _refused = False
    _upgraded = False
    _running: RequestResponseCycle | None = None  # the request being answered; `cycle` is the last one read
    _awaited: object = None  # what the client owes us, by identity, since when
    _awaited_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take the connection, or turn it away where there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.server_state.limits.connections:
            self._count("too_many")
            transport.write(self._refusal(503, "Too many connections", b"retry-after: 1\r\n"))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the requests; uvicorn forgets to tell the one being answered, where others wait behind it."""
        super().connection_lost(exc)
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            _disconnect(self._running)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]  # likewise
        self._running = cycle
        offer(cycle, self.server_state.dated)
        _start(self, cycle, app)  # type: ignore[arg-type]  # the same in Starlette's words

    def data_received(self, data: bytes) -> None:
        """Parse what has come; go on from here only where that leaves something unfinished."""
        if len(data) > _PIECE:
            self._in_pieces(data)
            return
        before = self.cycle
        _parse(self, data)
        cycle = self.cycle
        if cycle is before or cycle.more_body or cycle.scope is not self.scope:
            self._look_at_rest(len(data) if cycle is before else 0)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over, unless the library that takes it would find its head too large, and say nothing."""
        sizes = [len(name) + len(value) for name, value in self.scope["headers"]]
        if len(sizes) > _MOST_HEADERS or max([len(self.url), *sizes]) > _LONGEST_LINE:
            self._refuse("head", 431, f"A WebSocket may begin with {_MOST_HEADERS} headers of {_LONGEST_LINE} bytes")
            return
        self._upgraded = True
        super().handle_websocket_upgrade()

    def _in_pieces(self, data: bytes) -> None:
        for first in range(0, len(data), _PIECE):
            self.data_received(data[first : first + _PIECE])
            if self.transport.is_closing() or self._upgraded:
                return  # what a client says before it was let in is lost on uvicorn
            if len(self.pipeline) > _MOST_PIPELINED:
                self._count("pipelined")
                self.transport.abort()
                return

    def _look_at_rest(self, size: int) -> None:
        """Refuse a head or a body that has grown beyond its bound; `size` is how much of it has just come."""
        if self._upgraded:
            return
        self._unfinished = self._unfinished + size if size and self._unfinished_of is self.scope else size
        self._unfinished_of = self.scope
        if self._refused:
            if self._unfinished > _MOST_IGNORED:
                self.transport.abort()
        elif self._unfinished > self.server_state.limits.head:
            self._unfinished = 0
            if self._in_head:
                self._refuse("head", 431, f"The head is larger than {self.server_state.limits.head} bytes")
            else:
                self._refuse("body", 413, f"The body is larger than {self.server_state.limits.head} bytes")

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse("malformed", 400, msg.rstrip("."))

    def resume_writing(self) -> None:
        """Note that the client has read nearly all there was."""
        self._unsent = 0
        super().resume_writing()

    def sweep(self, now: float) -> None:
        """Cut the connection off if its client has kept it waiting for too long; `now` in seconds of any clock."""
        if self._stream is not None:
            self._narrow()
        if self._is_left_unread(now):
            self._let_go(now)
            return
        awaited = None if self._answering else self._owed
        if awaited is not self._awaited:
            self._awaited, self._awaited_since = awaited, now
        elif awaited is _Deaf:
            if now - self._awaited_since >= self.server_state.limits.linger:
                self.transport.abort()
        elif awaited is not None and now - self._awaited_since >= self.server_state.limits.request:
            self._refuse("slow", 408, f"No whole request within {self.server_state.limits.request:g} s")

    def shutdown(self) -> None:
        """End as soon as nothing is owed. Who may be about to ask gets a second for it, and that answer is the last.

        Closing sooner would lose the requests of those who ask one after the other, as theirs cross our closing.
        """
        if self._stream is not None:
            self.loop.call_later(_LAST_CALL, self.transport.abort)  # where its last words are not read
        if self._answering or self._refused:
            super().shutdown()
        else:
            self.loop.call_later(_LAST_CALL, super().shutdown)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _stream(self) -> StreamEnd | None:
        """What is being answered, if it is a stream."""
        if self._running is None or self._running.response_complete:
            return None
        return announced(self._running.scope["state"])

    @property
    def _in_head(self) -> bool:
        """Whether the client is in the middle of a request's head."""
        return self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)

    @property
    def _owed(self) -> object:
        """What the client has to send or do, or None while it may be idle, for which uvicorn has a timer."""
        if self._refused:
            return _Deaf
        if self.timeout_keep_alive_task is not None:
            return None
        return self if self.scope is None else self.scope

    def _let_go(self, now: float) -> None:
        """Cut off who does not read. A stream is ended with a word, for a client that comes round to it yet."""
        running, stream = self._running, self._stream
        if running is None or stream is None:
            self._count("unread")
        if running is None or stream is None or stream.reason:
            self.transport.abort()
            return
        self._count("unread")
        stream.reason = "slow"
        self.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(stream.words), stream.words))
        self._linger(now)
        _disconnect(running)
        self.flow.resume_writing()  # the stream may be waiting for it

    def _refuse(self, reason: str, status: int, message: str) -> None:
        """Say why, unless that would go into another answer, and hang up.

        What the client still sends is read and ignored for a moment: closing at once would make its kernel drop the
        refusal unread.
        """
        if self._refused:
            return
        self._count(reason)
        self._refused = True
        self.parser = _Deaf()  # type: ignore[assignment]  # all of it that is still called
        self._unset_keepalive_if_required()
        if self._answering:
            self.cycle.keep_alive = False  # that answer is the last
            return
        if self._in_head or status == 400:  # noqa: PLR2004  # what is no HTTP has no head
            self.transport.write(self._refusal(status, message))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _refusal(self, status: int, message: str, more: bytes = b"") -> bytes:
        """Return a whole answer in the form of all refusals."""
        body = encode({"msg": message})
        dated = lines(self.server_state.default_headers)
        return b"".join(
            [
                STATUS_LINE[status],
                dated,
                b"content-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n",
                more,
                b"content-length: %d\r\n\r\n" % len(body),
                body,
            ]
        )

    def _count(self, reason: str) -> None:
        self.server_state.cut.labels(reason).inc()


def _disconnect(cycle: RequestResponseCycle) -> None:
    """Let the application know that its client is gone."""
    cycle.disconnected = True
    cycle.message_event.set()
