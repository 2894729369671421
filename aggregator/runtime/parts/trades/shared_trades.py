"""The trade stream of several processes on one Redis: what one of them publishes, and what the others read."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from aggregator.cluster.last_trades import LastTradesWriter
from aggregator.cluster.shared_trades import SharedTrades
from aggregator.cluster.topic_publisher import TopicPublisher
from aggregator.errors import StoreUnavailable
from aggregator.runtime.attempts import Attempt
from aggregator.runtime.parts.trades.build_trades import TradeStream, open_trades
from aggregator.runtime.process import STREAM_TOPICS, Process
from aggregator.runtime.trade_stores import open_trade_reader
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.redis.last_trades import LastTradesStore
from aggregator.stores.redis.saved_windows import RedisWindows
from aggregator.trades.event_log.kafka.address import parse_kafka_url
from aggregator.trades.event_log.kinesis.address import parse_kinesis_url
from aggregator.trades.newest_trades import NewerOfBoth
from aggregator.trades.ports import LastTrades, TradeReader
from aggregator.trades.topics import FEATURES


class TradeReads(msgspec.Struct, frozen=True):
    """The sources that the routes of trades read in one process.

    `live` answers requests, `streamed` makes snapshots: it has no value that its streams do not have yet, or else they
    would send it once more. A snapshot waits for `settled`. `stored` is None where this process cannot read the store.
    """

    live: LastTrades
    streamed: LastTrades
    settled: Callable[[], Awaitable[None]]
    stored: TradeReader | None


def own_reads(trades: TradeStream) -> TradeReads:
    """Return the reads of a process that runs alone."""
    return TradeReads(trades.processor, trades.processor, _nothing, trades.store)


async def open_published_trades(process: Process, redis: RedisClient, attempt: Attempt) -> TradeStream:
    """As `open_trades`, but what the processor publishes goes to all processes on Redis. Raises CannotGoOn."""
    publisher = TopicPublisher(redis, STREAM_TOPICS, (FEATURES.name,), process.metrics.trades)
    trades = await open_trades(process, attempt, publisher, _saved_windows(process, redis))
    await process.keep_running(publisher)
    writer = LastTradesWriter(
        _store(process, redis), trades.processor, frozenset(process.catalog.assets), publisher.take_changed
    )
    await process.keep_running(writer)
    return trades


async def shared_reads(
    process: Process, redis: RedisClient, stored: TradeReader | None, own: LastTrades | None = None
) -> TradeReads:
    """Return the reads of one of several processes. `own` is its processor, which knows its own trades first."""
    shared = SharedTrades(_store(process, redis), process.bus, list(process.catalog.assets), process.clock.now)
    with suppress(StoreUnavailable):  # the background goes on with it
        await shared.read()
    await process.keep_running(shared)
    return TradeReads(shared if own is None else NewerOfBoth(own, shared), shared, shared.settled, stored)


async def open_stored_trades(process: Process, attempt: Attempt) -> TradeReader | None:
    """Open the store of trades for reads; None where another process has it in memory. Raises CannotGoOn."""
    created = await open_trade_reader(process.settings, process.metrics, process.stack, attempt, process.clock.now)
    if created is None:
        return None
    if created.upkeep is not None:
        await process.keep_running(created.upkeep)
    return created.reader


def _saved_windows(process: Process, redis: RedisClient) -> RedisWindows | None:
    """Return the saved windows of the topic or stream; None for a log without partitions."""
    url = process.settings.trades_log
    if process.settings.reads_kafka:
        topic = parse_kafka_url(url)
        return RedisWindows(redis, f"{topic.topic}:{topic.group}")
    if process.settings.reads_kinesis:
        stream = parse_kinesis_url(url)
        return RedisWindows(redis, f"{stream.stream}:{stream.table}")
    return None


def _store(process: Process, redis: RedisClient) -> LastTradesStore:
    return LastTradesStore(redis, process.settings.trades_retention, process.clock.now)


async def _nothing() -> None:
    """Wait for nothing: the processor is in this process."""
