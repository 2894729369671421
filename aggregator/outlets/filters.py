"""Filters of the events for an outlet: by topic, asset, tier, gap of time, and conditions on fields. Pure."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne
from typing import Any

import msgspec

from aggregator.numerals import decimal_of
from aggregator.outlets.ports import OutletEvent

_CONDITION = re.compile(r"(?P<field>[a-z][a-z0-9_]{0,63})\s*(?P<sign><=|>=|!=|<|>|=)\s*(?P<value>.{1,200})", re.DOTALL)
_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge, "=": eq, "!=": ne}
_MOST_DIGITS = 40
_decoder = msgspec.json.Decoder(float_hook=Decimal)  # every digit counts


class Condition(msgspec.Struct, frozen=True):
    """A comparison of a field of an event's JSON with a number or a text, such as `anomaly_score<-0.6`."""

    field: str
    sign: str
    value: Decimal | str

    def holds(self, shown: Mapping[str, object]) -> bool:
        """Whether the field has such a value; a field that is missing or of another kind does not match."""
        found = shown.get(self.field)
        if isinstance(found, bool):
            found = "true" if found else "false"
        if isinstance(self.value, Decimal):
            number = _number(found)
            return number is not None and _SIGNS[self.sign](number, self.value)
        return isinstance(found, str) and _SIGNS[self.sign](found, self.value)


def parse_condition(text: str) -> Condition:
    """Return a condition. Raises ValueError."""
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise ValueError("where must be a field, one of < <= > >= = !=, and a value, such as anomaly_score<-0.6")
    value: Decimal | str = match["value"].strip()
    number = _number(value)
    if number is None and match["sign"] not in ("=", "!="):
        raise ValueError("where compares by < <= > >= with a number only")
    return Condition(match["field"], match["sign"], value if number is None else number)


class Filter(msgspec.Struct, frozen=True):
    """The filter of an outlet. Empty assets, tiers or conditions limit nothing.

    `min_gap` is in seconds: of the events of one topic and asset whose times are closer, the first is sent.
    """

    topics: frozenset[str]
    assets: frozenset[str] = frozenset()
    tiers: frozenset[str] = frozenset()
    min_gap: float = 0.0
    where: tuple[Condition, ...] = ()

    def wants(self, event: OutletEvent) -> bool:
        """Whether the event passes; `Gaps` checks the gap."""
        if event.topic not in self.topics:
            return False
        if self.assets and event.asset not in self.assets:
            return False
        if self.tiers and event.tier not in self.tiers:
            return False
        return not self.where or self._meets(event)

    def _meets(self, event: OutletEvent) -> bool:
        shown = _decoder.decode(event.body)
        return isinstance(shown, dict) and all(one.holds(shown) for one in self.where)


class Gaps:
    """The time of the last event of each topic and asset that was sent. Bounded by the catalog of assets."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: dict[tuple[str, str], float] = {}

    def passes(self, event: OutletEvent) -> bool:
        """Whether the event is at least the gap later than the last one that passed; it passes then."""
        if not self._seconds:
            return True
        slot = event.topic, event.asset
        last = self._last.get(slot)
        if last is not None and event.timestamp < last + self._seconds:
            return event.timestamp == last  # the same event again; the outbox sends it once
        self._last[slot] = event.timestamp
        return True


def _number(found: object) -> Decimal | None:
    """Return a finite number; None for anything else. Prices may be shown as texts."""
    if isinstance(found, int | float | str | Decimal) and len(str(found)) <= _MOST_DIGITS:
        return decimal_of(str(found))
    return None
