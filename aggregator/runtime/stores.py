"""Opens Redis, the cache and the history that the settings name. Trades: `trade_stores`; events: `event_stores`."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from aggregator.live.topics import Bus
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.ports import History, LocalCache
from aggregator.runtime.attempts import Attempt, attempt, run_steps
from aggregator.settings import Settings
from aggregator.stores.definition import HistoryParts
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.registry import CacheParts, cache_store, history_store
from aggregator.stores.traced import TracedHistory


async def open_redis(settings: Settings, stack: AsyncExitStack, attempt: Attempt = attempt) -> RedisClient | None:
    """Connect to the Redis that the settings name, or return None; closed with the stack. Raises CannotGoOn."""
    if not settings.shares_cache:
        return None
    client = RedisClient(settings.cache_url, settings.redis_timeout)
    stack.push_async_callback(client.close)
    await attempt(client.ping, "AGGREGATOR_CACHE_URL", "start Redis there, or use memory://")
    return client


def cache_of(
    settings: Settings,
    redis: RedisClient | None,
    bus: Bus,
    tracer: Tracer = UNTRACED,
    now: Callable[[], float] = time.time,
) -> LocalCache:
    """Return the cache that the settings name. Its local part subscribes to the bus."""
    ttl = {tier: cadence.ttl for tier, cadence in settings.cadence.items()}
    return cache_store(settings.cache_url).create(CacheParts(ttl, bus, redis, tracer, now))


async def open_history(
    settings: Settings,
    metrics: Metrics,
    stack: AsyncExitStack,
    tracer: Tracer = UNTRACED,
    attempt: Attempt = attempt,
    now: Callable[[], float] = time.time,
) -> History:
    """Open the history that the settings name; it is closed with the stack. Raises CannotGoOn."""
    parts = HistoryParts(
        retention_of(settings),
        settings.outbox_path,
        settings.outbox_max_bytes,
        metrics,
        tracer,
        now,
        settings.postgres_password,
    )
    created = history_store(settings.history_url).create(settings.history_url, parts)
    stack.push_async_callback(created.history.close)
    await run_steps(created.open_steps, attempt)
    return created.history if tracer is UNTRACED else TracedHistory(created.history, tracer)


def retention_of(settings: Settings) -> float | None:
    """Return for how many seconds history keeps prices; None keeps them for good."""
    return None if settings.retention_days is None else settings.retention_days * 86_400
