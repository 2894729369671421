"""WebSockets by uvicorn and websockets, with limits on what a client sends, leaves unread or delays."""

import asyncio
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Response
from websockets.server import ServerProtocol
from websockets.typing import StatusLike

from aggregator.api.routing.responses import refusal_of
from aggregator.api.routing.stream_end import SLOW, announced
from aggregator.api.server.slow_readers import ReadProgress, State
from aggregator.models import encode

PING_SECONDS = 15.0  # between two pings, and for the answer to one
LARGEST_MESSAGE = 64 * 1024  # bytes: a thousand of the longest symbols
_MAX_QUEUED = 1000  # messages, or frames of one message, that the application has not received
_MAX_UNSENT = 1024 * 1024  # bytes, answers to pings included, that the client has not read
_INVALID_DATA = 1007  # close codes of RFC 6455
_POLICY_VIOLATION = 1008
_TOO_BIG = 1009


class _Handshake(ServerProtocol):
    """The protocol of one connection, without compression; its refusals have the form of all others."""

    def reject(self, status: StatusLike, text: str) -> Response:
        """Return the response to a handshake that is invalid."""
        response = super().reject(status, text)
        body = encode(refusal_of(response.status_code, text.partition("\n")[0].rstrip(".")))
        for name, value in (("Content-Length", str(len(body))), ("Content-Type", "application/json")):
            del response.headers[name]  # without it, the header would be there twice
            response.headers[name] = value
        response.headers["Cache-Control"] = "no-store"
        response.body = body
        return response


class WebSocketProtocol(ReadProgress, WebSocketsSansIOProtocol):
    """One WebSocket connection, from the request that opens it on."""

    server_state: State

    def __init__(
        self,
        config: Config,
        server_state: State,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.server_state = server_state
        self._opened_at = self.loop.time()
        self.conn = _Handshake(max_size=config.ws_max_size, logger=self.logger)

    def data_received(self, data: bytes) -> None:
        """Receive data; end the connection if the client sends faster than the application receives."""
        super().data_received(data)
        if self.queue.qsize() > _MAX_QUEUED or len(self.frames) > _MAX_QUEUED:
            self._record_reason("flood")
            self._close(_TOO_BIG, "Too much at once")
        elif self.transport.get_write_buffer_size() > _MAX_UNSENT:
            self._count_unread()
            self.transport.abort()

    def send_receive_event_to_app(self) -> None:
        """Give a whole message to the application; close the connection after a text that is no UTF-8.

        Uvicorn does that, too, but logs an error with a traceback: any client could fill the log.
        """
        if self.curr_msg_data_type == "text" and not _is_utf_8(b"".join(self.frames)):
            self.frames = []
            self._close(_INVALID_DATA, "Not UTF-8")
            return
        super().send_receive_event_to_app()

    async def send(self, message: ASGISendEvent) -> None:
        """Send the message; after a refusal, mark the handshake as complete.

        Uvicorn does not, and would log an error: that the application returned without completing the handshake.
        """
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def resume_writing(self) -> None:
        """Record that the client has read nearly all of the write buffer."""
        self._unsent = 0
        super().resume_writing()

    def sweep(self, now: float) -> None:
        """End the connection if its client has kept it waiting for too long; `now` is the event loop's time."""
        self._shrink_send_buffer()
        if self._is_stalled(now):
            if self.close_sent or self.transport.is_closing():
                self.transport.abort()  # the client has not read the close frame in time
            else:
                self._count_unread()
                self._close(_POLICY_VIOLATION, SLOW)
                self._linger(now)
        elif not self.handshake_complete and now - self._opened_at >= self.server_state.limits.request:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """End a connection whose client does not answer a ping."""
        self._record_reason("silent")
        super().keepalive_timeout()

    def shutdown(self) -> None:
        """Send a close frame and end the connection, also if the client does not read the frame."""
        self.loop.call_later(self.server_state.limits.linger, self.transport.abort)
        super().shutdown()

    def _count_unread(self) -> None:
        self.server_state.connections_cut.labels("unread").inc()
        self._record_reason("slow")

    def _close(self, code: int, reason: str) -> None:
        """Send a close frame, disconnect the application, and close the transport."""
        if self.close_sent or self.transport.is_closing():
            return
        self.stop_keepalive()
        self.conn.fail(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = self.disconnected = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.writable.set()  # the application may be waiting for it
        self.transport.close()

    def _record_reason(self, reason: str) -> None:
        """Set the reason under which the stream counts its end in the metrics."""
        stream = announced(self.scope["state"])
        if stream is not None:
            stream.reason = reason


def _is_utf_8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
