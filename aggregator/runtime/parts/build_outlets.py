"""The outlets of a process: opened from the settings, and put behind the stores whose events they get."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from aggregator.cluster.feed_lease import FeedLease
from aggregator.cluster.outlet_board import OutletReporter
from aggregator.cluster.outlet_claims import OutletClaims
from aggregator.errors import CannotGoOn, StoreError, StoreRefused
from aggregator.observability.metrics import Metrics
from aggregator.outlets.address import OutletAddress
from aggregator.outlets.definition import OutletParts
from aggregator.outlets.outbox.outbox import OpenOutlet, OutletOutbox
from aggregator.outlets.outbox.queue_file import DEDUP_SECONDS, QueueFile
from aggregator.outlets.outbox.sender import SEND_SECONDS
from aggregator.outlets.ports import Outlet
from aggregator.outlets.registry import make_outlet
from aggregator.outlets.sources import PRICES, TRADES, HandingEvents, HandingPrices, HandingTrades, PriceEvents
from aggregator.ports import History, Sink
from aggregator.runtime.attempts import Attempt
from aggregator.runtime.parts.outlet_topics import missing_topics
from aggregator.runtime.process import Process, running
from aggregator.settings import PREFIX, Settings
from aggregator.stores.definition import FILE_REMEDY
from aggregator.stores.redis.client import RedisClient
from aggregator.trades.event_log.kafka.address import KafkaSecurity
from aggregator.trades.ports import EventStore, TradeStore

_DRAIN_SECONDS = 3.0  # for what waits to be sent when the process stops
_RECALL_SECONDS = 5.0
_RECALL_BATCH = 1000  # symbols read from history at a time
_SETTING = f"{PREFIX}OUTLETS"


async def open_outlets(process: Process, attempt: Attempt, redis: RedisClient | None) -> None:
    """Open the outlets that the settings name, for `process.outlets`. Raises CannotGoOn."""
    settings = process.settings
    addresses = settings.outlet_addresses
    if not addresses or settings.role == "api":
        return
    _check_topics(process, addresses)
    _check_assets(process, addresses)
    outbox = await open_outbox(settings, process.metrics, process.stack, attempt, redis, process.clock.now)
    process.stack.push_async_callback(outbox.drain, _DRAIN_SECONDS)
    process.outlets = outbox
    if settings.role == "processor" or not outbox.wants(PRICES):
        outbox.recovered()
    structlog.get_logger().info("outlets", names=outbox.names)


async def open_outbox(
    settings: Settings,
    metrics: Metrics,
    stack: AsyncExitStack,
    attempt: Attempt,
    redis: RedisClient | None,
    now: Callable[[], float],
) -> OutletOutbox:
    """Return the outbox, which sends from now on and is closed with the stack. Raises CannotGoOn.

    With Redis, one of the processes that share the file sends to an outlet: the one that has its lease.
    """
    file = QueueFile(settings.outlets_path, settings.outlets_max_bytes)
    async with AsyncExitStack() as unless_opened:
        unless_opened.push_async_callback(file.close)
        await attempt(file.open, f"{PREFIX}OUTLETS_PATH", FILE_REMEDY)
        identity = "" if redis is None else await file.identity()
        parts = OutletParts(metrics, now, settings.outlets_allow_private, _security(settings))
        opened = [
            OpenOutlet(one, await _opened(one, parts), await _lease(stack, f"outlet_{one.name}_{identity}", redis))
            for one in settings.outlet_addresses
        ]
        claims = None if redis is None else OutletClaims(redis, identity, DEDUP_SECONDS + SEND_SECONDS)
        outbox = OutletOutbox(file, opened, metrics.outlets, now, claims)
        unless_opened.pop_all()
    stack.push_async_callback(outbox.close)
    await attempt(outbox.open, f"{PREFIX}OUTLETS_PATH", FILE_REMEDY)
    await stack.enter_async_context(running(outbox))
    if redis is not None:
        await stack.enter_async_context(running(OutletReporter(redis, identity, lambda: outbox.states)))
    return outbox


def behind_history(process: Process, history: Sink) -> Sink:
    """Return a sink that hands prices over once history has them; history itself if no outlet wants prices."""
    outlets = process.outlets
    if outlets is None or not outlets.wants(PRICES):
        return history
    return HandingPrices(history, outlets, PriceEvents(process.catalog, process.clock.now))


def behind_trades(process: Process, store: TradeStore) -> TradeStore:
    """Return a store that hands trades over before they are committed; `store` if no outlet wants trades."""
    outlets = process.outlets
    if outlets is None or not outlets.wants(TRADES):
        return store
    return HandingTrades(store, outlets, process.catalog, process.clock.now)


def before_events(process: Process, store: EventStore) -> EventStore:
    """Return a store that hands events over before it stores them; `store` without outlets."""
    outlets = process.outlets
    return store if outlets is None else HandingEvents(store, outlets, process.catalog, outlets.wants)


async def hand_over_newest(process: Process, history: History) -> None:
    """Hand over the newest prices of history that a killed process may not have handed over.

    Bounded in time: an outbox that does not know them yet must not hold up the start.
    """
    outlets = process.outlets
    if outlets is None or not outlets.wants(PRICES):
        return
    try:
        async with asyncio.timeout(_RECALL_SECONDS):
            last = await outlets.last_handed()
            if last is not None:
                await _hand_over_since(process, outlets, history, last - DEDUP_SECONDS)
    except (StoreError, TimeoutError) as error:
        structlog.get_logger().warning("newest_prices_not_handed_over", error=str(error))
    outlets.recovered()


async def _hand_over_since(process: Process, outlets: OutletOutbox, history: History, since: float) -> None:
    events = PriceEvents(process.catalog, process.clock.now)
    symbols = list(process.catalog.assets)
    for first in range(0, len(symbols), _RECALL_BATCH):
        found = await history.latest(symbols[first : first + _RECALL_BATCH])
        await outlets.hand_over(events.of(price for price in found.values() if price.timestamp > since))


async def _opened(address: OutletAddress, parts: OutletParts) -> Outlet:
    """Open an outlet. One that is away is no reason not to start."""
    outlet = make_outlet(address, parts)
    try:
        await outlet.open()
    except StoreRefused as error:
        raise CannotGoOn(f"outlet {address.name}: {error}", f"change {_SETTING}") from error
    except StoreError as error:
        structlog.get_logger().warning("receiver_away", outlet=address.name, error=str(error))
    return outlet


async def _lease(stack: AsyncExitStack, name: str, redis: RedisClient | None) -> Callable[[], bool]:
    if redis is None:
        return _always
    lease = FeedLease(redis, name)
    await stack.enter_async_context(running(lease))
    return lambda: lease.held


def _always() -> bool:
    return True


def _check_topics(process: Process, addresses: list[OutletAddress]) -> None:
    """Refuse a topic without events here. A role that leaves it to others may share their settings."""
    missing = missing_topics(process.settings)
    for one in addresses:
        for topic in sorted(one.filter.topics & missing.keys()):
            raise CannotGoOn(
                f"outlet {one.name} has the topic {topic}, but {missing[topic]}", f"change that, or {_SETTING}"
            )


def _check_assets(process: Process, addresses: list[OutletAddress]) -> None:
    for one in addresses:
        unlisted = sorted(symbol for symbol in one.filter.assets if process.catalog.find(symbol) is None)
        if unlisted:
            raise CannotGoOn(
                f"{', '.join(unlisted[:10])} not in {process.settings.symbols_file}, but assets of outlet {one.name}",
                f"name listed symbols in {_SETTING}",
            )


def _security(settings: Settings) -> KafkaSecurity:
    password = settings.kafka_password.get_secret_value()
    return KafkaSecurity(settings.kafka_username, password, settings.kafka_sasl, settings.kafka_ca)
