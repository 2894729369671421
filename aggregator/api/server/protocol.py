"""HTTP/1.1 by uvicorn and httptools, with limits on what a client sends, leaves unread or delays.

Uvicorn limits neither the size of a request's head nor the time it takes, and a single byte stops its keep-alive timer
until the next response. Connections have no timers of their own here: `Server` calls `sweep` of every connection once a
second, and a request that arrives in one piece costs three comparisons.
"""

import asyncio
from http import HTTPStatus

from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from aggregator.api.routing.responses import refusal_of
from aggregator.api.routing.stream_end import StreamEnd, announced
from aggregator.api.server.direct_write import header_lines
from aggregator.api.server.slow_readers import ReadProgress, State
from aggregator.api.server.taskless import Taskless
from aggregator.models import encode

_CHUNK = 16 * 1024  # bytes parsed at a time; the loop reads up to 256 KB, which could exceed a limit by that much
_MAX_PIPELINED = 1000  # unanswered requests of one connection, at about 3 KB each
_MAX_DISCARDED = 4 * 1024 * 1024  # bytes read from a refused client, so that its kernel does not drop the refusal
_MAX_WEBSOCKET_HEADERS = 120  # of the request that opens a WebSocket; websockets accepts 128
_MAX_WEBSOCKET_LINE = 8000  # bytes of each of these headers and of the URL; websockets accepts 8192
_LAST_REQUEST_SECONDS = 1.0  # in which idle clients may still send a request after the server was told to stop


class _DiscardingParser:
    """Replaces the parser of a connection that was refused."""

    def feed_data(self, data: bytes) -> None:
        """Discard the data."""


# Called as functions because super() would double the cost of a request that arrives in one piece.
_parse = HttpToolsProtocol.data_received
_take_body = HttpToolsProtocol.on_body
_start = Taskless._start_asgi_task  # noqa: SLF001  # a method of our mixin, of which this class is made


class Protocol(ReadProgress, Taskless):
    """One HTTP connection."""

    server_state: State
    _unfinished = 0  # bytes of the head or body that has begun and not ended
    _unfinished_of: object = None  # the request they belong to, as its scope
    _has_body_come = False  # since the limits were last checked
    _refused = False
    _upgraded = False
    _running: RequestResponseCycle | None = None  # the request being answered; `cycle` is the one read last
    _expected: object = None  # what the client has to send (compared by identity)
    _expected_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Accept the connection, or refuse it with 503 if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.server_state.limits.connections:
            self._count("too_many")
            transport.write(self._refusal(503, "Too many connections", b"retry-after: 1\r\n"))
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the waiting requests and disconnect the running one.

        Uvicorn disconnects only the request read last, which is another one if requests are pipelined.
        """
        super().connection_lost(exc)
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            _disconnect(self._running)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]  # our ASGIApp is Starlette's, uvicorn's has names of its own
        self._running = cycle
        _start(self, cycle, app)

    def data_received(self, data: bytes) -> None:
        """Parse the data; check the limits only if it leaves a request unfinished."""
        if len(data) > _CHUNK:
            self._receive_in_chunks(data)
            return
        before = self.cycle
        self._is_first_in_packet = True
        _parse(self, data)
        if self._held is not None:
            self._begin_held()
        cycle = self.cycle
        if cycle is before or cycle.more_body or cycle.scope is not self.scope:
            self._check_unfinished(len(data) if cycle is before else 0)

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn returns nothing, asyncio takes a bool
        """Return whether to keep the connection of a client that has ended its side, as `nc -N` does.

        It is kept for responses to whole requests, and closed after the last one. A stream ends: a client that has left
        looks the same, and would be noticed only when a write fails.
        """
        if not self._is_answering or self.cycle.more_body or self._is_in_head or self._stream is not None:
            return False
        self.cycle.keep_alive = False
        return True

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to the WebSocket protocol, or refuse a head larger than `websockets` accepts.

        That library would end the connection without a response.
        """
        sizes = [len(name) + len(value) for name, value in self.scope["headers"]]
        if len(sizes) > _MAX_WEBSOCKET_HEADERS or max([len(self.url), *sizes]) > _MAX_WEBSOCKET_LINE:
            bounds = f"{_MAX_WEBSOCKET_HEADERS} headers of {_MAX_WEBSOCKET_LINE} bytes"
            self._refuse("head", 431, f"A WebSocket may begin with {bounds}")
            return
        self._upgraded = True
        super().handle_websocket_upgrade()

    def _receive_in_chunks(self, data: bytes) -> None:
        for first in range(0, len(data), _CHUNK):
            self.data_received(data[first : first + _CHUNK])
            if self.transport.is_closing() or self._upgraded:
                return  # uvicorn drops what a client sends before its WebSocket is accepted
            if len(self.pipeline) > _MAX_PIPELINED:
                self._count("pipelined")
                self.transport.abort()
                return

    def _check_unfinished(self, size: int) -> None:
        """Refuse a head, body or trailers beyond the limit; `size` is how many bytes of it have just arrived."""
        # A handler that bounds the body itself sees no trailers, so data without a part of that body counts.
        is_bounded, has_come, self._has_body_come = self._is_reading_body, self._has_body_come, False
        if self._upgraded or (is_bounded and has_come):
            self._unfinished = 0
            return
        self._unfinished = self._unfinished + size if size and self._unfinished_of is self.scope else size
        self._unfinished_of = self.scope
        if self._refused:
            if self._unfinished > _MAX_DISCARDED:
                self.transport.abort()
        elif self._unfinished > self.server_state.limits.head:
            self._unfinished = 0
            if is_bounded:
                self._refuse("head", 400, f"The trailers are larger than {self.server_state.limits.head} bytes")
            elif self._is_in_head:
                self._refuse("head", 431, f"The head is larger than {self.server_state.limits.head} bytes")
            else:
                self._refuse("body", 413, f"The body is larger than {self.server_state.limits.head} bytes")

    def send_400_response(self, msg: str) -> None:
        """Refuse data that is not HTTP."""
        self._refuse("malformed", 400, msg.rstrip("."))

    def on_body(self, body: bytes) -> None:
        """Take a part of a body, and record that it has come."""
        self._has_body_come = True
        _take_body(self, body)

    def on_chunk_header(self) -> None:
        """Let the headers that follow be trailers: the scope keeps those of the head, which proxies have looked at."""
        if not self._is_in_head:
            self.headers = []

    def resume_writing(self) -> None:
        """Record that the client has read nearly all of the write buffer."""
        self._unsent = 0
        super().resume_writing()

    def sweep(self, now: float) -> None:
        """End the connection if its client has kept it waiting for too long; `now` is in seconds of any clock."""
        self._release_held()
        if self._stream is not None:
            self._shrink_send_buffer()
        if self._is_stalled(now):
            self._end_stalled(now)
            return
        expected = None if self._is_answering else self._expected_of_client
        if expected is not self._expected:
            self._expected, self._expected_since = expected, now
        elif expected is _DiscardingParser:
            if now - self._expected_since >= self.server_state.limits.linger:
                self.transport.abort()
        elif expected is not None and now - self._expected_since >= self.server_state.limits.request:
            self._refuse("slow", 408, f"No whole request within {self.server_state.limits.request:g} s")

    def shutdown(self) -> None:
        """End the connection after its current response; an idle one after one more second or one more response.

        Closing idle connections at once would lose requests that are on their way, of clients that send one request
        after the other.
        """
        self._release_held()
        if self._stream is not None:
            self.loop.call_later(_LAST_REQUEST_SECONDS, self.transport.abort)  # if its last words are not read
        if self._is_answering or self._refused:
            super().shutdown()
        else:
            self.loop.call_later(_LAST_REQUEST_SECONDS, super().shutdown)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _is_reading_body(self) -> bool:
        """Whether a handler that bounds its body itself is answering the request that is being received."""
        is_body = self._is_answering and not self._is_in_head and not self._refused
        return is_body and self.scope["path"] in self.server_state.limits.bodies

    @property
    def _is_body_awaited(self) -> bool:
        """Whether the request being answered is the one being received, and its response has not begun."""
        cycle = self.cycle
        is_next = self._is_answering and not self.pipeline and not self._is_in_head
        return is_next and cycle.more_body and not cycle.response_started and not cycle.disconnected

    @property
    def _stream(self) -> StreamEnd | None:
        """The end of the stream being sent; None if the response is no stream."""
        if self._running is None or self._running.response_complete:
            return None
        return announced(self._running.scope["state"])

    @property
    def _is_in_head(self) -> bool:
        """Whether a request's head has begun and not ended."""
        return self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)

    @property
    def _expected_of_client(self) -> object:
        """Data due from the client: the rest of a request, its first one, or the end of a refused connection.

        None while the client may be idle; for that uvicorn has a timer.
        """
        if self._refused:
            return _DiscardingParser
        if self.timeout_keep_alive_task is not None:
            return None
        return self if self.scope is None else self.scope

    def _end_stalled(self, now: float) -> None:
        """End a connection whose client does not read; a stream gets its last words first."""
        running, stream = self._running, self._stream
        if stream is None or not stream.reason:
            self._count("unread")
        if running is None or stream is None or stream.reason:
            self.transport.abort()
            return
        stream.reason = "slow"
        last = stream.last_chunk
        self.transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(last), last) if running.chunked_encoding else last)
        self._linger(now)
        _disconnect(running)
        self.flow.resume_writing()  # the stream's task may be waiting for it

    def _refuse(self, reason: str, status: int, message: str) -> None:
        """Send a refusal, unless another response is being sent, and end the connection.

        What the client still sends is read and discarded for a moment: if the connection closed at once, the client's
        kernel would drop the refusal unread.
        """
        if self._refused:
            return
        self._count(reason)
        self._refused = True
        self.parser = _DiscardingParser()  # type: ignore[assignment]  # no other method of it is called any more
        self._unset_keepalive_if_required()
        if status == HTTPStatus.BAD_REQUEST and self._is_body_awaited:  # the rest of the body cannot be told
            self.transport.write(self._refusal(status, message))
            self._held = None
            _disconnect(self.cycle)
            self.cycle.response_complete = True  # so that `sweep` ends the connection
        elif self._is_answering:
            self.cycle.keep_alive = False  # uvicorn ends the connection after this response
            return
        elif self._is_in_head or status == HTTPStatus.BAD_REQUEST:  # data that is no HTTP has no head
            self.transport.write(self._refusal(status, message))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _refusal(self, status: int, message: str, more_headers: bytes = b"") -> bytes:
        """Return a whole response in the form of all refusals."""
        body = encode(refusal_of(status, message))
        return b"".join(
            [
                STATUS_LINE[status],
                header_lines(self.server_state.default_headers),
                b"content-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\n",
                more_headers,
                b"content-length: %d\r\n\r\n" % len(body),
                body,
            ]
        )

    def _count(self, reason: str) -> None:
        self.server_state.connections_cut.labels(reason).inc()


def _disconnect(cycle: RequestResponseCycle) -> None:
    """Make the application's `receive` return http.disconnect."""
    cycle.disconnected = True
    cycle.message_event.set()
