"""The answers about prices.

`scripts/client_models` makes this module from /openapi.json. A test checks it.
"""

from datetime import datetime
from decimal import Decimal

import msgspec


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """A price.

    It has the 24-hour figures, the last seven fields, with `details=true` only.
    """

    asset: str
    price: Decimal
    """In units of the quote asset, to ten significant digits."""
    last_updated: str
    """`timestamp` in UTC."""
    timestamp_iso: datetime
    time_ago: str
    """The age, rounded down."""
    refresh_tier: str
    """The tier, which sets how often the price is refreshed.

    One of: cold, hot, medium.
    """
    timestamp: datetime
    """The newest exchange time of the sources, at most the service's own time."""
    sources: int
    """How many exchanges contributed."""
    spread: Decimal
    """(highest - lowest) / price of the sources."""
    stale: bool
    """Whether the price is older than 1.5 intervals of its tier."""
    degraded: bool
    """Whether fewer exchanges contributed than list the asset."""
    change_24h: Decimal | None = None
    """`price` less the price that was current at `figures_since`."""
    change_24h_percent: Decimal | None = None
    """The change in percent of that price, to ten significant digits."""
    high_24h: Decimal | None = None
    """The highest price after `figures_since`."""
    low_24h: Decimal | None = None
    """The lowest price after `figures_since`."""
    volume_24h: Decimal | None = None
    """In units of the base asset: the sum of the 24-hour volumes of the exchanges that contributed."""
    figures_since: datetime | None = None
    """The last multiple of five minutes that is at least 24 hours ago.

    Change, high and low are exact for the stored prices from then on.
    """
    figures_reason: str | None = None
    """Why change, high and low are null; null if they are not.

    One of: cut_off, history_too_young, history_unavailable, loading.
    """


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A requested asset without a price, and the reason.

    `near` has listed assets that an unknown symbol may mean.
    """

    asset: str
    reason: str
    """One of: Invalid asset symbol, Asset not found, No price known now."""
    near: list[str] | None = None


class PriceList(msgspec.Struct, frozen=True, kw_only=True):
    """The prices found, and the requested assets without one."""

    prices: list[Price]
    missing: list[Missing]


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """The two factors of a converted ticker: the exchange's price of `symbol`, and our price of the pair `rate`."""

    symbol: str
    price: Decimal
    rate: str
    rate_price: Decimal
    rate_timestamp: datetime


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange's ticker as it went into a price, with its weight (0 to 1).

    `converted` is set only for a ticker that was converted from another quote.
    """

    exchange: str
    price: Decimal
    volume: Decimal
    """In units of the base asset."""
    timestamp: datetime
    weight: Decimal
    """Share of the volume, at most MAX_WEIGHT."""
    clock: str | None = None
    """The clock of `timestamp`: the exchange's, or ours when we received the ticker.

    One of: exchange, receipt.
    """
    converted: Conversion | None = None


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange without a part in a price, the reason, and its ticker if there is one that can be shown."""

    exchange: str
    reason: str
    """One of.

    Bad_price, bad_volume, blocked, breaker_open, disagreement, from_the_future, http_error, late, maintenance,
    no_rate, not_listed, outlier, rate_limited, timeout, too_few, too_old, undecodable, unreachable, wrong_symbol.
    """
    detail: str | None = None
    price: Decimal | None = None
    volume: Decimal | None = None
    timestamp: datetime | None = None
    converted: Conversion | None = None


class PriceSources(msgspec.Struct, frozen=True, kw_only=True):
    """A price, the tickers it was made of, and the exchanges that did not contribute."""

    asset: str
    price: Decimal
    """In units of the quote asset, to ten significant digits."""
    last_updated: str
    """`timestamp` in UTC."""
    timestamp_iso: datetime
    time_ago: str
    """The age, rounded down."""
    refresh_tier: str
    """The tier, which sets how often the price is refreshed.

    One of: cold, hot, medium.
    """
    timestamp: datetime
    """The newest exchange time of the sources, at most the service's own time."""
    sources: list[Source]
    spread: Decimal
    """(highest - lowest) / price of the sources."""
    stale: bool
    """Whether the price is older than 1.5 intervals of its tier."""
    degraded: bool
    """Whether fewer exchanges contributed than list the asset."""
    left_out: list[LeftOut]
    no_new_price: list[LeftOut] | None = None
    """Only for a stale price: each exchange's reason why no newer price can be made."""


class RefreshedPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A price that has just been made and stored."""

    asset: str
    price: Decimal
    """In units of the quote asset, to ten significant digits."""
    last_updated: str
    """`timestamp` in UTC."""
    timestamp_iso: datetime
    time_ago: str
    """The age, rounded down."""
    refresh_tier: str
    """The tier, which sets how often the price is refreshed.

    One of: cold, hot, medium.
    """
    timestamp: datetime
    """The newest exchange time of the sources, at most the service's own time."""
    sources: int
    """How many exchanges contributed."""
    spread: Decimal
    """(highest - lowest) / price of the sources."""
    stale: bool
    """Whether the price is older than 1.5 intervals of its tier."""
    degraded: bool
    """Whether fewer exchanges contributed than list the asset."""
    message: str


class Sparkline(msgspec.Struct, frozen=True, kw_only=True):
    """The last price of each half hour of the last 24 hours, oldest first; of shorter steps while less is known.

    `timestamps` and `prices` have the same length, at most 51; both are empty while no price is known. `reason`
    says why there are none of 24 hours ago, as `figures_reason` of a price does; null if there are.
    """

    asset: str
    timestamps: list[datetime]
    prices: list[float]
    reason: str | None
    """One of: cut_off, history_too_young, history_unavailable, loading."""


class SparklineList(msgspec.Struct, frozen=True, kw_only=True):
    """The sparklines of the requested assets, and the names without an asset."""

    sparklines: list[Sparkline]
    missing: list[Missing]
