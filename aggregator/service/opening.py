"""From settings to open parts: the catalog, the stores, the exchanges."""

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import msgspec

from aggregator.conversion import CannotConvert, Conversions
from aggregator.errors import CannotGoOn, StoreError
from aggregator.exchanges.binance import Binance
from aggregator.exchanges.bybit import Bybit
from aggregator.exchanges.ccxt import CcxtExchange
from aggregator.exchanges.coinbase import Coinbase
from aggregator.exchanges.converting import ConvertingExchange
from aggregator.exchanges.dialect import Dialect
from aggregator.exchanges.guard import Rest
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
from aggregator.exchanges.push.socket import Connect, connector
from aggregator.exchanges.recording import BadRecording, read
from aggregator.exchanges.replay import ReplayedExchange, Shifted, recorded_clock, replayed
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
from aggregator.targets import REPLAY, ExchangeTarget, exchange_targets
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
    rest = Rest(brief=min(_LONGEST_BRIEF, settings.hot_interval / 2))
    parts = Parts(settings, catalog, rest, http, metrics)
    opened = [_open(target, parts, stack) for target in exchange_targets(settings.exchanges)]
    listings = Listings([one.polled for one in opened])
    await listings.open()
    found = Exchanges([one.whole(metrics) for one in opened], [listings])
    found.beside += [one.feed for one in opened if one.feed is not None]
    conversions = conversions_of(settings, catalog)
    if conversions is not None:
        found.all = [ConvertingExchange(one, conversions, catalog, cache.peek) for one in found.all]
    return found


class Opened(msgspec.Struct, frozen=True):
    """One exchange: how it is polled, what it pushes, and by how many seconds it is a recording of the past."""

    polled: GuardedExchange
    feed: Feed | None = None
    behind: float = 0.0

    def whole(self, metrics: Metrics) -> Exchange:
        """Put them together."""
        exchange: Exchange = self.polled if self.feed is None else PushedExchange(self.polled, self.feed, metrics)
        return Shifted(exchange, self.behind) if self.behind else exchange


class Parts(msgspec.Struct, frozen=True):
    """What every exchange is made with."""

    settings: Settings
    catalog: Catalog
    rest: Rest
    http: Session
    metrics: Metrics

    def feed(
        self, name: str, dialect: str, url: str, polled: Exchange, connect: Connect, now: Callable[[], float]
    ) -> Feed:
        """Return what an exchange pushes of hot assets; `url` may be empty."""
        wanted = partial(_hot, self.catalog, polled, conversions_of(self.settings, self.catalog))
        pushing, interval = PUSHING[dialect](), self.settings.hot_interval
        return Feed(name, url or pushing.public_url, pushing, connect, wanted, interval, self.metrics, now=now)


def _open(target: ExchangeTarget, parts: Parts, stack: AsyncExitStack) -> Opened:
    settings = parts.settings
    slots, batch = settings.exchange_concurrency, settings.exchange_batch
    if target.dialect == REPLAY:
        return _replayed(target, parts)
    if target.library:
        seconds = settings.exchange_timeout
        found = CcxtExchange(target.name, target.library, target.url, parts.metrics, slots, seconds, parts.rest)
        stack.push_async_callback(found.close)
        return Opened(found)
    dialect = DIALECTS[target.dialect]()
    url = target.url or dialect.public_url
    polled = HttpExchange(target.name, url, dialect, parts.http, parts.metrics, slots, batch, parts.rest)
    if target.push_url is None:
        return Opened(polled)
    connect = connector(parts.http, time.time)
    return Opened(polled, parts.feed(target.name, target.dialect, target.push_url, polled, connect, time.time))


def _replayed(target: ExchangeTarget, parts: Parts) -> Opened:
    try:
        recording = read(Path(target.url))
    except BadRecording as error:
        raise CannotGoOn(f"{error}; make one with `aggregator record`") from error
    header, settings = recording.header, parts.settings
    if header.dialect not in DIALECTS or (header.pushed and header.dialect not in PUSHING):
        raise CannotGoOn(f"{target.url} is of {header.dialect!r}, which is no dialect we know")
    now, behind = recorded_clock(recording)
    slots, batch = settings.exchange_concurrency, settings.exchange_batch
    dialect = DIALECTS[header.dialect]()
    polled = ReplayedExchange(target.name, dialect, recording, parts.http, parts.metrics, slots, batch, parts.rest, now)
    connect = replayed(recording, now)
    feed = parts.feed(target.name, header.dialect, "", polled, connect, now) if header.pushed else None
    return Opened(polled, feed, behind)


def _hot(catalog: Catalog, exchange: Exchange, conversions: Conversions | None) -> list[Asset]:
    """Return what an exchange is to push: hot assets that it trades, and what stands in for those that it does not."""
    found: dict[str, Asset] = {}
    for asset in catalog.of(Tier.HOT):
        stand_ins = [one.asset for one in conversions.sources(asset)] if conversions is not None else []
        listed = next((one for one in (asset, *stand_ins) if exchange.trades(one.symbol) is not False), None)
        if listed is not None:
            found[listed.symbol] = listed
    return list(found.values())


async def _try(step: Awaitable[None], setting: str, mend: str) -> None:
    try:
        await step
    except StoreError as error:
        raise CannotGoOn(f"{error}; {mend} ({setting})") from error
