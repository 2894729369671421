"""Which faults are switched on, and what they do to one call. Times and random numbers come from outside."""

import enum
import math
import random
from collections.abc import Mapping
from typing import NamedTuple

import msgspec


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """The faults of one exchange; the defaults are a sound one. Rates are shares of calls from 0 to 1."""

    error_rate: float = 0.0  # answer `status`
    status: int = 500
    latency_ms: float = 0.0  # wait before any answer
    hang_rate: float = 0.0  # never answer
    garbage_rate: float = 0.0  # answer 200 with bytes that are not JSON
    drop_rate: float = 0.0  # cut the connection
    price_factor: float = 1.0
    price: str | None = None  # what stands in place of every price, number or not: "NaN", "-1", "1e400"
    freeze_clock: bool = False  # time and price stand still
    clock_ahead: float = 0.0  # seconds by which it believes in a later time, with that time's price
    rate_limit: int | None = None  # calls per second before 429


class FaultsError(Exception):
    """Faults nobody can switch on; the message names every mistake."""


class Rule(NamedTuple):
    """What a value may be: its types, its bounds (inclusive) and the same in words."""

    types: tuple[type, ...]
    low: float
    high: float
    words: str

    def allows(self, value: object) -> bool:
        """Tell whether a value is of the right type and within the bounds."""
        # bool is an int in Python, but `true` is no rate; so the exact type counts
        return type(value) in self.types and (not isinstance(value, int | float) or self.low <= value <= self.high)


DECADE = 315_360_000  # seconds
RATE = Rule((int, float), 0, 1, "a number from 0 to 1")
RULES: Mapping[str, Rule] = {
    "error_rate": RATE,
    "status": Rule((int,), 400, 599, "a whole number from 400 to 599"),
    "latency_ms": Rule((int, float), 0, 600_000, "a number of milliseconds from 0 to 600000"),
    "hang_rate": RATE,
    "garbage_rate": RATE,
    "drop_rate": RATE,
    "price_factor": Rule((int, float), 0, 1_000_000, "a number from 0 to 1000000"),
    "price": Rule((str, type(None)), 0, 0, "a text to stand in place of every price, or null"),
    "freeze_clock": Rule((bool,), 0, 1, "true or false"),
    "clock_ahead": Rule((int, float), -DECADE, DECADE, f"a number of seconds from -{DECADE} to {DECADE}"),
    "rate_limit": Rule((int, type(None)), 0, 1_000_000, "a whole number from 0 to 1000000 (calls per second), or null"),
}


def parse(body: bytes) -> Faults:
    """Faults from a JSON object with any of the fields of Faults. Raises FaultsError that names every mistake."""
    try:
        values = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FaultsError(f"the body is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise FaultsError('the body must be a JSON object such as {"error_rate":0.2}')
    wrong = [mistake for key, value in values.items() if (mistake := _mistake(key, value))]
    if wrong:
        raise FaultsError("; ".join(wrong))
    return Faults(**values)


def _mistake(key: str, value: object) -> str:
    """Say what is wrong with one field, or nothing."""
    rule = RULES.get(key)
    if rule is None:
        return f"{key[:40]!r} is not a fault (there are {', '.join(RULES)})"
    return "" if rule.allows(value) else f"{key} must be {rule.words}"


class Effect(enum.Enum):
    """What becomes of one call."""

    NONE = enum.auto()
    LIMIT = enum.auto()
    DROP = enum.auto()
    HANG = enum.auto()
    ERROR = enum.auto()
    GARBAGE = enum.auto()


class FaultSwitch:
    """The faults in force. `now` is unix seconds; the same calls meet the same fate for the same random numbers."""

    def __init__(self, random_numbers: random.Random) -> None:
        self.faults = Faults()
        self._random = random_numbers
        self._frozen_at = 0.0
        self._second = 0
        self._calls = 0

    def replace(self, faults: Faults, now: float) -> None:
        """Put new faults in place of all the old. A clock that stands already goes on standing where it was."""
        if faults.freeze_clock and not self.faults.freeze_clock:
            self._frozen_at = now
        self.faults = faults

    def clock(self, now: float) -> float:
        """Tell the time the exchange believes in."""
        return (self._frozen_at if self.faults.freeze_clock else now) + self.faults.clock_ahead

    def effect(self, now: float) -> Effect:
        """Decide the fate of a call that comes in now. A call over the limit does not count for the rates."""
        if not self._within_limit(now):
            return Effect.LIMIT
        rates = (
            (Effect.DROP, self.faults.drop_rate),
            (Effect.HANG, self.faults.hang_rate),
            (Effect.ERROR, self.faults.error_rate),
            (Effect.GARBAGE, self.faults.garbage_rate),
        )
        # every rate has its own draw, so that each is the share it says unless an earlier one has struck
        return next((effect for effect, rate in rates if rate and self._random.random() < rate), Effect.NONE)

    def _within_limit(self, now: float) -> bool:
        limit = self.faults.rate_limit
        if limit is None:
            return True
        if math.floor(now) != self._second:
            self._second, self._calls = math.floor(now), 0
        self._calls += 1
        return self._calls <= limit
