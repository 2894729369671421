"""Noticing clients that do not read what they are sent."""

import asyncio
import socket

import msgspec
from uvicorn.server import ServerState

from aggregator.api.server.direct_write import Dated
from aggregator.observability.metrics import Metrics

_PROGRESS = 64 * 1024  # bytes that count as reading an answer
_STREAM_BUFFER = 32 * 1024  # bytes of a stream in the kernel, which makes it 64: what waits there, waits in vain


class Limits(msgspec.Struct, frozen=True):
    """What one client may take: bytes and seconds."""

    connections: int = 10_000  # of all clients together
    head: int = 64 * 1024  # bytes of a request's head, and again of its body with its framing
    request: float = 10.0  # from connecting to the first byte, and from that to the last
    unread: float = 20.0  # without reading 64 KB, or the rest, of an answer that waits for it
    linger: float = 2.0  # from a refusal to the end, for the client to read it


class State(ServerState):
    """What all connections of a server share."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        super().__init__()
        self.limits = limits
        self.cut = metrics.connections_cut
        self.dated = Dated()


class SlowReader:
    """A connection's part that knows how long bytes have been waiting for the client."""

    transport: asyncio.Transport
    server_state: State
    _unsent = 0  # bytes that wait for the client to read, when they last became fewer, since when
    _unsent_since = 0.0
    _is_narrow = False

    def _is_left_unread(self, now: float) -> bool:
        """Whether an answer has been waiting for the client for too long, also after the connection was closed."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or not self._unsent or unsent <= self._unsent - _PROGRESS:
            self._unsent, self._unsent_since = unsent, now
            return False
        self._unsent = max(self._unsent, unsent)
        return now - self._unsent_since >= self.server_state.limits.unread

    def _linger(self, now: float) -> None:
        """Hang up, but leave the client a moment to read what there is."""
        limits = self.server_state.limits
        self._unsent_since = now - limits.unread + limits.linger
        self.transport.close()

    def _narrow(self) -> None:
        """Let the kernel hold little of a stream: what a slow reader gets should be new, and a stopped one be found."""
        if not self._is_narrow:
            self._is_narrow = True
            wire: socket.socket = self.transport.get_extra_info("socket")
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _STREAM_BUFFER)
