"""From settings to open parts: the catalog, the stores, the exchanges."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

import msgspec

from aggregator.conversion import CannotConvert, Conversions
from aggregator.errors import CannotGoOn, StoreError
from aggregator.exchanges.binance import Binance
from aggregator.exchanges.bybit import Bybit
from aggregator.exchanges.ccxt import CcxtExchange
from aggregator.exchanges.coinbase import Coinbase
from aggregator.exchanges.converting import ConvertingExchange
from aggregator.exchanges.dialect import Dialect
from aggregator.exchanges.guarded import GuardedExchange
from aggregator.exchanges.http import HttpExchange, Session, session
from aggregator.exchanges.kraken import Kraken
from aggregator.exchanges.listings import Listings
from aggregator.exchanges.mock import Mock
from aggregator.exchanges.okx import Okx
from aggregator.exchanges.push.binance import BinancePush
from aggregator.exchanges.push.coinbase import CoinbasePush
from aggregator.exchanges.push.dialect import PushDialect
from aggregator.exchanges.push.exchange import PushedExchange
from aggregator.exchanges.push.feed import Feed
from aggregator.exchanges.push.kraken import KrakenPush
from aggregator.exchanges.push.socket import connector
from aggregator.hub import Hub
from aggregator.metrics import Metrics
from aggregator.models import Asset, Tier
from aggregator.ports import Exchange, History, Near
from aggregator.settings import DynamoTarget, Settings, history_target
from aggregator.stores.dynamodb import DynamoTable
from aggregator.stores.memory import MemoryCache
from aggregator.stores.near import NearCache
from aggregator.stores.outbox import Outbox
from aggregator.stores.redis.cache import RedisCache
from aggregator.stores.redis.client import RedisClient
from aggregator.stores.resting import RestingCache
from aggregator.stores.sqlite import SqliteHistory
from aggregator.targets import ExchangeTarget, exchange_targets
from aggregator.tiers import Catalog, SymbolsError, assign, read_symbols

DIALECTS: Mapping[str, Callable[[], Dialect]] = {
    "mock": Mock,
    "binance": Binance,
    "coinbase": Coinbase,
    "kraken": Kraken,
    "okx": Okx,
    "bybit": Bybit,
}
PUSHING: Mapping[str, Callable[[], PushDialect]] = {
    "binance": BinancePush,
    "coinbase": CoinbasePush,
    "kraken": KrakenPush,
}


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
    conversions_of(settings, catalog)
    return catalog


def conversions_of(settings: Settings, catalog: Catalog) -> Conversions | None:
    """Return what is to be converted, or None where nothing is. Raises CannotGoOn."""
    if not settings.conversions:
        return None
    rates = [catalog.find(symbol) for symbol in settings.conversions]
    found = [rate for rate in rates if rate is not None]
    if len(found) < len(rates):
        unlisted = [symbol for symbol in settings.conversions if catalog.find(symbol) is None]
        raise CannotGoOn(f"{', '.join(unlisted)} not in {settings.symbols_file}, but a rate of --conversions")
    try:
        return Conversions(found, catalog.assets.values())
    except CannotConvert as error:
        raise CannotGoOn(f"{error} (AGGREGATOR_CONVERSIONS)") from error


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


class Exchanges(msgspec.Struct):
    """Every exchange the settings name, and what has to run beside them."""

    all: list[Exchange]
    beside: list[Listings | Feed]


async def open_exchanges(
    settings: Settings, catalog: Catalog, cache: Near, metrics: Metrics, stack: AsyncExitStack
) -> Exchanges:
    """Open every exchange the settings name, its listing read; closed with the stack. Raises CannotGoOn."""
    http = await stack.enter_async_context(session(settings.exchange_timeout))
    targets = exchange_targets(settings.exchanges)
    polled = [_exchange(target, settings, http, metrics, stack) for target in targets]
    listings = Listings(polled)
    await listings.open()
    conversions = conversions_of(settings, catalog)
    found = Exchanges([], [listings])
    for target, exchange in zip(targets, polled, strict=True):
        opened: Exchange = exchange
        if target.push_url is not None:
            feed = _feed(target, partial(_hot, catalog, exchange, conversions), http, settings, metrics)
            found.beside.append(feed)
            opened = PushedExchange(exchange, feed, metrics)
        found.all.append(
            opened if conversions is None else ConvertingExchange(opened, conversions, catalog, cache.peek)
        )
    return found


def _exchange(
    target: ExchangeTarget, settings: Settings, http: Session, metrics: Metrics, stack: AsyncExitStack
) -> GuardedExchange:
    slots, batch = settings.exchange_concurrency, settings.exchange_batch
    if target.library:
        found = CcxtExchange(target.name, target.library, target.url, metrics, slots, settings.exchange_timeout)
        stack.push_async_callback(found.close)
        return found
    dialect = DIALECTS[target.dialect]()
    return HttpExchange(target.name, target.url or dialect.public_url, dialect, http, metrics, slots, batch)


def _feed(
    target: ExchangeTarget, wanted: Callable[[], Sequence[Asset]], http: Session, settings: Settings, metrics: Metrics
) -> Feed:
    dialect = PUSHING[target.dialect]()
    url, connect = target.push_url or dialect.public_url, connector(http, time.time)
    return Feed(target.name, url, dialect, connect, wanted, settings.hot_interval, metrics)


def _hot(catalog: Catalog, exchange: Exchange, conversions: Conversions | None) -> list[Asset]:
    """Return what an exchange is to push: hot assets that it trades, and what stands in for those that it does not."""
    found: dict[str, Asset] = {}
    for asset in catalog.of(Tier.HOT):
        stand_ins = [one.asset for one in conversions.sources(asset)] if conversions is not None else []
        for one in (asset, *stand_ins):
            if exchange.trades(one.symbol) is not False:
                found[one.symbol] = one
                break
    return list(found.values())


async def _try(step: Awaitable[None], setting: str, mend: str) -> None:
    try:
        await step
    except StoreError as error:
        raise CannotGoOn(f"{error}; {mend} ({setting})") from error
