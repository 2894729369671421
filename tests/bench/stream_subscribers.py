"""Thousands of /stream clients in their own process: they record what arrived when, and judge nothing.

`python -m tests.bench.stream_subscribers --url http://127.0.0.1:8080 --subscribers 1000 --stopped 10 --to FILE` prints
`reading` once each has its snapshot, reads until SIGTERM, and writes a list of Seen per client (MessagePack) to the
file. The stopped clients never read.
"""

import argparse
import asyncio
import re
import signal
import socket
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvloop

from tests.parts.process import ROOT, Process

PATH = "/stream?tier=hot"
_AT_ONCE = 50  # clients that connect at the same time
_PRICE = re.compile(rb'event: price\ndata: \{"asset":"(\w+)".*?"timestamp":([\d.]+)')


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """A price, by asset and exchange time, and when it arrived; times in unix seconds."""

    asset: str
    timestamp: float
    received: float


class Subscribers:
    """The process of the clients."""

    def __init__(self, url: str, subscribers: int, stopped: int, to: Path) -> None:
        self._to = to
        options = ["--url", url, "--subscribers", str(subscribers), "--stopped", str(stopped), "--to", str(to)]
        self._process = Process([sys.executable, "-m", "tests.bench.stream_subscribers", *options], cwd=ROOT)

    def reading(self) -> "Subscribers":
        """Wait until each client has its snapshot."""
        self._process.wait_for_line("reading", 60)
        return self

    def end(self) -> None:
        """End the process and ignore its result."""
        self._process.stop()

    def stop(self) -> list[list[Seen]]:
        """End the process; return what each client has seen."""
        assert self._process.stop() == 0, self._process.output
        return msgspec.msgpack.decode(self._to.read_bytes(), type=list[list[Seen]])


class Subscriber(asyncio.Protocol):
    """A client that parses the bytes only at the end, so that its own cost does not distort the figures."""

    def __init__(self) -> None:
        self.begun = asyncio.get_running_loop().create_future()
        self._parts: list[tuple[float, bytes]] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # on TCP it is a WriteTransport
        """Send the request."""
        transport.write(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Store the bytes with the time."""
        self._parts.append((time.time(), data))
        if not self.begun.done() and b"event: snapshot" in data:
            self.begun.set_result(None)

    def seen(self) -> list[Seen]:
        """Return the prices, each with the arrival time of its last byte."""
        whole, ends = bytearray(), []
        for received, part in self._parts:
            whole += part
            ends.append((len(whole), received))
        found, place = [], 0
        for match in _PRICE.finditer(whole):
            while ends[place][0] < match.end():
                place += 1
            found.append(Seen(match[1].decode(), float(match[2]), ends[place][1]))
        return found


async def _stopped(host: str, port: int) -> socket.socket:
    """Send a request and never read; the small receive buffer fills soon."""
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.setblocking(False)  # noqa: FBT003  # the socket's own signature
    loop = asyncio.get_running_loop()
    await loop.sock_connect(wire, (host, port))
    await loop.sock_sendall(wire, f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return wire


async def read(url: str, subscribers: int, stopped: int) -> list[list[Seen]]:
    """Read until SIGTERM."""
    where = urlsplit(url)
    host, port = where.hostname or "", where.port or 0
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    silent = [await _stopped(host, port) for _ in range(stopped)]
    connections = []
    for first in range(0, subscribers, _AT_ONCE):
        some = range(min(_AT_ONCE, subscribers - first))
        connected = await asyncio.gather(*(loop.create_connection(Subscriber, host, port) for _ in some))
        await asyncio.gather(*(subscriber.begun for _, subscriber in connected))
        connections += connected
    print("reading", flush=True)  # noqa: T201  # the starting process waits for this line
    await stop.wait()
    for wire in silent:
        wire.close()
    for transport, _ in connections:
        transport.abort()
    return [subscriber.seen() for _, subscriber in connections]


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--subscribers", type=int, required=True)
    parser.add_argument("--stopped", type=int, required=True)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    seen = uvloop.run(read(options.url, options.subscribers, options.stopped))
    options.to.write_bytes(msgspec.msgpack.encode(seen))


if __name__ == "__main__":
    main()
