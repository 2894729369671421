"""All clients of a chaos run, in one event loop in its own thread."""

import asyncio
import random
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

from tests.chaos.clients import Client, Notes, PriceReader, Refresher, SocketClient, Streamer, Subscriber, Target
from tests.chaos.recorder import Record

STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """The number of clients of each kind per target, and how many requests per second each sends."""

    readers: int = 6
    reads: float = 15
    refreshes: float = 4
    streams: int = 2
    sockets: int = 2


class ClientPool:
    """The running clients: a context manager that starts and stops them, and raises the first client's error."""

    def __init__(
        self, targets: Sequence[Target], assets: Sequence[str], redis_url: str, record: Record, load: Load, seed: int
    ) -> None:
        notes = Notes(record, count(1))
        self._clients: list[Client | Subscriber] = [Subscriber(redis_url, notes)]
        for target in targets:
            self._clients += _clients_of(target, assets, notes, load, seed)
        # Not uvloop's: it can keep the transport of a connect that is cancelled, and then does not close (EBUSY).
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: a client has failed
            self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(STOP_SECONDS)
        assert not self._thread.is_alive(), "the clients do not end"
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._until_over())
            except Exception as error:  # noqa: BLE001  # raised again in the thread that waits
                self._error = error

    async def _until_over(self) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.run()) for client in self._clients]
            await self._over.wait()
            for task in tasks:
                task.cancel()


def _clients_of(target: Target, assets: Sequence[str], notes: Notes, load: Load, seed: int) -> list[Client]:
    def common(kind: str, number: int) -> tuple[str, Target, Notes, random.Random, Sequence[str]]:
        name = f"{target.name}/{kind}-{number}"
        return name, target, notes, random.Random(f"{seed} {name}"), assets

    return [
        *(PriceReader(*common("reader", n), rate=load.reads) for n in range(load.readers)),
        Refresher(*common("refresher", 0), rate=load.refreshes),
        *(Streamer(*common("sse", n), everything=n % 2 == 0) for n in range(load.streams)),
        *(SocketClient(*common("ws", n), by_tier=n % 2 == 0) for n in range(load.sockets)),
    ]
