"""The nouns: Asset, Ticker, Price and what was left out of it, and the one mapping between a Price and JSON.

Prices, volumes, spreads and weights are Decimal from the exchange's bytes to the JSON we send; times are unix
seconds in UTC, as float (a millisecond survives the round trip unharmed). None of them can be part of a cycle, so the
garbage collector is spared them (gc=False).
"""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

FUTURE_TOLERANCE = 5.0  # seconds an exchange's clock may be ahead of ours


class Tier(StrEnum):
    """How often an asset is refreshed; hottest first."""

    HOT = "hot"
    MEDIUM = "medium"
    COLD = "cold"


class Reason(StrEnum):
    """Why an exchange has no part in a price. The first group never gave a ticker, the second gave one of no use.

    TOO_FEW stands for good tickers that are fewer than a price needs, so it is never part of a price.
    """

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    HTTP_ERROR = "http_error"
    UNDECODABLE = "undecodable"
    NOT_LISTED = "not_listed"
    RATE_LIMITED = "rate_limited"
    MAINTENANCE = "maintenance"
    BLOCKED = "blocked"
    BREAKER_OPEN = "breaker_open"
    LATE = "late"
    NO_RATE = "no_rate"

    WRONG_SYMBOL = "wrong_symbol"
    BAD_PRICE = "bad_price"
    BAD_VOLUME = "bad_volume"
    TOO_OLD = "too_old"
    FROM_THE_FUTURE = "from_the_future"
    OUTLIER = "outlier"
    DISAGREEMENT = "disagreement"
    TOO_FEW = "too_few"


class Clock(StrEnum):
    """Whose time a ticker has: the exchange's own, or, where it tells none, ours of when the answer reached us."""

    EXCHANGE = "exchange"
    RECEIPT = "receipt"


class Asset(msgspec.Struct, gc=False, frozen=True):
    """A listed pair. `rank` is its row in the symbols file, from 1; base and quote are empty when the file has none."""

    symbol: str
    base: str
    quote: str
    tier: Tier
    rank: int


class Conversion(msgspec.Struct, gc=False, frozen=True):
    """What a converted ticker was made of: the exchange's price of `symbol`, and our price of the `rate` then."""

    symbol: str
    price: Decimal
    rate: str
    rate_price: Decimal
    rate_timestamp: float


class Ticker(msgspec.Struct, gc=False, frozen=True):
    """What one exchange said: price in quote units, volume in base units, time by `clock`."""

    exchange: str
    symbol: str
    price: Decimal
    volume: Decimal
    timestamp: float
    clock: Clock = Clock.EXCHANGE
    converted: Conversion | None = None


class LeftOut(msgspec.Struct, gc=False, frozen=True, omit_defaults=True):
    """An exchange that has no part in a price, why, and its ticker where it gave one that can be shown."""

    exchange: str
    reason: Reason
    detail: str = ""
    price: Decimal | None = None
    volume: Decimal | None = None
    timestamp: float | None = None
    converted: Conversion | None = None


class Source(msgspec.Struct, gc=False, frozen=True):
    """An exchange's ticker as it went into a price, its weight (0 to 1), and whose time it has.

    `converted` is there only where the ticker was one in another quote.
    """

    exchange: str
    price: Decimal
    volume: Decimal
    timestamp: float
    weight: Decimal
    clock: Clock = Clock.EXCHANGE
    converted: Conversion | msgspec.UnsetType = msgspec.UNSET


class Price(msgspec.Struct, gc=False, frozen=True):
    """An aggregated price, known by (asset, timestamp).

    `timestamp` is the newest exchange time among the sources, but never later than `updated_at`, our own time of
    computing it; `spread` is (highest - lowest) / price of the sources.
    """

    asset: str
    price: Decimal
    timestamp: float
    tier: Tier
    spread: Decimal
    updated_at: float
    sources: tuple[Source, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def degraded(self) -> bool:
        """Whether fewer exchanges have a part in it than list the asset, as far as they tell."""
        return any(one.reason is not Reason.NOT_LISTED for one in self.left_out)


class NoPrice(msgspec.Struct, gc=False, frozen=True):
    """Why an asset has no price now: one reason per exchange, or none when no exchange was asked.

    `history_failing` is the store's error where a price was made, but is not published because history did not take it.
    """

    asset: str
    left_out: tuple[LeftOut, ...] = ()
    history_failing: str = ""


Outcomes = dict[str, Price | NoPrice]  # of a refresh, by symbol


class PriceBody(msgspec.Struct, frozen=True):
    """A price as the HTTP contract shows it."""

    asset: str
    price: Decimal
    last_updated: str
    time_ago: str
    refresh_tier: Tier
    timestamp: float
    sources: int
    spread: Decimal
    stale: bool
    degraded: bool


_encoder = msgspec.json.Encoder(decimal_format="number")
_price_decoder = msgspec.json.Decoder(Price)
_prices_decoder = msgspec.json.Decoder(list[Price])


def encode(value: object) -> bytes:
    """JSON of any model; a Decimal goes out as a number with the digits it has."""
    return _encoder.encode(value)


def decode_price(raw: bytes | str) -> Price:
    """Read a Price back from `encode(price)`. Raises msgspec.DecodeError for anything else."""
    return _price_decoder.decode(raw)


def decode_prices(raw: bytes | str) -> list[Price]:
    """Read many back from `encode(prices)`. Raises msgspec.DecodeError for anything else."""
    return _prices_decoder.decode(raw)


def price_body(price: Price, tier: Tier, now: float, stale_after: float) -> PriceBody:
    """Show `price` as the contract wants it at `now`; it is stale when older than `stale_after` seconds.

    One from the future, by more than exchanges' clocks may be ahead, is of unknown age, and stale.

    `tier` is the asset's now, which need not be the one it had when the price was made.
    """
    age = max(0.0, now - price.timestamp)
    return PriceBody(
        asset=price.asset,
        price=price.price,
        last_updated=datetime.fromtimestamp(price.timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        time_ago=time_ago(age),
        refresh_tier=tier,
        timestamp=price.timestamp,
        sources=len(price.sources),
        spread=price.spread,
        stale=age > stale_after or price.timestamp > now + FUTURE_TOLERANCE,
        degraded=price.degraded,
    )


def time_ago(age: float) -> str:
    """Whole seconds, minutes, hours or days, rounded down: `5s ago`."""
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60)):
        if age >= seconds:
            return f"{int(age // seconds)}{unit} ago"
    return f"{int(age)}s ago"
