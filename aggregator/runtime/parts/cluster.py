"""Parts that processes on one Redis share: new prices, the backlog of jobs, and requests for refreshes."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from aggregator.cluster.lag import JobLag
from aggregator.cluster.outlet_board import OutletView
from aggregator.cluster.refresh_requests import RemoteRefresh
from aggregator.cluster.status_board import StatusBoard
from aggregator.cluster.topic_feed import RedisFeed
from aggregator.cluster.venue_coverage import CoverageListener
from aggregator.errors import StoreError
from aggregator.live.price_topic import PRICES
from aggregator.live.topics import AnyTopic
from aggregator.ports import LocalCache
from aggregator.runtime.monitors import ClockWitness
from aggregator.runtime.parts.analytics.build_alerts import rule_topics
from aggregator.runtime.process import Process, RefreshPath
from aggregator.stores.redis.client import RedisClient

_SUBSCRIBE_SECONDS = 2.0  # the longest that a start waits for a Redis that went away after it was opened


class Cluster(msgspec.Struct, frozen=True):
    """The connection of one process to the others."""

    redis: RedisClient
    feed: RedisFeed
    """New values of all processes. Run it only once every part has subscribed to it."""

    lag: JobLag
    """The lag of the refreshers behind their schedule."""

    outlets: OutletView
    """The outlets of other processes; it looks only in the role `api`, which sends no events itself."""


async def join_cluster(process: Process, redis: RedisClient) -> Cluster:
    """Return the connection to the other processes; its feed does not run yet."""
    process.bus.listen(PRICES, process.freshness)  # counts the prices that other processes refresh
    lag = JobLag(redis, process.catalog, process.metrics)
    await process.keep_running(lag)
    outlets = OutletView(redis)
    if process.settings.role == "api":
        await process.keep_running(outlets)
    topics = _needed_topics(process)
    return Cluster(redis, RedisFeed(redis, process.bus, topics), lag, outlets)


def _needed_topics(process: Process) -> Sequence[AnyTopic] | None:
    """Return the topics that a process which serves no streams listens to; None where it serves them."""
    match process.settings.role:
        case "refresher":
            return rule_topics(process.bus)
        case "processor":
            return [PRICES]
    return None


async def build_remote_refresh(process: Process, cluster: Cluster, cache: LocalCache) -> RefreshPath:
    """Return the refresh path of a process without exchanges: refresh requests to a refresher.

    Reports of the refreshers stand in for exchanges of its own: venue coverage, exchange status and the true time.
    """
    redis = cluster.redis
    refresh = RemoteRefresh(redis, cluster.feed, process.longest_refresh, process.tracer)
    coverage = CoverageListener(redis, process.coverage)
    await process.keep_running(coverage)
    process.bus.listen(PRICES, ClockWitness(process.clock))
    await process.keep_running(cluster.feed)
    await _catch_up(process, cluster.feed, coverage, cache)
    return RefreshPath(refresh, StatusBoard(redis))


async def _catch_up(process: Process, feed: RedisFeed, coverage: CoverageListener, cache: LocalCache) -> None:
    """Learn the freshness of the prices that refreshers published before this process started.

    Without it, /ready would report that there is no price yet. The subscription comes first: a price published between
    a read of the cache and the subscription would be missed, for minutes if its asset is cold.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_SUBSCRIBE_SECONDS):
            await feed.subscribed.wait()
    with suppress(StoreError):
        await coverage.read()
        process.freshness.receive(list((await cache.latest(list(process.catalog.assets))).values()))
