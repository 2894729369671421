"""A venue that attacks its clients: one attack a path, as a process of its own so that its load is not counted.

`python -m tests.exchanges.hostile.server` prints its address; `/one-byte-chunks/…` runs the attack of that name.
"""

import re
import socket
import sys
import threading
from base64 import b64encode
from hashlib import sha1

from tests.exchanges.hostile import frames, http
from tests.exchanges.hostile.http import Blocks

_KEY = re.compile(rb"sec-websocket-key: *(\S+)", re.IGNORECASE)
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HEAD = 1 << 16


def serve(listener: socket.socket) -> None:
    """Accept connections without end, each in a thread."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_answer_all, args=(connection,), daemon=True).start()


def _answer_all(connection: socket.socket) -> None:
    with connection:
        try:
            while head := _read_head(connection):
                for block in _attack(head):
                    connection.sendall(block)
                if not head.startswith(b"GET /well/"):
                    connection.shutdown(socket.SHUT_WR)
        except OSError:  # the client has closed the connection
            return


def _read_head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _HEAD:
        part = connection.recv(_HEAD)
        if not part:
            return b""
        head += part
    return head


def _attack(head: bytes) -> Blocks:
    name = head.split(b"/")[1].decode()
    key = _KEY.search(head)
    attacks = frames.ATTACKS | frames.TRADE_ATTACKS
    if key is not None and name in attacks:
        yield _handshake(key[1])
        yield from attacks[name]()
    else:
        yield from http.ATTACKS[name]()


def _handshake(key: bytes) -> bytes:
    accept = b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    return head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0), backlog=256) as opened:
        sys.stdout.write(f"http://127.0.0.1:{opened.getsockname()[1]}\n")
        sys.stdout.flush()
        serve(opened)
