"""Uvicorn, and the socket it listens on."""

import asyncio
import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from aggregator.api.server.protocol import Protocol
from aggregator.api.server.slow_readers import Limits, State
from aggregator.api.server.websocket_protocol import LARGEST_MESSAGE, PING_SECONDS, WebSocketProtocol
from aggregator.errors import CannotGoOn
from aggregator.observability.metrics import Metrics

STOP_SECONDS = 2.0  # for what still runs when the last request has been answered
_LAST_ACCEPTS = 0.1  # seconds in which connections are still accepted; every answer says that it is the last
_SWEEP_TICKS = 10  # of a tenth of a second each


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Take the port before anything else starts. Raises CannotGoOn when it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        why = f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or 'no such host'}"
        raise CannotGoOn(why, "choose another --port (0 for any free one) or --host") from error
    with listener:
        yield listener


def address_of(listener: socket.socket) -> str:
    """Return what to put into a browser."""
    return "http://{}:{}".format(*listener.getsockname())


def limits_of(most: int) -> Limits:
    """Return the limits for at most so many connections; a quarter of the open files stays for stores and exchanges."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Limits(connections=most if files == resource.RLIM_INFINITY else min(most, files * 3 // 4))


class Server(uvicorn.Server):
    """Uvicorn with our limits, a stop that fails nobody, and without its signal handling.

    That would raise SIGTERM again and end the process before the stores close. Once told to stop, requests in flight
    have `patience` seconds. Of a connection from one of the `proxies`, the client is who their X-Forwarded-For names.
    """

    server_state: State

    def __init__(
        self, app: ASGIApp, limits: Limits, metrics: Metrics, patience: float, proxies: Sequence[str] = ()
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                ws=WebSocketProtocol,
                ws_max_size=LARGEST_MESSAGE,
                ws_ping_interval=PING_SECONDS,
                ws_ping_timeout=PING_SECONDS,
                ws_per_message_deflate=False,  # its memory for each client is more than all else we keep of it
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                headers=[("X-Content-Type-Options", "nosniff")],  # with every answer, those from memory as well
                proxy_headers=bool(proxies),  # from others, these headers are easily made up
                forwarded_allow_ips=list(proxies),
                timeout_graceful_shutdown=round(patience),
            )
        )
        self.server_state = State(limits, metrics)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the command line."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Do what uvicorn does ten times a second, and sweep over the connections once."""
        if counter % _SWEEP_TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in cast("list[Protocol | WebSocketProtocol]", list(self.server_state.connections)):
                connection.sweep(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop so that nobody's request is lost: who is connected is answered, also where we have not yet accepted.

        Uvicorn by itself closes the port, and with it whoever waits in its queue, and every connection that has not
        asked yet, though its request may have arrived.
        """
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await asyncio.sleep(_LAST_ACCEPTS)
        waiting = _accept_all(sockets or [])
        for server in self.servers:
            server.close()
        for accepted in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, accepted)
        await super().shutdown(sockets)

    def _protocol(self) -> Protocol:
        return Protocol(self.config, self.server_state, self.lifespan.state)


def _accept_all(listeners: Sequence[socket.socket]) -> list[socket.socket]:
    """Return the connections that wait to be accepted."""
    accepted = []
    for listener in listeners:
        listener.settimeout(0)
        while True:
            try:
                accepted.append(listener.accept()[0])
            except OSError:  # there are no more, or no more can be had
                break
    return accepted
