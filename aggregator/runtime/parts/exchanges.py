"""Opens the exchanges that the settings name: polled, pushed, replayed, or asked through ccxt."""

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import msgspec

from aggregator.errors import CannotGoOn
from aggregator.exchanges.guarded_exchange import GuardedExchange
from aggregator.exchanges.http import HttpExchange, Session, session
from aggregator.exchanges.listing import Listings
from aggregator.exchanges.push.feed import Feed
from aggregator.exchanges.push.socket import Connect, connector
from aggregator.exchanges.push.trade_feed import MOST_BYTES, TradeFeed, TradeSinks
from aggregator.exchanges.recording import BadRecording, read
from aggregator.exchanges.registry import DIALECTS, PUSHING, TRADING
from aggregator.exchanges.replay import ReplayedExchange, recorded_clock, replayed
from aggregator.exchanges.targets import REPLAY, ExchangeTarget, exchange_targets
from aggregator.exchanges.venues.ccxt import CcxtExchange
from aggregator.exchanges.wrapped import ConvertingExchange, PushedExchange, ShiftedExchange
from aggregator.models import Asset, Tier
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.ports import Exchange, LocalCache
from aggregator.prices.conversion import Conversions
from aggregator.prices.tiers import Catalog
from aggregator.resilience.circuit_breaker import BreakerGroup
from aggregator.runtime.catalog import conversions_of
from aggregator.settings import Settings

_LONGEST_BRIEF = 10.0  # seconds that a breaker stays open while all breakers are; at most half a hot interval


class Exchanges(msgspec.Struct, frozen=True):
    """All exchanges, and the listings and feeds that have to run beside them."""

    all: list[Exchange]
    listings: Listings
    feeds: list[Feed]
    trade_feeds: Sequence[TradeFeed] = ()


async def open_exchanges(
    settings: Settings,
    catalog: Catalog,
    cache: LocalCache,
    metrics: Metrics,
    stack: AsyncExitStack,
    tracer: Tracer = UNTRACED,
    now: Callable[[], float] = time.time,
    subscribes: Callable[[], bool] = lambda: True,
    trade_sinks: TradeSinks | None = None,
) -> Exchanges:
    """Open every exchange that the settings name and read its listing; `stack` closes them. Raises CannotGoOn.

    The feeds are subscribed while `subscribes` returns true. With `trade_sinks`, and the setting TRADE_FEEDS, there are
    feeds of trades too.
    """
    http = await stack.enter_async_context(session(settings.exchange_timeout))
    rest = BreakerGroup(brief=min(_LONGEST_BRIEF, settings.hot_interval / 2))
    parts = Parts(settings, catalog, rest, http, metrics, tracer, now, subscribes, trade_sinks)
    opened = [open_one(target, parts, stack) for target in exchange_targets(settings.exchanges)]
    listings = Listings([one.polled for one in opened])
    await listings.open()
    found = [one.whole(metrics) for one in opened]
    conversions = conversions_of(settings, catalog)
    if conversions is not None:
        rate = cache.newest.known  # not `peek`, which finds nothing while Redis is away
        found = [ConvertingExchange(one, conversions, catalog, rate, now) for one in found]
    feeds = [one.feed for one in opened if one.feed is not None]
    return Exchanges(found, listings, feeds, [one.trade_feed for one in opened if one.trade_feed is not None])


class Opened(msgspec.Struct, frozen=True):
    """One exchange as it is polled, its feeds if it has any, and for a recording the seconds since it was made."""

    polled: GuardedExchange
    feed: Feed | None = None
    behind: float = 0.0
    trade_feed: TradeFeed | None = None

    def whole(self, metrics: Metrics) -> Exchange:
        """Return the exchange with its feed in front, and with its tickers moved to our time."""
        exchange: Exchange = self.polled if self.feed is None else PushedExchange(self.polled, self.feed, metrics)
        return ShiftedExchange(exchange, self.behind) if self.behind else exchange


class Parts(msgspec.Struct, frozen=True):
    """The dependencies that all exchanges share."""

    settings: Settings
    catalog: Catalog
    rest: BreakerGroup
    http: Session
    metrics: Metrics
    tracer: Tracer = UNTRACED
    now: Callable[[], float] = time.time
    subscribes: Callable[[], bool] = lambda: True
    trade_sinks: TradeSinks | None = None

    def feed(
        self, name: str, dialect: str, url: str, polled: Exchange, connect: Connect, now: Callable[[], float]
    ) -> Feed:
        """Return the feed of an exchange's hot assets; an empty `url` means the dialect's public one."""
        conversions = conversions_of(self.settings, self.catalog)

        def wanted() -> list[Asset]:
            return _pushed_assets(self.catalog, polled, conversions) if self.subscribes() else []

        pushing, interval = PUSHING[dialect](), self.settings.hot_interval
        return Feed(name, url or pushing.public_url, pushing, connect, wanted, interval, self.metrics, now=now)

    def trade_feed(
        self, target: ExchangeTarget, polled: HttpExchange, connect: Connect | None = None
    ) -> TradeFeed | None:
        """Return the feed of the trades of an exchange's hot assets; None where the settings or the venue have none."""
        url, sinks = target.trades_url, self.trade_sinks
        if url is None or sinks is None or not self.settings.trade_feeds:
            return None
        dialect = TRADING[target.dialect]()

        def wanted() -> list[Asset]:
            hot = self.catalog.of(Tier.HOT) if self.subscribes() else []
            return [asset for asset in hot if polled.trades(asset.symbol) is not False]

        return TradeFeed(
            target.name,
            url or dialect.public_url,
            dialect,
            connect or connector(self.http, self.now, MOST_BYTES),
            wanted,
            self.catalog.find,
            partial(polled.recent_trades, dialect),
            sinks,
            self.metrics.trades,
            now=self.now,
        )


def open_one(target: ExchangeTarget, parts: Parts, stack: AsyncExitStack) -> Opened:
    """Open one exchange, without reading its listing; `stack` closes it. Raises CannotGoOn."""
    slots, batch = parts.settings.exchange_concurrency, parts.settings.exchange_batch
    name, metrics, rest, now, tracer = target.name, parts.metrics, parts.rest, parts.now, parts.tracer
    if target.dialect == REPLAY:
        return _open_recording(target, parts)
    if target.library:
        seconds = parts.settings.exchange_timeout
        library = CcxtExchange(name, target.library, target.url, metrics, slots, seconds, rest, now=now, tracer=tracer)
        stack.push_async_callback(library.close)
        return Opened(library)
    dialect = DIALECTS[target.dialect]()
    url = target.url or dialect.public_url
    polled = HttpExchange(name, url, dialect, parts.http, metrics, slots, batch, rest, now=now, tracer=tracer)
    trade_feed = parts.trade_feed(target, polled)
    if target.push_url is None:
        return Opened(polled, trade_feed=trade_feed)
    connect = connector(parts.http, now)
    feed = parts.feed(name, target.dialect, target.push_url, polled, connect, now)
    return Opened(polled, feed, trade_feed=trade_feed)


def _open_recording(target: ExchangeTarget, parts: Parts) -> Opened:
    try:
        recording = read(Path(target.url))
    except BadRecording as error:
        raise CannotGoOn(str(error), "make one with `aggregator record`") from error
    header = recording.header
    if header.dialect not in DIALECTS or (header.pushed and header.dialect not in PUSHING):
        raise CannotGoOn(
            f"{target.url} is a recording of {header.dialect!r}, which is no dialect of this version",
            f"replay one of {', '.join(DIALECTS)}",
        )
    now, behind = recorded_clock(recording, parts.now)
    polled = ReplayedExchange(
        target.name,
        DIALECTS[header.dialect](),
        recording,
        parts.http,
        parts.metrics,
        parts.settings.exchange_concurrency,
        parts.settings.exchange_batch,
        parts.rest,
        now,
        parts.tracer,
    )
    connect = replayed(recording, now)
    feed = parts.feed(target.name, header.dialect, "", polled, connect, now) if header.pushed else None
    return Opened(polled, feed, behind)


def _pushed_assets(catalog: Catalog, exchange: Exchange, conversions: Conversions | None) -> list[Asset]:
    """Return the assets that a feed subscribes to: each hot asset, or the first one listed that converts into it."""
    found: dict[str, Asset] = {}
    for asset in catalog.of(Tier.HOT):
        convertible = [one.asset for one in conversions.sources(asset)] if conversions is not None else []
        listed = next((one for one in (asset, *convertible) if exchange.trades(one.symbol) is not False), None)
        if listed is not None:
            found[listed.symbol] = listed
    return list(found.values())
