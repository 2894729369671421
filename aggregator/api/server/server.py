"""The HTTP server: uvicorn with our protocols and limits, and the socket it listens on."""

import asyncio
import resource
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import uvicorn
from starlette.types import ASGIApp

from aggregator.api.server.direct_write import Handler, Respond
from aggregator.api.server.protocol import Protocol
from aggregator.api.server.slow_readers import Limits, State
from aggregator.api.server.websocket_protocol import LARGEST_MESSAGE, PING_SECONDS, WebSocketProtocol
from aggregator.errors import CannotGoOn
from aggregator.observability.metrics import Metrics

STOP_SECONDS = 2.0  # for tasks that still run after the last response
_LAST_ACCEPT_SECONDS = 0.1  # in which a stopping server still accepts connections; each gets one response
_SWEEP_TICKS = 10  # of uvicorn's ticks of 0.1 s


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Open the listening socket, before anything else starts. Raises CannotGoOn if the address is not available."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "no such host"
        reason = f"cannot listen on {host}:{port}: {why.partition(' (while')[0]}"  # it would repeat the address
        raise CannotGoOn(reason, "choose another --port (0 for any free one) or --host") from error
    with listener:
        yield listener


def address_of(listener: socket.socket) -> str:
    """Return the URL of the socket, to open in a browser."""
    host, port = listener.getsockname()[:2]  # an IPv6 address has two parts more
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def limits_of(max_connections: int, bodies: frozenset[str] = frozenset()) -> Limits:
    """Return the limits for at most `max_connections`, and at most 3/4 of the files that the process may open.

    The other quarter is for stores and exchanges. `bodies` are the paths whose handler bounds the body itself.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = files == resource.RLIM_INFINITY
    return Limits(connections=max_connections if unlimited else min(max_connections, files * 3 // 4), bodies=bodies)


class Server(uvicorn.Server):
    """Uvicorn with our limits and a stop that loses no request, and without its signal handling.

    Uvicorn's would raise SIGTERM again and end the process before the stores close. After the stop begins, requests in
    flight have `patience` seconds. For a connection from one of the `proxies`, the client's address is taken from
    X-Forwarded-For. With `direct_write`, the application may write whole responses past uvicorn (`direct_write.py`).
    `respond` and `handler` serve requests without a task (`taskless.py`): by their head alone, and those of one path.
    """

    server_state: State

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        metrics: Metrics,
        patience: float,
        proxies: Sequence[str] = (),
        *,
        direct_write: bool = True,
        handler: Handler | None = None,
        respond: Respond | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Protocol,
                ws=WebSocketProtocol,
                ws_max_size=LARGEST_MESSAGE,
                ws_ping_interval=PING_SECONDS,
                ws_ping_timeout=PING_SECONDS,
                ws_per_message_deflate=False,  # it needs more memory than all else of a client
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                headers=[("X-Content-Type-Options", "nosniff")],  # in every response, those of the fast path included
                proxy_headers=bool(proxies),  # other clients could forge these headers
                forwarded_allow_ips=list(proxies),
                timeout_graceful_shutdown=round(patience),
            )
        )
        self.server_state = State(limits, metrics, direct_write=direct_write, handler=handler, respond=respond)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do not handle signals: the command line does."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Run uvicorn's tick (every 0.1 s); once a second, sweep all connections."""
        if counter % _SWEEP_TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in cast("list[Protocol | WebSocketProtocol]", list(self.server_state.connections)):
                connection.sweep(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop, and answer every client that is connected, also those in the port's queue that were not accepted yet.

        Uvicorn closes the port, which drops the clients in its queue, and every idle connection, whose request may have
        arrived already.
        """
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        await asyncio.sleep(_LAST_ACCEPT_SECONDS)
        queued = _accept_all(sockets or [])
        for server in self.servers:
            server.close()
        for accepted in queued:
            await asyncio.get_running_loop().connect_accepted_socket(self._make_protocol, accepted)
        await super().shutdown(sockets)

    def _make_protocol(self) -> Protocol:
        return Protocol(self.config, self.server_state, self.lifespan.state)


def _accept_all(listeners: Sequence[socket.socket]) -> list[socket.socket]:
    """Accept and return all connections in the queues of the listening sockets."""
    accepted = []
    for listener in listeners:
        listener.settimeout(0)
        while True:
            try:
                accepted.append(listener.accept()[0])
            except OSError:  # the queue is empty, or the process may open no more files
                break
    return accepted
