"""The JSON of rules and alerts: models and examples."""

from typing import Any

from msgspec import Struct

from aggregator.alerts.rules import ALLOWED, Direction, Kind, Rule, Strength
from aggregator.alerts.topic import Alert
from aggregator.api.routing.description import Content, Json
from aggregator.api.routing.shared_descriptions import SYMBOL


class RuleList(Struct, frozen=True):
    """The rules, in the order of their creation."""

    rules: list[Rule]


class RuleDeleted(Struct, frozen=True):
    """A rule is deleted."""

    message: str


class FiredAlerts(Struct, frozen=True):
    """The alerts of an asset in the last `hours`, newest first."""

    asset: str
    hours: int
    count: int
    alerts: list[Alert]


SENT: dict[str, Any] = {"asset": SYMBOL, "kind": "price", "above": 70000, "cooldown": 300}
CHANGE: dict[str, Any] = {"asset": "ethusdt", "kind": "change", "percent": 2, "seconds": 300, "direction": "down"}
RULE: Json = {
    "id": "5f0c6a1be2d94c07",
    "created_at": 1795241400.5,
    "asset": SYMBOL,
    "kind": "price",
    "above": 70000,
    "hysteresis": 0.1,
    "cooldown": 300,
}
ALERT: Json = {
    "id": "5f0c6a1be2d94c07-btcusdt-1795241427047125",
    "rule": "5f0c6a1be2d94c07",
    "kind": "price",
    "asset": SYMBOL,
    "timestamp": 1795241427.047125,
    "value": 70010.25,
    "level": 70000,
    "message": "btcusdt is at 70010.25",
}
_NUMBER: Json = {"type": ["number", "string"]}
_WHOLE: Json = {"type": "integer"}
_TYPES: dict[str, Json] = {
    "asset": {"type": "string"},
    "kind": {"type": "string", "enum": [*Kind]},
    "above": _NUMBER,
    "below": _NUMBER,
    "percent": _NUMBER,
    "seconds": _WHOLE,
    "direction": {"type": "string", "enum": [*Direction]},
    "strength": {"type": "string", "enum": [*Strength]},
    "hysteresis": _NUMBER,
    "cooldown": _WHOLE,
    "outlet": {"type": "string"},
}
BODY = Content(
    "application/json",
    {
        "type": "object",
        "required": ["asset", "kind"],
        "additionalProperties": False,
        "properties": {name: kind | {"description": ALLOWED[name]} for name, kind in _TYPES.items()},
    },
    (SENT, CHANGE),
)
