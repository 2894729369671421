"""`aggregator record`: call one exchange as the service would, and write its answers into a file for replays."""

import argparse
import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import structlog

from aggregator.cli.command import ALL_SETTINGS, Command, Flags, seconds_up_to, start
from aggregator.errors import CannotGoOn
from aggregator.exchanges.http import session
from aggregator.exchanges.push.socket import connector
from aggregator.exchanges.push.trade_feed import MOST_BYTES, TradeSinks
from aggregator.exchanges.recording import Header, RecordingFile
from aggregator.exchanges.registry import DIALECTS
from aggregator.exchanges.replay import RecordedExchange, recorded
from aggregator.exchanges.targets import REPLAY, ExchangeTarget, exchange_targets
from aggregator.models import Tier, Trade
from aggregator.observability.metrics import Metrics
from aggregator.ports import Exchange, Job
from aggregator.prices.refresher import most_in_job, seconds_together
from aggregator.prices.schedule import LocalJobQueue
from aggregator.prices.tiers import Catalog
from aggregator.resilience.circuit_breaker import BreakerGroup
from aggregator.runtime.catalog import catalog_of
from aggregator.runtime.lifecycle import run
from aggregator.runtime.parts.exchanges import Opened, Parts
from aggregator.settings import Settings
from aggregator.trades.ports import Receipt
from aggregator.trades.rejection import Rejection

_DAY = 86_400  # seconds
_SETTINGS = ("exchange", "symbols", "hot", "medium", "cold", "log", "trade_feeds")
_CONCURRENCY = 32  # calls in flight per tier, as with the default settings of the service

log = structlog.get_logger()


async def record(settings: Settings, path: Path, seconds: float, stop: asyncio.Event) -> None:
    """Record the one exchange of the settings for `seconds`, or until `stop` is set. Raises CannotGoOn."""
    target = _target(settings)
    catalog = catalog_of(settings)
    header = Header(target.name, target.dialect, target.push_url is not None, time.time())
    try:
        file = RecordingFile(path, header)
    except OSError as error:
        raise CannotGoOn(f"cannot write {path}: {error.strerror}; name another file with --file") from error
    async with AsyncExitStack() as stack:
        stack.callback(file.close)
        opened = await _open(target, settings, catalog, file, stack)
        exchange = opened.whole(Metrics())
        log.info("recording", exchange=target.name, file=str(path), seconds=seconds, assets=len(catalog.assets))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                feeds = [feed for feed in (opened.feed, opened.trade_feed) if feed is not None]
                tasks = [group.create_task(feed.run()) for feed in feeds]
                tasks += [group.create_task(_refresh(exchange, catalog, tier)) for tier in Tier if catalog.of(tier)]
                await stop.wait()
                for task in tasks:
                    task.cancel()
    log.info("recorded", records=file.records, file=str(path))


def _target(settings: Settings) -> ExchangeTarget:
    targets = exchange_targets(settings.exchanges)
    if len(targets) > 1:
        raise CannotGoOn("record takes one exchange; name one with --exchanges")
    if targets[0].library or targets[0].dialect == REPLAY:
        raise CannotGoOn(f"{targets[0].dialect} has no raw answers to record; name one of {', '.join(DIALECTS)}")
    return targets[0]


async def _open(
    target: ExchangeTarget, settings: Settings, catalog: Catalog, file: RecordingFile, stack: AsyncExitStack
) -> Opened:
    http = await stack.enter_async_context(session(settings.exchange_timeout))
    sinks = TradeSinks(_Nowhere(), _Nowhere())
    parts = Parts(settings, catalog, BreakerGroup(), http, Metrics(), trade_sinks=sinks)
    dialect = DIALECTS[target.dialect]()
    url, slots, batch = target.url or dialect.public_url, settings.exchange_concurrency, settings.exchange_batch
    polled = RecordedExchange(target.name, url, dialect, http, parts.metrics, slots, batch, file)
    await polled.read_listing()
    trades = recorded(connector(http, time.time, MOST_BYTES), file, time.time, trades=True)
    trade_feed = parts.trade_feed(target, polled, trades)
    if target.push_url is None:
        return Opened(polled, trade_feed=trade_feed)
    connect = recorded(connector(http, time.time), file, time.time)
    feed = parts.feed(target.name, target.dialect, target.push_url, polled, connect, time.time)
    return Opened(polled, feed, trade_feed=trade_feed)


class _Nowhere:
    """An event log, and dead letters, that keep nothing: the file has the frames themselves."""

    def append(self, trades: Sequence[Trade], source: str = "") -> asyncio.Future[Receipt]:  # noqa: ARG002  # EventLog's
        """Return a future that is done."""
        done: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        done.set_result(Receipt(len(trades), 0))
        return done

    async def room(self) -> None:
        """Return at once."""

    def bury(self, rejections: Sequence[Rejection]) -> None:
        """Do nothing."""


async def _refresh(exchange: Exchange, catalog: Catalog, tier: Tier) -> None:
    """Fetch the assets of the tier on the schedule and with the concurrency of a refresher; never return."""
    schedule = LocalJobQueue(catalog, most_in_job([exchange], _CONCURRENCY), together=seconds_together([exchange]))
    slots = asyncio.Semaphore(_CONCURRENCY)

    async def do(job: Job) -> None:
        assets = [asset for symbol in job.symbols if (asset := catalog.find(symbol)) is not None]
        for first in range(0, len(assets), exchange.batch):
            await exchange.fetch(assets[first : first + exchange.batch])
        slots.release()

    async with asyncio.TaskGroup() as jobs:
        while True:
            await slots.acquire()
            jobs.create_task(do(await schedule.next_job(tier)))


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", type=Path, required=True, help="a file to be created, such as binance.rec.gz")
    parser.add_argument(
        "--seconds", type=seconds_up_to(_DAY), default=60.0, help="duration, unless stopped before; default 60"
    )


def _run(options: argparse.Namespace, flags: Flags) -> int:
    settings = start(flags)
    return run(lambda stop: record(settings, options.file, options.seconds, stop))


COMMAND = Command(
    "record the answers of one exchange for a later replay",
    _run,
    [
        name
        for name in ALL_SETTINGS
        if name.startswith(("exchange", "symbols", "hot", "medium", "cold", "log", "trade_feeds"))
    ],
    _add_options,
)
