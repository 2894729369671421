"""WebSockets by uvicorn and websockets, with an end to what a client may send, leave unread or keep waiting for."""

import asyncio
from typing import Any

from uvicorn._types import ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from aggregator.api.server.slow_readers import SlowReader, State
from aggregator.api.stream_end import SLOW, announced

PING_SECONDS = 15.0  # between pings, and for the answer to one
LARGEST_MESSAGE = 64 * 1024  # bytes: a thousand of the longest symbols
_MOST_AHEAD = 1000  # messages, or pieces of one, that have not been looked at
_MOST_UNSENT = 1024 * 1024  # bytes of answers, to pings as well, that a client has let wait
_SLOW = 1008
_FLOOD = 1009


class WebSocketProtocol(SlowReader, WebSocketsSansIOProtocol):
    """One connection, from the request that became a WebSocket on."""

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
        self._begun = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Take what has come, but for more than anyone needs to say."""
        super().data_received(data)
        if self.queue.qsize() > _MOST_AHEAD or len(self.frames) > _MOST_AHEAD:
            self._record_reason("flood")
            self._let_go(_FLOOD, "Too much at once")
        elif self.transport.get_write_buffer_size() > _MOST_UNSENT:
            self._count_unread()
            self.transport.abort()

    async def send(self, message: ASGISendEvent) -> None:
        """Send; who was refused has been answered, which uvicorn would take for a crash."""
        await super().send(message)
        if self.initial_response is not None and self.close_sent:
            self.handshake_complete = True

    def resume_writing(self) -> None:
        """Note that the client has read nearly all there was."""
        self._unsent = 0
        super().resume_writing()

    def sweep(self, now: float) -> None:
        """Cut the connection off if its client has kept it waiting for too long; `now` by the loop's clock."""
        self._narrow()
        if self._is_left_unread(now):
            if self.close_sent or self.transport.is_closing():
                self.transport.abort()  # it has had its time to read the last word
            else:
                self._count_unread()
                self._let_go(_SLOW, SLOW)
                self._linger(now)
        elif not self.handshake_complete and now - self._begun >= self.server_state.limits.request:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """End what does not answer a ping."""
        self._record_reason("silent")
        super().keepalive_timeout()

    def shutdown(self) -> None:
        """End with a word; where that is not read, without."""
        self.loop.call_later(self.server_state.limits.linger, self.transport.abort)
        super().shutdown()

    def _count_unread(self) -> None:
        self.server_state.cut.labels("unread").inc()
        self._record_reason("slow")

    def _let_go(self, status: int, why: str) -> None:
        """Say why, let the application know that its client is gone, and hang up."""
        if self.close_sent or self.transport.is_closing():
            return
        self.stop_keepalive()
        self.conn.fail(status, why)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = self.disconnected = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": status, "reason": why})
        self.writable.set()  # the application may be waiting for it
        self.transport.close()

    def _record_reason(self, reason: str) -> None:
        stream = announced(self.scope["state"])
        if stream is not None:
            stream.reason = reason
