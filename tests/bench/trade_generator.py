"""Sends trades to POST /ingest as lines of JSON, from a process of its own, and records what was acknowledged.

Every call has one trade of each of `size` assets, in turn. The id of a trade is `<name><number of the call>-<row>`, and
its time that of the call. Bodies are put together from prepared pieces, so that the generator needs little of the CPU.

- `calls`: one connection; a call is sent once the one before it is acknowledged.
- `stream`: one connection and one call without an end, as fast as the service reads.
- `open`: a call is due every `size / rate` seconds, whether the ones before it are acknowledged or not.
"""

import argparse
import asyncio
import math
import random
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
import uvloop

from tests.parts.process import ROOT, Process

Mode = Literal["calls", "stream", "open"]
_VARIANTS = 20  # bodies with different prices
_CONNECTIONS = 64  # of `open`; a call that finds none free waits, and the wait is part of its latency
_PATIENCE = 60.0  # seconds for the answers that are missing at the end
_HEAD = b"POST /ingest HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n"


class Load(msgspec.Struct, frozen=True):
    """What to send. `rate` is in trades/s and for `open` only.

    `most` ends the load after as many trades. With `event_rate`, the time of trades does not follow the clock: it
    begins at `event_start` and advances by one second for as many trades.
    """

    mode: Mode
    seconds: float
    size: int = 1000
    name: str = "a"
    rate: float = 0.0
    most: int = 1 << 60
    event_rate: float = 0.0
    event_start: float = 0.0


class Call(msgspec.Struct, frozen=True, array_like=True):
    """One call: its number, when it was due and acknowledged (unix seconds), its acknowledged trades, its status."""

    number: int
    due: float
    answered: float
    accepted: int
    status: int


class Sent(msgspec.Struct, frozen=True):
    """What was sent. `seconds` is the duration until the last answer, `late` the calls sent a whole tick after due."""

    seconds: float
    calls: Sequence[Call]
    late: int = 0

    @property
    def acknowledged(self) -> int:
        """The number of acknowledged trades."""
        return sum(call.accepted for call in self.calls)

    @property
    def refused(self) -> int:
        """The number of calls that were not answered with 200."""
        return sum(call.status != 200 for call in self.calls)  # the status


class Generator:
    """The process of a generator."""

    def __init__(self, url: str, load: Load, to: Path) -> None:
        self._to = to
        self._seconds = load.seconds + 2 * _PATIENCE
        options = ["--url", url, "--load", msgspec.json.encode(load).decode(), "--to", str(to)]
        self._process = Process([sys.executable, "-m", "tests.bench.trade_generator", *options], cwd=ROOT)

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended yet."""
        return self._process.child.poll() is None

    def done(self) -> Sent:
        """Wait for the end."""
        assert self._process.ended(self._seconds) == 0, self._process.output
        return msgspec.msgpack.decode(self._to.read_bytes(), type=Sent)

    def end(self) -> None:
        """End the process."""
        self._process.stop()


class Bodies:
    """Makes the bodies of calls."""

    def __init__(self, assets: Sequence[str], load: Load) -> None:
        chosen = random.Random(1)  # prices, not secrets
        self._load = load
        variants = max(_VARIANTS, math.ceil(len(assets) / load.size))
        self._variants = [
            _pieces([assets[(variant * load.size + row) % len(assets)] for row in range(load.size)], chosen)
            for variant in range(variants)
        ]

    def of(self, number: int, now: float) -> bytes:
        """Return the body of a call."""
        load = self._load
        at = load.event_start + number * load.size / load.event_rate if load.event_rate else now
        return (b'%.6f,"id":"%b%d-' % (at, load.name.encode(), number)).join(
            self._variants[number % len(self._variants)]
        )


def _pieces(assets: Sequence[str], chosen: random.Random) -> list[bytes]:
    """Return the text of a call's trades, cut where time and number of the call go."""
    pieces = [b""]
    for row, asset in enumerate(assets):
        price, volume = chosen.uniform(1, 70_000), chosen.uniform(0.001, 9)
        before = f'{{"asset":"{asset}","price":{price:.2f},"volume":{volume:.4f},"venue":"exchange1","side":"buy",'
        pieces[-1] += f'{before}"timestamp":'.encode()
        pieces.append(b'%d"}\n' % row)
    return pieces


def closed(address: tuple[str, int], bodies: Bodies, load: Load) -> Sent:
    """Send one call after the other."""
    calls: list[Call] = []
    with _connection(address) as wire, wire.makefile("rb") as answers:
        started = time.time()
        while (due := time.time()) < started + load.seconds and len(calls) * load.size < load.most:
            body = bodies.of(len(calls), due)
            wire.sendall(b"%bContent-Length: %d\r\n\r\n%b" % (_HEAD, len(body), body))
            status, accepted = _answer(answers.readline, answers.read)
            calls.append(Call(len(calls), due, time.time(), accepted, status))
    return Sent(time.time() - started, calls)


def stream(address: tuple[str, int], bodies: Bodies, load: Load) -> Sent:
    """Send one call, part after part."""
    number = 0
    with _connection(address) as wire, wire.makefile("rb") as answers:
        wire.sendall(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        started = now = time.time()
        while (now := time.time()) < started + load.seconds and number * load.size < load.most:
            body = bodies.of(number, now)
            wire.sendall(b"%x\r\n%b\r\n" % (len(body), body))
            number += 1
        wire.sendall(b"0\r\n\r\n")
        status, accepted = _answer(answers.readline, answers.read)
        ended = time.time()
    return Sent(ended - started, [Call(0, started, ended, accepted, status)])


async def paced(address: tuple[str, int], bodies: Bodies, load: Load) -> Sent:
    """Send calls when they are due."""
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(_CONNECTIONS):
        free.put_nowait(await asyncio.open_connection(*address))
    calls: list[Call] = []
    late, tick, started = 0, load.size / load.rate, time.time()

    async def send(number: int, due: float) -> None:
        connection = await free.get()
        reader, writer = connection
        body = bodies.of(number, time.time())
        writer.write(b"%bContent-Length: %d\r\n\r\n%b" % (_HEAD, len(body), body))
        status, accepted = await _answer_of(reader)
        calls.append(Call(number, due, time.time(), accepted, status))
        free.put_nowait(connection)

    async with asyncio.timeout(load.seconds + _PATIENCE), asyncio.TaskGroup() as group:
        for number in range(int(min(load.seconds / tick, load.most / load.size))):
            due = started + number * tick
            await asyncio.sleep(max(0.0, due - time.time()))
            late += time.time() > due + tick
            group.create_task(send(number, due))
    return Sent(time.time() - started, calls, late)


def _connection(address: tuple[str, int]) -> socket.socket:
    wire = socket.create_connection(address, timeout=_PATIENCE)
    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return wire


def _answer(line: Callable[[], bytes], read: Callable[[int], bytes]) -> tuple[int, int]:
    """Read an answer; return its status and the number of accepted trades."""
    status = int(line().split()[1])
    length = 0
    while (header := line()) != b"\r\n":
        name, _, value = header.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return status, _accepted(read(length))


async def _answer_of(reader: asyncio.StreamReader) -> tuple[int, int]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(one[15:]) for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:"))
    return int(head.split(None, 2)[1]), _accepted(await reader.readexactly(length))


class _Counted(msgspec.Struct):
    accepted: int = 0


def _accepted(body: bytes) -> int:
    return msgspec.json.decode(body, type=_Counted).accepted


def assets() -> list[str]:
    """Return the symbols of symbols.csv."""
    lines = (ROOT / "symbols.csv").read_text(encoding="utf-8").splitlines()
    return [line.partition(",")[0].lower() for line in lines[1:]]


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--load", required=True)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    load = msgspec.json.decode(options.load, type=Load)
    where = urlsplit(options.url)
    address, bodies = (where.hostname or "", where.port or 0), Bodies(assets(), load)
    if load.mode == "open":
        sent = uvloop.run(paced(address, bodies, load))
    else:
        sent = (closed if load.mode == "calls" else stream)(address, bodies, load)
    options.to.write_bytes(msgspec.msgpack.encode(sent))


if __name__ == "__main__":
    main()
