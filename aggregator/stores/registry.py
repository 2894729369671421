"""Every store by the scheme of its URL. A new history is a module with a HistoryStore and a line in HISTORIES.

Settings check URLs, show their forms and open stores through this registry; no other module lists the stores.
"""

from collections.abc import Callable, Mapping

import msgspec

from aggregator.live.price_topic import PRICES
from aggregator.live.topics import Bus
from aggregator.models import Tier
from aggregator.newest import NewestPrices
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.ports import Cache, LocalCache
from aggregator.stores.circuit_breaking_cache import CircuitBreakingCache
from aggregator.stores.definition import HistoryStore, forms_of, kind_of
from aggregator.stores.dynamodb import DYNAMODB
from aggregator.stores.memory import MEMORY_URL, MemoryCache, check_memory_url
from aggregator.stores.postgres import POSTGRES
from aggregator.stores.redis.cache import RedisCache
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.redis.url import REDIS_URL, REDISS_URL, check_redis_url
from aggregator.stores.sqlite import SQLITE
from aggregator.stores.traced import TracedCache
from aggregator.stores.two_level_cache import TwoLevelCache


class CacheParts(msgspec.Struct, frozen=True):
    """The parts that caches are made of. `redis` is None where the cache's URL names no Redis; `ttl` is in seconds."""

    ttl: Mapping[Tier, float]
    bus: Bus
    redis: RedisClient | None
    tracer: Tracer
    now: Callable[[], float]


class CacheStore(msgspec.Struct, frozen=True):
    """A kind of cache. `is_shared`: whether other processes see its prices, through the Redis that the URL names."""

    example: str
    form: str
    check: Callable[[str], None]
    create: Callable[[CacheParts], LocalCache]
    is_shared: bool


def _create_memory_cache(parts: CacheParts) -> LocalCache:
    return MemoryCache(NewestPrices(parts.ttl, now=parts.now), parts.bus)


def _create_redis_cache(parts: CacheParts) -> LocalCache:
    """Return a local cache in front of a circuit breaker in front of Redis."""
    if parts.redis is None:
        raise ValueError("a Redis cache needs a RedisClient")
    cache: Cache = RedisCache(parts.redis, parts.ttl, parts.now)
    if parts.tracer is not UNTRACED:
        cache = TracedCache(cache, parts.tracer)
    local = TwoLevelCache(CircuitBreakingCache(cache, now=parts.now), NewestPrices(parts.ttl, now=parts.now))
    parts.bus.listen(PRICES, local)
    return local


HISTORIES: dict[str, HistoryStore] = {
    "sqlite": SQLITE,
    "dynamodb": DYNAMODB,
    "postgresql": POSTGRES,
}
CACHES: dict[str, CacheStore] = {
    "memory": CacheStore(MEMORY_URL, MEMORY_URL, check_memory_url, _create_memory_cache, is_shared=False),
    "redis": CacheStore("redis://host:6379/0", REDIS_URL, check_redis_url, _create_redis_cache, is_shared=True),
    "rediss": CacheStore("rediss://host:6379/0", REDISS_URL, check_redis_url, _create_redis_cache, is_shared=True),
}


def history_store(url: str) -> HistoryStore:
    """Return the history of the URL's scheme. Raises ValueError where there is none."""
    return kind_of(url, HISTORIES)


def cache_store(url: str) -> CacheStore:
    """Return the cache of the URL's scheme. Raises ValueError where there is none."""
    return kind_of(url, CACHES)


def history_forms() -> str:
    """Return the form of every history's URL, for the documentation of settings."""
    return forms_of(HISTORIES)


def cache_forms() -> str:
    """Return the form of every cache's URL, for the documentation of settings."""
    return forms_of(CACHES)
