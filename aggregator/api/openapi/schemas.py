"""The bodies of the contract as JSON Schema: the models where they go out as they are, else types of their own.

These types are only read, to be shown; what is sent is put together by the routes, and tests hold the two together.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from aggregator.api.responses import INVALID_SYMBOL, NO_PRICE, NOT_FOUND
from aggregator.models import LeftOut, PriceBody, Source, Tier
from aggregator.prices.candles import INTERVALS, Candle
from aggregator.prices.freshness import TierFreshness
from aggregator.prices.tiers import MAX_SYMBOL

_SYMBOL = f"^[a-z0-9]{{1,{MAX_SYMBOL}}}$"
Symbol = Annotated[str, Meta(pattern=_SYMBOL)]
Time = Annotated[str, Meta(description="RFC 3339 in UTC", extra_json_schema={"format": "date-time"})]
Seconds = Annotated[float, Meta(description="Unix seconds")]
Count = Annotated[int, Meta(ge=1)]


class Refusal(Struct, frozen=True):
    """Why the call was refused."""

    msg: str


class NoPriceFound(Struct, frozen=True):
    """Why there is no price: what each exchange answered."""

    msg: str
    left_out: tuple[LeftOut, ...]


class Missing(Struct, frozen=True):
    """An asset of a list that has no price in it, as it was asked for, and why."""

    asset: str
    reason: str


class PriceList(Struct, frozen=True):
    """The known prices, and what was asked for beside."""

    prices: tuple[PriceBody, ...]
    missing: tuple[Missing, ...]


class Refreshed(PriceBody, frozen=True, kw_only=True):
    """A price just made and stored."""

    message: str


_with_sources: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(PriceBody)}
_with_sources |= {"sources": tuple[Source, ...], "left_out": tuple[LeftOut, ...]}
PriceSources = msgspec.defstruct(
    "PriceSources",
    [*_with_sources.items(), ("no_new_price", tuple[LeftOut, ...] | UnsetType, UNSET)],
    namespace={"__doc__": "A price, the tickers it was made of, and the exchanges that have no part in it."},
)


class StoredPrice(Struct, frozen=True):
    """A price as history has it; `updated_at` is our own time of computing it, `degraded` as of that time."""

    asset: Symbol
    timestamp: Seconds
    time: Time
    price: Annotated[float, Meta(gt=0)]
    sources: Count
    spread: Annotated[float, Meta(ge=0)]
    updated_at: Seconds
    degraded: bool


class HistoryPage(Struct, frozen=True):
    """A page of stored prices; `next` is the cursor of the page behind it, null on the last."""

    asset: Symbol
    prices: tuple[StoredPrice, ...]
    next: str | None


class TimedCandle(Candle, frozen=True, kw_only=True):
    """The prices of one interval; `start` is where it begins, in unix seconds."""

    time: Time


class CandleList(Struct, frozen=True):
    """The candles of a range, oldest first; intervals without a price have none."""

    asset: Symbol
    interval: str
    candles: tuple[TimedCandle, ...]


class ListedAsset(Struct, frozen=True):
    """A listed asset; `rank` is its row in the symbols file, from 1; base and quote are empty where that has none.

    `venues` is how many exchanges trade it, as far as they tell, and `too_few_venues` whether those are fewer than make
    a price. Neither is said while no process that asks the exchanges has told.
    """

    symbol: Symbol
    base: str
    quote: str
    tier: Tier
    rank: Count
    venues: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    too_few_venues: bool | UnsetType = UNSET


class AssetList(Struct, frozen=True):
    """Every listed asset, hottest first."""

    assets: tuple[ListedAsset, ...]


class ExchangeState(Struct, frozen=True):
    """What is known of an exchange; ages in seconds, null before its first ticker.

    It is quiet where it has asked to be left alone; its newest ticker's age is by its own clock, below zero if ahead.
    `push` is `live`, or why its feed has fallen back to polling; null where it is only polled. `rejected` is why its
    tickers do not count and of how many assets, as of the last seconds; null while they count.
    """

    breaker: Literal["closed", "open", "half-open"]
    quiet_for_seconds: float
    last_ticker_seconds_ago: float | None
    newest_ticker_seconds_ago: float | None
    push: str | None
    rejected: str | None


class Readiness(Struct, frozen=True):
    """Whether the service is of use; `reasons` are troubles, told even where readers do not feel them yet."""

    ready: bool
    reasons: tuple[str, ...]
    stores: Annotated[dict[str, str], Meta(description="By name: `ok`, or its trouble")]
    exchanges: Annotated[
        dict[str, ExchangeState],
        Meta(description="By name, as those see them who ask them; of several, one that has trouble. None if unknown"),
    ]
    tiers: dict[Tier, TierFreshness]
    jobs_behind_seconds: dict[Tier, float]


_MODELS = (
    Refusal,
    NoPriceFound,
    PriceBody,
    PriceList,
    PriceSources,
    Refreshed,
    HistoryPage,
    CandleList,
    AssetList,
    Readiness,
)
_ABOVE_ZERO = {"exclusiveMinimum": 0}
_FROM_ZERO = {"minimum": 0}
_PRICE: dict[str, dict[str, Any]] = {
    "asset": {"pattern": _SYMBOL},
    "price": {"description": "In units of the quote, to ten significant digits"} | _ABOVE_ZERO,
    "last_updated": {"description": "UTC", "pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"},
    "time_ago": {"description": "The age, rounded down", "pattern": "^[0-9]+[smhd] ago$"},
    "refresh_tier": {"description": "How often it is refreshed"},
    "timestamp": {"description": "The newest exchange time among the sources, never later than ours, in unix seconds"},
    "spread": {"description": "(highest - lowest) / price of the sources"} | _FROM_ZERO,
    "stale": {"description": "Older than 1.5 intervals of its tier"},
    "degraded": {"description": "Made of fewer exchanges than list the asset"},
}
_COUNTED = {"sources": {"description": "How many exchanges it was made of", "minimum": 1}}
# What the models do not say of their fields, as no store or exchange has to be told.
_MORE: dict[str, dict[str, dict[str, Any]]] = {
    "PriceBody": _PRICE | _COUNTED,
    "Refreshed": _PRICE | _COUNTED,
    "PriceSources": _PRICE
    | {"sources": {"minItems": 1}}
    | {"no_new_price": {"description": "Only of a stale price: what each exchange answers now, of which none is made"}},
    "Source": {
        "price": _ABOVE_ZERO,
        "volume": {"description": "In units of the base"} | _ABOVE_ZERO,
        "weight": {"description": "Its share of the volume, up to MAX_WEIGHT"} | _FROM_ZERO | {"maximum": 1},
        "clock": {"description": "Whose time it has: the exchange's own, or ours of when its answer was received"},
    },
    "Missing": {"reason": {"enum": [INVALID_SYMBOL, NOT_FOUND, NO_PRICE]}},
    "CandleList": {"interval": {"enum": list(INTERVALS)}},
    "TimedCandle": {"count": {"minimum": 1}} | dict.fromkeys(("open", "high", "low", "close"), _ABOVE_ZERO),
}


def schemas() -> dict[str, Any]:
    """Return every model's JSON Schema by name, as the encoder writes them."""
    _, found = msgspec.json.schema_components(_MODELS, ref_template="#/components/schemas/{name}")
    for name, properties in _MORE.items():
        for field, more in properties.items():
            found[name]["properties"][field] |= more
    numbers: dict[str, Any] = _as_sent(found)
    return numbers


def _as_sent(schema: Any) -> Any:
    """Return the schema with a Decimal as a number, and nothing null that is left out instead."""
    if isinstance(schema, dict):
        if "default" in schema and schema["default"] is None:
            return _as_sent(next(kind for kind in schema["anyOf"] if kind != {"type": "null"}))
        if schema.get("format") == "decimal":
            schema = schema | {"type": "number"}
            del schema["format"]
        return {name: _as_sent(part) for name, part in schema.items()}
    return [_as_sent(part) for part in schema] if isinstance(schema, list) else schema
