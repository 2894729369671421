"""`aggregator drain`: send the prices, trades and events of outlets that wait in the outboxes, then end.

For a machine that is taken away: run it once its service has stopped.
"""

import argparse
import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import structlog

from aggregator.cli.command import Command, Flags, seconds_up_to, start
from aggregator.errors import CannotGoOn, StoreError
from aggregator.observability.metrics import Metrics
from aggregator.outlets.outbox.outbox import OutletOutbox
from aggregator.outlets.outbox.queue_file import QueueFile
from aggregator.runtime.attempts import attempt
from aggregator.runtime.data_folder import check_folder
from aggregator.runtime.lifecycle import run
from aggregator.runtime.parts.build_outlets import open_outbox
from aggregator.runtime.stores import open_history, open_redis
from aggregator.runtime.trade_stores import open_trade_store
from aggregator.settings import Settings
from aggregator.stores.outbox_file import OutboxFile
from aggregator.stores.trades.waiting_trades import WaitingTrades

_DAY = 86_400  # seconds
_WITH_OUTBOX = ("dynamodb:", "postgresql:")
_SETTINGS = "give the settings of the service: its --history-url and --trades-url, and the variable AGGREGATOR_OUTLETS"


@runtime_checkable
class Drains(Protocol):
    """A store that sends what waits in its outbox; the methods are those of `aggregator.ports.History`."""

    async def run(self) -> None:
        """Send what waits; never return."""

    async def drain(self, patience: float) -> int | None:
        """Wait until nothing waits; return how much is left, None where that is unknown."""


class _Outlets:
    """The outbox of outlets as `Drains`; it runs already."""

    def __init__(self, outbox: OutletOutbox) -> None:
        self._outbox = outbox

    async def run(self) -> None:
        """Do nothing for ever."""
        await asyncio.Event().wait()

    async def drain(self, patience: float) -> int | None:
        """As `Drains.drain`."""
        try:
            return sum((await self._outbox.send_all(patience)).values())
        except StoreError:
            return None


class _Outbox(NamedTuple):
    store: Drains
    path: Path
    records: str


async def drain(settings: Settings, patience: float, stop: asyncio.Event) -> None:
    """Send what waits for at most `patience` seconds, or until `stop`. Raises CannotGoOn when something is left."""
    async with AsyncExitStack() as stack:
        outboxes = await _open(settings, stack)
        left = await asyncio.gather(*(_send(one.store, patience, stop) for one in outboxes))
    told = [_told(one.path, one.records, rows) for one, rows in zip(outboxes, left, strict=True) if rows != 0]
    unsent = await _unsent(settings, {one.path for one in outboxes})
    if told or unsent:
        raise CannotGoOn("; ".join([*told, *unsent]), "run it again once the store takes them" if told else _SETTINGS)
    log = structlog.get_logger()
    for one in outboxes:
        log.info("drained", outbox=str(one.path))
    if not outboxes:
        log.info("nothing_to_drain", note=f"there is no outbox at {settings.outbox_path}, and none beside it")


async def _open(settings: Settings, stack: AsyncExitStack) -> list[_Outbox]:
    """Open the history, the store of trades and the outlets where their outboxes have a file. Raises CannotGoOn."""
    metrics = Metrics()
    found = []
    if settings.history_url.startswith(_WITH_OUTBOX) and await asyncio.to_thread(settings.outbox_path.exists):
        found.append(_Outbox(await open_history(settings, metrics, stack), settings.outbox_path, "prices"))
    path = settings.trades_outbox_path
    if settings.trades_url.startswith("dynamodb:") and await asyncio.to_thread(path.exists):
        store = await open_trade_store(settings, metrics, stack)
        assert isinstance(store, Drains)  # noqa: S101  # the store of this URL is one
        found.append(_Outbox(store, path, "trades"))
    has_file = await asyncio.to_thread(settings.outlets_path.exists)
    if settings.outlet_addresses and has_file:
        redis = await open_redis(settings, stack)
        outbox = await open_outbox(settings, metrics, stack, attempt, redis, time.time)
        found.append(_Outbox(_Outlets(outbox), settings.outlets_path, "events of outlets"))
    return found


async def _unsent(settings: Settings, sent: Collection[Path]) -> list[str]:
    """Return in words what waits in files from which nothing of the settings sends, such as a forgotten OUTLETS."""
    files: list[tuple[Path, str, Callable[[Path, int], OutboxFile | WaitingTrades | QueueFile]]] = [
        (settings.outbox_path, "prices", OutboxFile),
        (settings.trades_outbox_path, "trades", WaitingTrades),
        (settings.outlets_path, "events of outlets", QueueFile),
    ]
    told = []
    for path, records, make in files:
        if path in sent or not await asyncio.to_thread(path.exists):
            continue
        file, rows = make(path, settings.outbox_max_bytes), None
        with suppress(StoreError):
            await file.open()
            rows = (await file.size()).rows
        await file.close()
        if rows != 0:
            told.append(_told(path, records, rows))
    return told


async def _send(store: Drains, patience: float, stop: asyncio.Event) -> int | None:
    """Let a store send its backlog; return how many records are left, None where that is unknown."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(store.run())
        draining = group.create_task(store.drain(patience))
        stopped = group.create_task(stop.wait())
        await asyncio.wait((draining, stopped), return_when=asyncio.FIRST_COMPLETED)
        left = draining.result() if draining.done() else await store.drain(0)
        for task in (running, draining, stopped):
            task.cancel()
    return left


def _told(path: Path, records: str, rows: int | None) -> str:
    number = "an unknown number of" if rows is None else str(rows)
    return f"left in {path}: {number} {records}"


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--patience", type=seconds_up_to(_DAY), default=60.0, help="seconds after which it gives up; default 60"
    )


def _run(options: argparse.Namespace, flags: Flags) -> int:
    settings = start(flags)
    check_folder(settings, (settings.outbox_path, settings.trades_outbox_path, settings.outlets_path))
    return run(lambda stop: drain(settings, options.patience, stop))


COMMAND = Command(
    "send the prices, trades and events of outlets that wait in the outboxes; exit code 1 when some are left",
    _run,
    [
        "data_dir",
        "history_url",
        "outbox_path",
        "trades_url",
        "trades_outbox_path",
        "outlets",
        "outlets_path",
        "outlets_allow_private",
        "cache_url",
    ],
    _add_options,
)
