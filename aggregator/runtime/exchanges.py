"""From settings to open exchanges: each dialect, feed, recording and library behind the seam the refresher knows."""

import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import msgspec

from aggregator.errors import CannotGoOn
from aggregator.exchanges.converting import ConvertingExchange
from aggregator.exchanges.dialect import Dialect
from aggregator.exchanges.guarded_exchange import GuardedExchange
from aggregator.exchanges.http import HttpExchange, Session, session
from aggregator.exchanges.listings import Listings
from aggregator.exchanges.push.dialect import PushDialect
from aggregator.exchanges.push.exchange import PushedExchange
from aggregator.exchanges.push.feed import Feed
from aggregator.exchanges.push.socket import Connect, connector
from aggregator.exchanges.recording import BadRecording, read
from aggregator.exchanges.replay import ReplayedExchange, Shifted, recorded_clock, replayed
from aggregator.exchanges.targets import REPLAY, ExchangeTarget, exchange_targets
from aggregator.exchanges.venues.binance import Binance
from aggregator.exchanges.venues.binance_ws import BinancePush
from aggregator.exchanges.venues.bybit import Bybit
from aggregator.exchanges.venues.ccxt import CcxtExchange
from aggregator.exchanges.venues.coinbase import Coinbase
from aggregator.exchanges.venues.coinbase_ws import CoinbasePush
from aggregator.exchanges.venues.kraken import Kraken
from aggregator.exchanges.venues.kraken_ws import KrakenPush
from aggregator.exchanges.venues.mock import Mock
from aggregator.exchanges.venues.okx import Okx
from aggregator.models import Asset, Tier
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.ports import Exchange, LocalCache
from aggregator.prices.conversion import Conversions
from aggregator.prices.tiers import Catalog
from aggregator.resilience.circuit_breaker import BreakerGroup
from aggregator.runtime.stores import conversions_of
from aggregator.settings import Settings

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


class Exchanges(msgspec.Struct, frozen=True):
    """Every exchange the settings name, and what has to run beside them."""

    all: list[Exchange]
    listings: Listings
    feeds: list[Feed]


async def open_exchanges(
    settings: Settings,
    catalog: Catalog,
    cache: LocalCache,
    metrics: Metrics,
    stack: AsyncExitStack,
    tracer: Tracer = UNTRACED,
    now: Callable[[], float] = time.time,
) -> Exchanges:
    """Open every exchange the settings name, its listing read; closed with the stack. Raises CannotGoOn."""
    http = await stack.enter_async_context(session(settings.exchange_timeout))
    rest = BreakerGroup(brief=min(_LONGEST_BRIEF, settings.hot_interval / 2))
    parts = Parts(settings, catalog, rest, http, metrics, tracer, now)
    opened = [open_one(target, parts, stack) for target in exchange_targets(settings.exchanges)]
    listings = Listings([one.polled for one in opened])
    await listings.open()
    found = [one.whole(metrics) for one in opened]
    conversions = conversions_of(settings, catalog)
    if conversions is not None:
        found = [ConvertingExchange(one, conversions, catalog, cache.peek, now) for one in found]
    return Exchanges(found, listings, [one.feed for one in opened if one.feed is not None])


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
    rest: BreakerGroup
    http: Session
    metrics: Metrics
    tracer: Tracer = UNTRACED
    now: Callable[[], float] = time.time

    def feed(
        self, name: str, dialect: str, url: str, polled: Exchange, connect: Connect, now: Callable[[], float]
    ) -> Feed:
        """Return what an exchange pushes of hot assets; `url` may be empty."""
        wanted = partial(_hot, self.catalog, polled, conversions_of(self.settings, self.catalog))
        pushing, interval = PUSHING[dialect](), self.settings.hot_interval
        return Feed(name, url or pushing.public_url, pushing, connect, wanted, interval, self.metrics, now=now)


def open_one(target: ExchangeTarget, parts: Parts, stack: AsyncExitStack) -> Opened:
    """Open one exchange, its listing not read yet; closed with the stack. Raises CannotGoOn."""
    if target.dialect == REPLAY:
        return _replayed(target, parts)
    if target.library:
        return _through_library(target, parts, stack)
    dialect = DIALECTS[target.dialect]()
    url, slots, batch = target.url or dialect.public_url, *_bounds(parts.settings)
    polled = HttpExchange(
        target.name,
        url,
        dialect,
        parts.http,
        parts.metrics,
        slots,
        batch,
        parts.rest,
        now=parts.now,
        tracer=parts.tracer,
    )
    if target.push_url is None:
        return Opened(polled)
    connect = connector(parts.http, parts.now)
    return Opened(polled, parts.feed(target.name, target.dialect, target.push_url, polled, connect, parts.now))


def _through_library(target: ExchangeTarget, parts: Parts, stack: AsyncExitStack) -> Opened:
    slots, _ = _bounds(parts.settings)
    seconds = parts.settings.exchange_timeout
    found = CcxtExchange(
        target.name,
        target.library,
        target.url,
        parts.metrics,
        slots,
        seconds,
        parts.rest,
        now=parts.now,
        tracer=parts.tracer,
    )
    stack.push_async_callback(found.close)
    return Opened(found)


def _replayed(target: ExchangeTarget, parts: Parts) -> Opened:
    try:
        recording = read(Path(target.url))
    except BadRecording as error:
        raise CannotGoOn(str(error), "make one with `aggregator record`") from error
    header = recording.header
    if header.dialect not in DIALECTS or (header.pushed and header.dialect not in PUSHING):
        raise CannotGoOn(f"{target.url} is of {header.dialect!r}, which is no dialect we know")
    now, behind = recorded_clock(recording, parts.now)
    slots, batch = _bounds(parts.settings)
    polled = ReplayedExchange(
        target.name,
        DIALECTS[header.dialect](),
        recording,
        parts.http,
        parts.metrics,
        slots,
        batch,
        parts.rest,
        now,
        parts.tracer,
    )
    connect = replayed(recording, now)
    feed = parts.feed(target.name, header.dialect, "", polled, connect, now) if header.pushed else None
    return Opened(polled, feed, behind)


def _bounds(settings: Settings) -> tuple[int, int]:
    return settings.exchange_concurrency, settings.exchange_batch


def _hot(catalog: Catalog, exchange: Exchange, conversions: Conversions | None) -> list[Asset]:
    """Return what an exchange is to push: hot assets that it trades, and what stands in for those that it does not."""
    found: dict[str, Asset] = {}
    for asset in catalog.of(Tier.HOT):
        stand_ins = [one.asset for one in conversions.sources(asset)] if conversions is not None else []
        listed = next((one for one in (asset, *stand_ins) if exchange.trades(one.symbol) is not False), None)
        if listed is not None:
            found[listed.symbol] = listed
    return list(found.values())
