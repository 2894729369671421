"""Rules of alerts: their fields, and the reading of one from JSON. Pure.

| kind        | fires when                                           | fields                                       |
| ----------- | ---------------------------------------------------- | -------------------------------------------- |
| `price`     | the price crosses a level                            | `above` or `below`, in quote units           |
| `change`    | the price has moved by `percent` within `seconds`    | `percent`, `seconds`, `direction`            |
| `spread`    | the prices of the venues are further apart           | `above`, in percent of the price             |
| `anomaly`   | a trade is an anomaly, with a score below `below`    | `below`                                      |
| `sentiment` | a headline has such a sentiment or correlation       | `above` or `below`, from -1 to 1; `strength` |
"""

import re
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b

import msgspec

from aggregator.models import encode
from aggregator.numerals import other_number

EVERY_ASSET = "*"
MOST_RULES = 1000
MOST_OF_EVERY_ASSET = 20
"""The most rules for all assets: each costs memory and time for every asset."""

MOST_BYTES = 8192
"""The largest body of a rule."""

_LARGEST, _SMALLEST = 18, -18  # powers of ten of a level
_LONGEST = 86_400  # seconds
_OUTLET = "[a-z0-9][a-z0-9_.-]{0,62}"


class Kind(StrEnum):
    """The kind of value that a rule compares with its level."""

    PRICE = "price"
    CHANGE = "change"
    SPREAD = "spread"
    ANOMALY = "anomaly"
    SENTIMENT = "sentiment"


class Direction(StrEnum):
    """The moves of the price that a rule is about."""

    UP = "up"
    DOWN = "down"
    ANY = "any"


class Strength(StrEnum):
    """The least correlation of a headline with the volume of trades, from weak to strong."""

    WEAK = "weak"
    MODERATE = "moderate"
    STRONG = "strong"


class RuleFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule as a client sends it. `asset` is a symbol, or `*` for every asset.

    `hysteresis` is in percent of the level: a rule that has fired can fire again once the value was further back than
    that. `cooldown` is in seconds. `outlet` is the name of the outlet that delivers the alerts; without it, all outlets
    with the topic `alerts` do.
    """

    asset: str
    kind: Kind
    above: Decimal | None = None
    below: Decimal | None = None
    percent: Decimal | None = None
    seconds: int | None = None
    direction: Direction | None = None
    strength: Strength | None = None
    hysteresis: Decimal | None = None
    cooldown: int = 60
    outlet: str | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rule that is kept: the fields that were sent, defaults filled in, with its id and the time of its creation."""

    id: str
    created_at: float
    asset: str
    kind: Kind
    above: Decimal | None = None
    below: Decimal | None = None
    percent: Decimal | None = None
    seconds: int | None = None
    direction: Direction | None = None
    strength: Strength | None = None
    hysteresis: Decimal | None = None
    cooldown: int
    outlet: str | None = None


class InvalidRule(msgspec.Struct, frozen=True):
    """A rule that is not valid. The message names the field."""

    reason: str


_MOST_PERCENT, _MOST_HYSTERESIS, _MOST_SPREAD = 1000, 50, 100  # percent

ALLOWED = {
    "asset": "a symbol, or * for every asset",
    "kind": f"one of {', '.join(Kind)}",
    "above": "a number",
    "below": "a number",
    "percent": f"a number above 0, at most {_MOST_PERCENT}",
    "seconds": f"a whole number from 1 to {_LONGEST}",
    "direction": f"one of {', '.join(Direction)}",
    "strength": f"one of {', '.join(Strength)}",
    "hysteresis": f"a number from 0 to {_MOST_HYSTERESIS}",
    "cooldown": f"a whole number from 1 to {_LONGEST}",
    "outlet": f"the name of an outlet of the service, which matches {_OUTLET}",
}
_FIELDS = {  # of each kind, besides those that every kind has
    Kind.PRICE: ("above", "below", "hysteresis"),
    Kind.CHANGE: ("percent", "seconds", "direction", "hysteresis"),
    Kind.SPREAD: ("above", "hysteresis"),
    Kind.ANOMALY: ("below",),
    Kind.SENTIMENT: ("above", "below", "strength"),
}
_OF_SOME_KINDS = ("above", "below", "percent", "seconds", "direction", "strength", "hysteresis")
_DECIMALS = ("above", "below", "percent", "hysteresis")
_WITH_LEVEL = (Kind.PRICE, Kind.CHANGE, Kind.SPREAD)
_OF_ONE_ASSET = (Kind.PRICE, Kind.CHANGE)
_USUAL_HYSTERESIS = Decimal("0.1")


class _SentFields(RuleFields, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields as they were sent. The asset may have another name, as in a trade: `symbol` or `ticker`."""

    asset: str = ""
    symbol: str = ""
    ticker: str = ""


_decoder = msgspec.json.Decoder(_SentFields)
_ZERO, _ONE = Decimal(0), Decimal(1)


def parse_rule(raw: bytes) -> RuleFields | InvalidRule:
    """Return the fields of a rule in JSON, with defaults filled in. Whether the asset is listed is not checked."""
    try:
        sent = _decoder.decode(raw)
        other = other_number(raw, _DECIMALS)
    except msgspec.ValidationError as error:
        return InvalidRule(_reason(str(error)))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return InvalidRule("the body must be a JSON object with the fields of a rule")
    if other is not None:
        return InvalidRule(f"{other} must be {ALLOWED[other]} in digits 0 to 9")
    asset = sent.asset or sent.symbol or sent.ticker
    if not asset:
        return InvalidRule(f"asset is missing; it must be {ALLOWED['asset']}")
    values = {one: getattr(sent, one) for one in RuleFields.__struct_fields__}
    fields = RuleFields(**(values | {"asset": asset}))
    reason = _fault(fields)
    return _with_defaults(fields) if reason is None else InvalidRule(reason)


def rule_of(fields: RuleFields, name: str, now: float) -> Rule:
    """Return the rule of valid fields, with its id and time of creation."""
    values = {one: getattr(fields, one) for one in fields.__struct_fields__}
    return Rule(id=name, created_at=now, **values)


def name_of(fields: RuleFields) -> str:
    """Return an id that follows from the fields: two processes that add the same rule at a time have one rule."""
    return blake2b(encode(fields), digest_size=8).hexdigest()


def _with_defaults(fields: RuleFields) -> RuleFields:
    changes: dict[str, object] = {}
    if fields.kind in _WITH_LEVEL and fields.hysteresis is None:
        changes["hysteresis"] = _USUAL_HYSTERESIS
    if fields.kind is Kind.CHANGE and fields.direction is None:
        changes["direction"] = Direction.ANY
    return msgspec.structs.replace(fields, **changes)


def _reason(error: str) -> str:
    """Return the reason in an error of the decoder, which has the name of the field."""
    field = re.search(r"at `\$\.(\w+)`$", error)
    if field is not None:
        return f"{field[1]} must be {ALLOWED.get(field[1], ALLOWED['asset'])}"
    missing = re.search(r"missing required field `(\w+)`", error)
    if missing is not None:
        return f"{missing[1]} is missing; it must be {ALLOWED[missing[1]]}"
    if "unknown field" in error:
        return f"a field is unknown; the fields are {', '.join(ALLOWED)}"
    return "the body must be a JSON object with the fields of a rule"


def _fault(fields: RuleFields) -> str | None:
    """Return why the fields make no rule; None if they do."""
    for name in _DECIMALS:
        number: Decimal | None = getattr(fields, name)
        if number is not None and not _is_usable(number):
            return f"{name} must be {ALLOWED[name]} of usual size"
    for name in _OF_SOME_KINDS:
        if getattr(fields, name) is not None and name not in _FIELDS[fields.kind]:
            return f"{name} has no meaning in a rule of kind {fields.kind}; it takes {', '.join(_FIELDS[fields.kind])}"
    if fields.asset == EVERY_ASSET and fields.kind in _OF_ONE_ASSET:
        return f"asset must be one symbol in a rule of kind {fields.kind}"
    return _fault_in_bounds(fields) or _FAULTS[fields.kind](fields)


def _is_usable(number: Decimal) -> bool:
    return number.is_finite() and (not number or _SMALLEST <= number.adjusted() <= _LARGEST)


def _fault_in_bounds(fields: RuleFields) -> str | None:
    bounds = {
        "percent": fields.percent is None or 0 < fields.percent <= _MOST_PERCENT,
        "seconds": fields.seconds is None or 1 <= fields.seconds <= _LONGEST,
        "hysteresis": fields.hysteresis is None or 0 <= fields.hysteresis <= _MOST_HYSTERESIS,
        "cooldown": 1 <= fields.cooldown <= _LONGEST,
        "outlet": fields.outlet is None or re.fullmatch(_OUTLET, fields.outlet) is not None,
    }
    return next((f"{name} must be {ALLOWED[name]}" for name, is_good in bounds.items() if not is_good), None)


def _price_fault(fields: RuleFields) -> str | None:
    if (fields.above is None) == (fields.below is None):
        return "a rule of kind price needs above or below, and not both"
    level = fields.above if fields.above is not None else fields.below
    return None if level is not None and level > _ZERO else "above and below must be positive in a rule of kind price"


def _change_fault(fields: RuleFields) -> str | None:
    missing = [name for name in ("percent", "seconds") if getattr(fields, name) is None]
    return f"{missing[0]} is missing; it must be {ALLOWED[missing[0]]}" if missing else None


def _spread_fault(fields: RuleFields) -> str | None:
    is_good = fields.above is not None and _ZERO < fields.above <= _MOST_SPREAD
    return (
        None
        if is_good
        else f"above must be a number above 0, at most {_MOST_SPREAD} (percent) in a rule of kind spread"
    )


def _anomaly_fault(fields: RuleFields) -> str | None:
    is_good = fields.below is None or -_ONE <= fields.below <= _ONE
    return None if is_good else "below must be a number from -1 to 1 in a rule of kind anomaly"


def _sentiment_fault(fields: RuleFields) -> str | None:
    levels = [level for level in (fields.above, fields.below) if level is not None]
    if len(levels) > 1 or not (levels or fields.strength):
        return "a rule of kind sentiment needs above, below or strength, and not both above and below"
    if any(not -_ONE <= level <= _ONE for level in levels):
        return "above and below must be numbers from -1 to 1 in a rule of kind sentiment"
    return None


_FAULTS = {
    Kind.PRICE: _price_fault,
    Kind.CHANGE: _change_fault,
    Kind.SPREAD: _spread_fault,
    Kind.ANOMALY: _anomaly_fault,
    Kind.SENTIMENT: _sentiment_fault,
}
