"""Ports nobody else has."""

import socket


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago; for programs that cannot pick one themselves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert isinstance(port, int)
        return port
