"""Detects clients that do not read what the server sends; and the limits and the state of a server's connections."""

import asyncio
import socket

import msgspec
from uvicorn.server import ServerState

from aggregator.api.server.direct_write import DefaultHeaders, Handler, Respond
from aggregator.observability.metrics import Metrics

_PROGRESS = 64 * 1024  # bytes; a client that reads so many is not slow
_STREAM_BUFFER = 32 * 1024  # bytes of a stream that the kernel may hold; Linux doubles the number


class Limits(msgspec.Struct, frozen=True):
    """Limits of one client, in bytes and seconds."""

    connections: int = 10_000  # of all clients together
    head: int = 64 * 1024  # bytes of a request's head; and of its body, with the chunks' framing
    request: float = 10.0  # seconds from the connection to the first byte, and from the first byte to the last
    unread: float = 20.0  # seconds in which a client has to read 64 KB, or the rest, of a waiting response
    bodies: frozenset[str] = frozenset()  # paths whose handler bounds the body of a request itself
    linger: float = 2.0  # seconds from a refusal to the end of the connection, for the client to read the refusal


class State(ServerState):
    """State that all connections of a server share. `default_header_lines` is None if there are no direct writes."""

    def __init__(
        self,
        limits: Limits,
        metrics: Metrics,
        *,
        direct_write: bool = True,
        handler: Handler | None = None,
        respond: Respond | None = None,
    ) -> None:
        super().__init__()
        self.limits = limits
        self.connections_cut = metrics.connections_cut
        self.default_header_lines = DefaultHeaders() if direct_write else None
        self.handler = handler
        self.respond = respond if direct_write else None


class ReadProgress:
    """Mixin of both protocols: measures how long bytes have waited for the client to read them."""

    transport: asyncio.Transport
    server_state: State
    _unsent = 0  # bytes in the transport's write buffer when the client last made progress
    _unsent_since = 0.0  # when that was, in seconds of the clock that is passed in as `now`
    _has_small_buffer = False

    def _is_stalled(self, now: float) -> bool:
        """Whether a response has waited too long for the client; also after the transport has begun to close."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or not self._unsent or unsent <= self._unsent - _PROGRESS:
            self._unsent, self._unsent_since = unsent, now
            return False
        self._unsent = max(self._unsent, unsent)
        return now - self._unsent_since >= self.server_state.limits.unread

    def _linger(self, now: float) -> None:
        """Close the transport; the next `_is_stalled` after `limits.linger` seconds without progress is true."""
        limits = self.server_state.limits
        self._unsent_since = now - limits.unread + limits.linger
        self.transport.close()

    def _shrink_send_buffer(self) -> None:
        """Make the kernel's send buffer small, for streams.

        A slow subscriber then gets recent prices rather than old ones, and one that has stopped is detected sooner.
        """
        if not self._has_small_buffer:
            self._has_small_buffer = True
            connection: socket.socket = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _STREAM_BUFFER)
