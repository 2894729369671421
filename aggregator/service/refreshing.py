"""The half of a process that asks the exchanges."""

from collections.abc import Sequence

from aggregator.commit import GroupCommit
from aggregator.ports import Exchange, History, Near, Work
from aggregator.progress import filling
from aggregator.refresher import Policy, Refresher, most_in_job, seconds_together
from aggregator.service.exchanges import open_exchanges
from aggregator.service.process import Process
from aggregator.service.server import STOP_SECONDS
from aggregator.settings import Settings
from aggregator.stores.redis.board import Board, Teller
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.redis.coverage import CoverageTeller
from aggregator.stores.redis.jobs import SharedWork
from aggregator.stores.redis.refreshes import RefreshRequests
from aggregator.work import OwnWork

_DRAIN_SECONDS = 1.0
_LANES = 4  # hot, medium, cold, and by hand: each may use its share of an exchange's slots and no more


async def exchanges_of(process: Process, cache: Near) -> Sequence[Exchange]:
    """Open what the settings name; its listings and feeds keep themselves up to date. Raises CannotGoOn."""
    settings, catalog, coverage = process.settings, process.catalog, process.coverage
    opened = await open_exchanges(settings, catalog, cache, process.metrics, process.stack, process.tracer)
    assets = catalog.assets.values()
    opened.listings.listen(lambda: coverage.count(opened.all, assets, settings.min_sources))
    await process.keep_running(opened.listings)
    for feed in opened.feeds:
        await process.keep_running(feed)
    return opened.all


async def open_refresher(
    process: Process,
    redis: RedisClient | None,
    exchanges: Sequence[Exchange],
    cache: Near,
    history: History,
    sinks: Sequence[GroupCommit],
) -> Refresher:
    """Return what refreshes every asset, by itself once the process runs and whenever it is asked to.

    With Redis, others on the same Redis may ask as well, and hear of our exchanges.
    """
    await process.keep_running(history)
    process.stack.push_async_callback(history.drain, _DRAIN_SECONDS)
    policy = _policy(process.settings)
    work = _work(process, redis, most_in_job(exchanges, policy.lane), seconds_together(exchanges))
    refresher = Refresher(
        process.catalog,
        exchanges,
        work,
        cache,
        sinks,
        process.freshness,
        process.metrics,
        policy,
        tracer=process.tracer,
    )
    process.stack.push_async_callback(refresher.close, STOP_SECONDS)
    process.beside.append(_refresh(refresher, process))
    if redis is not None:
        requests = RefreshRequests(
            redis, process.catalog, refresher, process.name, process.longest_refresh, process.tracer
        )
        teller = Teller(Board(redis), process.name, exchanges)
        process.beside += [requests.run(), teller.run(), CoverageTeller(redis, process.coverage).run()]
    return refresher


def _work(process: Process, redis: RedisClient | None, most: int, together: float) -> Work:
    if redis is None:
        return OwnWork(process.catalog, most, together=together)
    abandoned = 2 * process.longest_refresh
    return SharedWork(redis, process.catalog, most, process.metrics, process.name, abandoned, together)


async def _refresh(refresher: Refresher, process: Process) -> None:
    with filling(process.catalog) as on_fill:
        await refresher.run(on_fill)


def _policy(settings: Settings) -> Policy:
    return Policy(
        max_deviation=settings.max_deviation,
        min_sources=settings.min_sources,
        max_weight=settings.max_weight,
        grace=settings.grace,
        lane=settings.exchange_concurrency // _LANES,
    )
