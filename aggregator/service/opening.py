"""From settings to open parts: the catalog, the stores, the exchanges."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

from aggregator.errors import CannotGoOn, StoreError
from aggregator.exchanges.binance import Binance
from aggregator.exchanges.coinbase import Coinbase
from aggregator.exchanges.dialect import Dialect
from aggregator.exchanges.guard import Rest
from aggregator.exchanges.http import HttpExchange, session
from aggregator.exchanges.kraken import Kraken
from aggregator.exchanges.mock import Mock
from aggregator.hub import Hub
from aggregator.metrics import Metrics
from aggregator.ports import History, Near
from aggregator.settings import DynamoTarget, Settings, exchange_targets, history_target
from aggregator.stores.dynamodb import DynamoTable
from aggregator.stores.memory import MemoryCache
from aggregator.stores.near import NearCache
from aggregator.stores.outbox import Outbox
from aggregator.stores.redis.cache import RedisCache
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.resting import RestingCache
from aggregator.stores.sqlite import SqliteHistory
from aggregator.tiers import Catalog, SymbolsError, assign, read_symbols

DIALECTS: Mapping[str, Callable[[], Dialect]] = {
    "mock": Mock,
    "binance": Binance,
    "coinbase": Coinbase,
    "kraken": Kraken,
}

_LONGEST_BRIEF = 10.0  # seconds an exchange that fails is left alone while all of them do; at most half a hot interval


def catalog_of(settings: Settings) -> Catalog:
    """Read the symbols file. Raises CannotGoOn."""
    path = settings.symbols_file
    try:
        rows = read_symbols(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise CannotGoOn(f"cannot read {path}: {error.strerror}; name a file with --symbols-file") from error
    except UnicodeDecodeError as error:
        raise CannotGoOn(f"{path} is not UTF-8 text") from error
    except SymbolsError as error:
        raise CannotGoOn(f"{path}: {error}") from error
    catalog = assign(rows, settings.hot_size, settings.medium_size, settings.cadence)
    unlisted = [symbol for symbol in settings.pinned if catalog.find(symbol) is None]
    if unlisted:
        raise CannotGoOn(f"{', '.join(unlisted)} not in {path}, but pinned; name listed symbols with --pinned")
    return catalog


async def open_redis(settings: Settings, stack: AsyncExitStack) -> RedisClient | None:
    """Connect to Redis where the settings name one; closed with the stack. Raises CannotGoOn."""
    if settings.cache_url == "memory://":
        return None
    client = RedisClient(settings.cache_url, settings.redis_timeout)
    stack.push_async_callback(client.close)
    await _try(client.ping(), "AGGREGATOR_CACHE_URL", "start Redis there, or use memory://")
    return client


def cache_of(settings: Settings, redis: RedisClient | None, hub: Hub) -> Near:
    """Return the cache, the part of it in this process told by the hub of every new price."""
    ttl = {tier: cadence.ttl for tier, cadence in settings.cadence.items()}
    if redis is None:
        return MemoryCache(ttl, hub)
    near = NearCache(RestingCache(RedisCache(redis, ttl)), ttl)
    hub.listen(near)
    return near


async def open_history(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> History:
    """Open and try the history; it is closed with the stack. Raises CannotGoOn."""
    target = history_target(settings.history_url)
    retention = None if settings.retention_days is None else settings.retention_days * 86_400
    file_mend = "name a file in a folder that exists and can be written to"
    history: SqliteHistory | Outbox
    if isinstance(target, DynamoTarget):
        table = DynamoTable(target.table, target.region, target.endpoint, metrics, retention)
        history = Outbox(settings.outbox_path, settings.outbox_max_bytes, table, metrics)
        stack.push_async_callback(history.close)
        table_mend = "check region, endpoint, credentials and rights, or use sqlite:///prices.db"
        await _try(table.open(), "AGGREGATOR_HISTORY_URL", table_mend)
        await _try(history.open(), "AGGREGATOR_OUTBOX_PATH", file_mend)
    else:
        history = SqliteHistory(target.path, retention)
        stack.push_async_callback(history.close)
        await _try(history.open(), "AGGREGATOR_HISTORY_URL", file_mend)
    return history


async def open_exchanges(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> list[HttpExchange]:
    """Return every exchange the settings name, on one session that is closed with the stack."""
    http = await stack.enter_async_context(session(settings.exchange_timeout))
    rest = Rest(brief=min(_LONGEST_BRIEF, settings.hot_interval / 2))
    exchanges = []
    for target in exchange_targets(settings.exchanges):
        dialect = DIALECTS[target.dialect]()
        url = target.url or dialect.public_url
        slots, batch = settings.exchange_concurrency, settings.exchange_batch
        exchanges.append(HttpExchange(target.name, url, dialect, http, metrics, slots, batch, rest))
    return exchanges


async def _try(step: Awaitable[None], setting: str, mend: str) -> None:
    try:
        await step
    except StoreError as error:
        raise CannotGoOn(f"{error}; {mend} ({setting})") from error
