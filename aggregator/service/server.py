"""Uvicorn, and the socket it listens on."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from aggregator.errors import CannotGoOn

STOP_SECONDS = 2.0  # for requests in flight


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Take the port before anything else starts. Raises CannotGoOn when it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        why = f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or 'no such host'}"
        raise CannotGoOn(f"{why}; choose another --port (0 for any free one) or --host") from error
    with listener:
        yield listener


def address_of(listener: socket.socket) -> str:
    """Return what to put into a browser."""
    return "http://{}:{}".format(*listener.getsockname())


class Server(uvicorn.Server):
    """Uvicorn without its signal handling: it would raise SIGTERM again and end the process before the stores close."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,  # nothing here depends on who asks, and headers are easily made up
                timeout_graceful_shutdown=round(STOP_SECONDS),
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the command line."""
        yield
