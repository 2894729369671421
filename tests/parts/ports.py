"""Free ports."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago; for programs that cannot choose a port themselves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert isinstance(port, int)
        return port


def lasting_port() -> int:
    """Return a free port outside the ephemeral range, for servers that restart on the same port.

    A client that keeps connecting to a port of the ephemeral range while no server listens there can be given that same
    port as its local port. TCP then connects the client to itself, and the server cannot bind its port again.
    """
    while True:
        port = random.randint(15_000, 30_000)  # Linux uses ports from 32,768 up for outgoing connections
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
