"""A load generator in its own process: it sends GET requests, records every answer, and judges nothing.

`python -m tests.chaos.load_generator --url http://127.0.0.1:8080 --rate 300 --readers 60 --to FILE PATH…` prints
`reading`, sends requests until SIGTERM, and writes a list of Answered (MessagePack) to the file.
"""

import argparse
import asyncio
import math
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvloop

from tests.chaos.wire import Answered, Connection
from tests.parts.process import Process

ASK_AGAIN = 0.2  # share of the requests that send If-None-Match


class LoadGenerator:
    """The load generator's process."""

    def __init__(self, url: str, paths: Sequence[str], to: Path, rate: float, readers: int) -> None:
        self._to = to
        options = ["--url", url, "--to", str(to), "--rate", str(rate), "--readers", str(readers)]
        self._process = Process.of_program("tests.chaos.load_generator", *options, *paths)
        self._process.wait_for_line("reading")

    def stop(self) -> list[Answered]:
        """Stop it; return everything it was answered."""
        assert self._process.stop() == 0, self._process.output
        return msgspec.msgpack.decode(self._to.read_bytes(), type=list[Answered])


async def read(url: str, paths: Sequence[str], rate: float, readers: int) -> list[Answered]:
    """GET `paths` in random order, `rate` per second over all `readers`, until SIGTERM."""
    where = urlsplit(url)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    answers: list[Answered] = []
    seen: dict[str, tuple[str, bytes]] = {}
    every = readers / rate

    async def reader(number: int) -> None:
        choice = random.Random(number)
        connection = Connection(where.hostname or "", where.port or 0, seen)
        start = time.monotonic() + every * number / readers
        turn = 0
        while not stop.is_set():
            await asyncio.sleep(max(0.0, start + turn * every - time.monotonic()))
            answers.append(await connection.ask(choice.choice(paths), again=choice.random() < ASK_AGAIN))
            # Requests that were due during a slow answer are skipped, not caught up.
            turn = max(turn + 1, math.ceil((time.monotonic() - start) / every))
        connection.close()

    async with asyncio.TaskGroup() as group:
        for number in range(readers):
            group.create_task(reader(number))
        print("reading", flush=True)  # noqa: T201  # the starting process waits for this line
    return answers


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--readers", type=int, required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("paths", nargs="+")
    options = parser.parse_args()
    answers = uvloop.run(read(options.url, options.paths, options.rate, options.readers))
    options.to.write_bytes(msgspec.msgpack.encode(answers))


if __name__ == "__main__":
    main()
