"""`aggregator record`: asks one exchange as the service would, and writes down what it answers."""

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import structlog

from aggregator.errors import CannotGoOn
from aggregator.exchanges.http import session
from aggregator.exchanges.push.socket import connector
from aggregator.exchanges.recording import Header, RecordingFile
from aggregator.exchanges.registry import DIALECTS
from aggregator.exchanges.replay import RecordedExchange, recorded
from aggregator.exchanges.targets import REPLAY, ExchangeTarget, exchange_targets
from aggregator.models import Tier
from aggregator.observability.metrics import Metrics
from aggregator.ports import Exchange, Job
from aggregator.prices.refresher import most_in_job, seconds_together
from aggregator.prices.schedule import LocalJobQueue
from aggregator.prices.tiers import Catalog
from aggregator.resilience.circuit_breaker import BreakerGroup
from aggregator.runtime.exchanges import Opened, Parts
from aggregator.runtime.stores import catalog_of
from aggregator.settings import Settings

_LANE = 32  # calls under way per tier, as with the service's default settings

log = structlog.get_logger()


async def record(settings: Settings, path: Path, seconds: float, stop: asyncio.Event) -> None:
    """Record the one exchange that is named, for so long or until told to stop. Raises CannotGoOn."""
    target = _target(settings)
    catalog = catalog_of(settings)
    header = Header(target.name, target.dialect, target.push_url is not None, time.time())
    try:
        file = RecordingFile(path, header)
    except OSError as error:
        raise CannotGoOn(f"cannot write {path}: {error.strerror}; name another file") from error
    async with AsyncExitStack() as stack:
        stack.callback(file.close)
        opened = await _open(target, settings, catalog, file, stack)
        exchange = opened.whole(Metrics())
        log.info("recording", exchange=target.name, file=str(path), seconds=seconds, assets=len(catalog.assets))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                tasks = [group.create_task(opened.feed.run())] if opened.feed is not None else []
                tasks += [group.create_task(_keep(exchange, catalog, tier)) for tier in Tier if catalog.of(tier)]
                await stop.wait()
                for task in tasks:
                    task.cancel()
    log.info("recorded", records=file.records, file=str(path))


def _target(settings: Settings) -> ExchangeTarget:
    targets = exchange_targets(settings.exchanges)
    if len(targets) > 1:
        raise CannotGoOn("name one exchange to record, with --exchanges")
    if targets[0].library or targets[0].dialect == REPLAY:
        raise CannotGoOn(f"{targets[0].dialect} has no raw answers to record; name one of {', '.join(DIALECTS)}")
    return targets[0]


async def _open(
    target: ExchangeTarget, settings: Settings, catalog: Catalog, file: RecordingFile, stack: AsyncExitStack
) -> Opened:
    http = await stack.enter_async_context(session(settings.exchange_timeout))
    parts, dialect = Parts(settings, catalog, BreakerGroup(), http, Metrics()), DIALECTS[target.dialect]()
    url, slots, batch = target.url or dialect.public_url, settings.exchange_concurrency, settings.exchange_batch
    polled = RecordedExchange(target.name, url, dialect, http, parts.metrics, slots, batch, file)
    await polled.read_listing()
    if target.push_url is None:
        return Opened(polled)
    connect = recorded(connector(http, time.time), file, time.time)
    return Opened(polled, parts.feed(target.name, target.dialect, target.push_url, polled, connect, time.time))


async def _keep(exchange: Exchange, catalog: Catalog, tier: Tier) -> None:
    """Ask for the tier's assets in the jobs that a refresher would do, for ever; a few at a time, as it does."""
    work = LocalJobQueue(catalog, most_in_job([exchange], _LANE), together=seconds_together([exchange]))
    lane = asyncio.Semaphore(_LANE)

    async def do(job: Job) -> None:
        assets = [asset for symbol in job.symbols if (asset := catalog.find(symbol)) is not None]
        for first in range(0, len(assets), exchange.batch):
            await exchange.fetch(assets[first : first + exchange.batch])
        lane.release()

    async with asyncio.TaskGroup() as jobs:
        while True:
            await lane.acquire()
            jobs.create_task(do(await work.next_job(tier)))
