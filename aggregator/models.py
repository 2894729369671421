"""The values: Asset, Ticker, Price with the tickers left out of it, Trade; and the only mapping between them and JSON.

Prices, volumes, spreads and weights are Decimal, from the exchange's bytes to the JSON that is sent. Times are unix
seconds in UTC, as float, which keeps milliseconds exact. The structs hold no reference cycles, so the garbage
collector need not track them (gc=False).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

import msgspec

FUTURE_TOLERANCE = 5.0  # seconds that an exchange's clock may be ahead of ours


class Tier(StrEnum):
    """The frequency at which an asset is refreshed; hottest first."""

    HOT = "hot"
    MEDIUM = "medium"
    COLD = "cold"


class Reason(StrEnum):
    """The reason why an exchange has no part in a price. First group: no ticker. Second group: an unusable ticker.

    TOO_FEW marks sound tickers that are fewer than a price needs, so no price has it.
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
    """The clock of a ticker's time: the exchange's, or ours at receipt where the exchange sends no time."""

    EXCHANGE = "exchange"
    RECEIPT = "receipt"


class Asset(msgspec.Struct, gc=False, frozen=True):
    """A listed pair. `rank` is its row in the symbols file, from 1; base and quote are empty if the file lacks them."""

    symbol: str
    base: str
    quote: str
    tier: Tier
    rank: int


class Side(StrEnum):
    """Whether the taker of a trade bought or sold."""

    BUY = "buy"
    SELL = "sell"


class Trade(msgspec.Struct, gc=False, frozen=True):
    """One execution at a venue, identified by (asset, timestamp, venue, id).

    `price` is in quote units, `volume` in base units; a volume that the venue does not report is None. `timestamp` is
    the venue's time in unix seconds, exact to the microsecond. `id` is the venue's, or a hash of what was sent where
    there is none. `late`: the trade came too long after newer ones of its asset to have a part in windows.
    """

    asset: str
    price: Decimal
    volume: Decimal | None
    timestamp: float
    venue: str
    id: str
    side: Side | None = None
    sequence: int | None = msgspec.field(default=None, name="sequence_number")
    late: bool = False


class TradeKey(NamedTuple):
    """The order of an asset's trades, everywhere: by time, then by venue and id. With the asset, a trade's identity."""

    timestamp: float
    venue: str
    id: str


def trade_key(trade: Trade) -> TradeKey:
    """Return the place of a trade among those of its asset."""
    return TradeKey(trade.timestamp, trade.venue, trade.id)


class Conversion(msgspec.Struct, gc=False, frozen=True):
    """The two factors of a converted ticker: the exchange's price of `symbol`, and our price of the pair `rate`."""

    symbol: str
    price: Decimal
    rate: str
    rate_price: Decimal
    rate_timestamp: float


class Ticker(msgspec.Struct, gc=False, frozen=True):
    """The price (quote units) and 24-hour volume (base units) of a pair at one exchange; its time is by `clock`."""

    exchange: str
    symbol: str
    price: Decimal
    volume: Decimal
    timestamp: float
    clock: Clock = Clock.EXCHANGE
    converted: Conversion | None = None


class LeftOut(msgspec.Struct, gc=False, frozen=True, omit_defaults=True):
    """An exchange without a part in a price, the reason, and its ticker if there is one that can be shown."""

    exchange: str
    reason: Reason
    detail: str = ""
    price: Decimal | None = None
    volume: Decimal | None = None
    timestamp: float | None = None
    converted: Conversion | None = None


class Source(msgspec.Struct, gc=False, frozen=True):
    """An exchange's ticker as it went into a price, with its weight (0 to 1).

    `converted` is set only for a ticker that was converted from another quote.
    """

    exchange: str
    price: Decimal
    volume: Decimal
    timestamp: float
    weight: Decimal
    clock: Clock = Clock.EXCHANGE
    converted: Conversion | msgspec.UnsetType = msgspec.UNSET


class Price(msgspec.Struct, gc=False, frozen=True):
    """An aggregated price, identified by (asset, timestamp).

    `updated_at` is our time of computing it. `timestamp` is the newest time of its sources, but never later than
    `updated_at`. `spread` is (highest - lowest source price) / price.
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
        """Whether an exchange that lists the asset, or may list it, has no part in the price."""
        return any(one.reason is not Reason.NOT_LISTED for one in self.left_out)


class NoPrice(msgspec.Struct, gc=False, frozen=True):
    """The absence of a price: one reason per exchange; none if no exchange was asked.

    `history_failing` is the store's error if a price was made but history did not take it, so it is not published.
    """

    asset: str
    left_out: tuple[LeftOut, ...] = ()
    history_failing: str = ""


Outcomes = dict[str, Price | NoPrice]  # of a refresh, by symbol


class RateTokens(msgspec.Struct, frozen=True):
    """The tokens that one process' rate limiter of an exchange has left, and how many it gains each second.

    A token is one call, or one unit of weight where the exchange weighs its calls. `left` counts whole tokens.
    """

    left: int
    per_second: float


class VenueWindow(msgspec.Struct, frozen=True):
    """The outcomes of one exchange's tickers in pricing during a window of time. Windows of several processes add up.

    `used` tickers had a part in a price. `left_out` has the number of assets for which the exchange had no part, by
    reason; assets that it does not list are not counted. `distance` and `absolute_distance` are sums of
    (its price - our price) / our price over the `compared` tickers: those used, and the outliers.
    """

    used: int = 0
    left_out: Mapping[str, int] = {}
    compared: int = 0
    distance: float = 0.0
    absolute_distance: float = 0.0


class CurrentPrice(msgspec.Struct, frozen=True):
    """A price as the HTTP API shows it."""

    asset: str
    price: Decimal
    last_updated: str
    timestamp_iso: str
    time_ago: str
    refresh_tier: Tier
    timestamp: float
    sources: int
    spread: Decimal
    stale: bool
    degraded: bool


Encode = Callable[[object], bytes]

_encoder = msgspec.json.Encoder(decimal_format="number")
_string_encoder = msgspec.json.Encoder(decimal_format="string")
_price_decoder = msgspec.json.Decoder(Price)


def encode(value: object) -> bytes:
    """Return any model as JSON; a Decimal becomes a number with all its digits."""
    return _encoder.encode(value)


def encode_as_strings(value: object) -> bytes:
    """As `encode`, but a Decimal becomes a string, for clients that read JSON numbers as binary floating point."""
    return _string_encoder.encode(value)


def decode_price(raw: bytes | str) -> Price:
    """Return the Price in `encode(price)`. Raises msgspec.DecodeError for anything else."""
    return _price_decoder.decode(raw)


def price_body(price: Price, tier: Tier, now: float, stale_after: float) -> CurrentPrice:
    """Return `price` as the HTTP API shows it at `now`; it is stale when older than `stale_after` seconds.

    A price more than FUTURE_TOLERANCE ahead of `now` has an unknown age, and is stale too. `tier` is the asset's
    current tier, which may differ from its tier when the price was made.
    """
    age = max(0.0, now - price.timestamp)
    iso = rfc_3339(price.timestamp)
    return CurrentPrice(
        asset=price.asset,
        price=price.price,
        last_updated=f"{iso[:10]} {iso[11:19]}",
        timestamp_iso=iso,
        time_ago=time_ago(age),
        refresh_tier=tier,
        timestamp=price.timestamp,
        sources=len(price.sources),
        spread=price.spread,
        stale=age > stale_after or price.timestamp > now + FUTURE_TOLERANCE,
        degraded=price.degraded,
    )


def rfc_3339(timestamp: float) -> str:
    """Return RFC 3339 in UTC with milliseconds, or with microseconds if the timestamp has any."""
    moment = datetime.fromtimestamp(timestamp, UTC)
    precision = "microseconds" if moment.microsecond % 1000 else "milliseconds"
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")


def time_ago(age: float) -> str:
    """Return an age in whole seconds, minutes, hours or days, rounded down: `5s ago`."""
    for unit, seconds in (("d", 86400), ("h", 3600), ("m", 60)):
        if age >= seconds:
            return f"{int(age // seconds)}{unit} ago"
    return f"{int(age)}s ago"
