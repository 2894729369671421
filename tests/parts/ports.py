"""Ports nobody else has."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """Return a port of 127.0.0.1 that was free a moment ago; for programs that cannot pick one themselves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert isinstance(port, int)
        return port


def lasting_port() -> int:
    """Return a free port that no outgoing connection is given, for servers that end and start again on theirs.

    A client that keeps connecting to a port of the other range, while nobody listens there, may be given that very
    port for its own end; TCP then connects it to itself, and the server cannot have its port back.
    """
    while True:
        port = random.randint(15_000, 30_000)  # Linux takes ports for outgoing connections from 32,768 up
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
