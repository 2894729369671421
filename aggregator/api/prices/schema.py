"""The JSON of prices in the OpenAPI document: models, notes on their fields, and examples.

The routes put the JSON together themselves; tests compare their responses with these models.
"""

from decimal import Decimal
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from aggregator import models
from aggregator.api.routing.description import Json
from aggregator.api.routing.responses import Code
from aggregator.api.routing.shared_descriptions import SYMBOL, SYMBOL_PATTERN
from aggregator.models import LeftOut, Reason, Source, Tier
from aggregator.prices.day_figures import MissingFigures


class NoPriceFound(Struct, frozen=True):
    """No price could be made: `left_out` has the reason of each exchange."""

    msg: str
    code: Code
    left_out: tuple[LeftOut, ...]


class PriceBody(models.CurrentPrice, frozen=True, kw_only=True):
    """A price. It has the 24-hour figures, the last seven fields, with `details=true` only."""

    change_24h: Decimal | UnsetType | None = UNSET
    change_24h_percent: Decimal | UnsetType | None = UNSET
    high_24h: Decimal | UnsetType | None = UNSET
    low_24h: Decimal | UnsetType | None = UNSET
    volume_24h: Decimal | UnsetType | None = UNSET
    figures_since: float | UnsetType = UNSET
    figures_reason: MissingFigures | UnsetType | None = UNSET


class Refreshed(models.CurrentPrice, frozen=True, kw_only=True):
    """A price that has just been made and stored."""

    message: str


_with_sources: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(models.CurrentPrice)}
_with_sources |= {"sources": tuple[Source, ...], "left_out": tuple[LeftOut, ...]}
PriceSources = msgspec.defstruct(
    "PriceSources",
    [*_with_sources.items(), ("no_new_price", tuple[LeftOut, ...] | UnsetType, UNSET)],
    namespace={"__doc__": "A price, the tickers it was made of, and the exchanges that did not contribute."},
)

_ABOVE_ZERO = {"exclusiveMinimum": 0}
_FROM_ZERO = {"minimum": 0}
_PRICE: dict[str, Json] = {
    "asset": {"pattern": SYMBOL_PATTERN},
    "price": {"description": "In units of the quote asset, to ten significant digits"} | _ABOVE_ZERO,
    "last_updated": {"description": "`timestamp` in UTC", "pattern": r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"},
    "timestamp_iso": {"description": "`timestamp` as RFC 3339 in UTC", "format": "date-time"},
    "time_ago": {"description": "The age, rounded down", "pattern": "^[0-9]+[smhd] ago$"},
    "refresh_tier": {"description": "The tier, which sets how often the price is refreshed"},
    "timestamp": {
        "description": "The newest exchange time of the sources, at most the service's own time. Unix seconds"
    },
    "spread": {"description": "(highest - lowest) / price of the sources"} | _FROM_ZERO,
    "stale": {"description": "Whether the price is older than 1.5 intervals of its tier"},
    "degraded": {"description": "Whether fewer exchanges contributed than list the asset"},
}
_FIGURES: dict[str, Json] = {
    "change_24h": {"description": "`price` less the price that was current at `figures_since`"},
    "change_24h_percent": {"description": "The change in percent of that price, to ten significant digits"},
    "high_24h": {"description": "The highest price after `figures_since`"} | _ABOVE_ZERO,
    "low_24h": {"description": "The lowest price after `figures_since`"} | _ABOVE_ZERO,
    "volume_24h": {
        "description": "In units of the base asset: the sum of the 24-hour volumes of the exchanges that contributed"
    }
    | _FROM_ZERO,
    "figures_since": {
        "description": "The last multiple of five minutes that is at least 24 hours ago. Unix seconds. Change, high and"
        " low are exact for the stored prices from then on"
    },
    "figures_reason": {"description": "Why change, high and low are null; null if they are not"},
}
_SOURCE_COUNT = {"sources": {"description": "How many exchanges contributed", "minimum": 1}}
# Additions to the schema of models that stores and exchanges use too, by model and field.
FIELD_NOTES: dict[str, dict[str, Json]] = {
    "CurrentPrice": _PRICE | _SOURCE_COUNT,
    "PriceBody": _PRICE | _SOURCE_COUNT | _FIGURES,
    "Refreshed": _PRICE | _SOURCE_COUNT,
    "PriceSources": _PRICE
    | {"sources": {"minItems": 1}}
    | {
        "no_new_price": {"description": "Only for a stale price: each exchange's reason why no newer price can be made"}
    },
    "Source": {
        "price": _ABOVE_ZERO,
        "volume": {"description": "In units of the base asset"} | _ABOVE_ZERO,
        "weight": {"description": "Share of the volume, at most MAX_WEIGHT"} | _FROM_ZERO | {"maximum": 1},
        "clock": {"description": "The clock of `timestamp`: the exchange's, or ours when we received the ticker"},
    },
}

PRICE: Json = {
    "asset": SYMBOL,
    "price": 77896.49245,
    "last_updated": "2026-11-21 06:10:27",
    "timestamp_iso": "2026-11-21T06:10:27.047Z",
    "time_ago": "0s ago",
    "refresh_tier": Tier.HOT.value,
    "timestamp": 1795241427.047,
    "sources": 3,
    "spread": 0.0002019346379,
    "stale": False,
    "degraded": False,
}
FIGURES: Json = {
    "change_24h": -1023.50755,
    "change_24h_percent": -1.29689365,
    "high_24h": 79112.3,
    "low_24h": 77401.88125,
    "volume_24h": 31250.75,
    "figures_since": 1795154700.0,
    "figures_reason": None,
}
SOURCE: Json = {
    "exchange": "exchange1",
    "price": 77896.49245,
    "volume": 1234.5,
    "timestamp": 1795241427.047,
    "weight": 0.5,
}
LATE: Json = {"exchange": "exchange2", "reason": Reason.LATE.value, "detail": "not within 0.25 s of the majority"}
OUTLIER: Json = {
    "exchange": "exchange3",
    "reason": Reason.OUTLIER.value,
    "detail": "median 77896.49245",
    "price": 233689.4,
    "volume": 1000,
    "timestamp": 1795241426.9,
}
DISAGREEMENT: Json = OUTLIER | {"reason": Reason.DISAGREEMENT.value, "detail": "lower price 77896.49245"}
