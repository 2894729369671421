"""The faults of one exchange, and their effect on calls and feed. Pure: times and random numbers are arguments."""

import enum
import math
import random
from collections.abc import Mapping
from typing import NamedTuple

import msgspec


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """The faults of one exchange; none by default. A rate is the share of calls that it affects, from 0 to 1.

    The handshake of a feed is a call. On the open feed of tickers, `error_rate`, `hang_rate` and `drop_rate` are shares
    of the connections in each of its periods, and on that of trades in each second; `garbage_rate` is a share of the
    tickers, and of the frames of trades; `duplicate_rate` and `reorder_rate` are shares of the tickers.
    """

    error_rate: float = 0.0  # answer with `status`; feed: close the connection
    status: int = 500
    latency_ms: float = 0.0  # delay of every answer, and of everything pushed
    hang_rate: float = 0.0  # never answer; feed: send nothing for a while and keep the connection
    garbage_rate: float = 0.0  # answer 200 with bytes that are not JSON; feed: a text that is not JSON
    drop_rate: float = 0.0  # reset the connection
    duplicate_rate: float = 0.0  # feed: send the ticker twice
    reorder_rate: float = 0.0  # feed: send the ticker after the next one of its symbol
    flood: int = 0  # feed: further copies of each ticker
    price_factor: float = 1.0
    price: str | None = None  # a text such as "NaN", "-1", "1e400" for the price of every ticker and pushed trade
    freeze_clock: bool = False  # stop the clock, and with it the price
    clock_ahead: float = 0.0  # seconds by which its clock is ahead; the price is that of its clock
    rate_limit: int | None = None  # calls per second; further ones get 429
    trade_rate: float = 1.0  # factor of the rate of trades: 10 is a burst, 0 is silence
    trade_duplicates: float = 0.0  # share of the trades that are sent twice, the second time in a later frame
    trade_late: float = 0.0  # share of the trades that are sent late; the answer to a call has them in time
    trade_late_seconds: float = 8.0  # by which these are late
    trade_garbage: float = 0.0  # share of the frames of trades that have an invalid trade besides the sound ones
    news_latency_ms: float = 0.0  # delay of every answer with news; no other fault affects news
    news_error_rate: float = 0.0  # answer calls for news with 503
    news_garbage_rate: float = 0.0  # answer calls for news with 200 and bytes that are not JSON


class FaultsError(Exception):
    """The requested faults are invalid; the message names every mistake."""


class Rule(NamedTuple):
    """The allowed values of a fault: types, inclusive bounds, and both in words."""

    types: tuple[type, ...]
    low: float
    high: float
    words: str

    def allows(self, value: object) -> bool:
        """Return whether a value has one of the types and is within the bounds."""
        # compares the exact type: bool is an int in Python, but `true` is no rate
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
    "duplicate_rate": RATE,
    "reorder_rate": RATE,
    "flood": Rule((int,), 0, 1000, "a whole number from 0 to 1000 (further copies of each pushed ticker)"),
    "price_factor": Rule((int, float), 0, 1_000_000, "a number from 0 to 1000000"),
    "price": Rule((str, type(None)), 0, 0, "a text to stand in place of every price, or null"),
    "freeze_clock": Rule((bool,), 0, 1, "true or false"),
    "clock_ahead": Rule((int, float), -DECADE, DECADE, f"a number of seconds from -{DECADE} to {DECADE}"),
    "rate_limit": Rule((int, type(None)), 0, 1_000_000, "a whole number from 0 to 1000000 (calls per second), or null"),
    "trade_rate": Rule((int, float), 0, 1000, "a number from 0 to 1000"),
    "trade_duplicates": RATE,
    "trade_late": RATE,
    "trade_late_seconds": Rule((int, float), 0, 3600, "a number of seconds from 0 to 3600"),
    "trade_garbage": RATE,
    "news_latency_ms": Rule((int, float), 0, 600_000, "a number of milliseconds from 0 to 600000"),
    "news_error_rate": RATE,
    "news_garbage_rate": RATE,
}


def parse(body: bytes) -> Faults:
    """Return the faults in a JSON object with any of the fields of Faults. Raises FaultsError naming every mistake."""
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
    """Return what is wrong with one field; empty if it is valid."""
    rule = RULES.get(key)
    if rule is None:
        return f"{key[:40]!r} is not a fault (there are {', '.join(RULES)})"
    return "" if rule.allows(value) else f"{key} must be {rule.words}"


class Effect(enum.Enum):
    """The effect of the faults on one call."""

    NONE = enum.auto()
    LIMIT = enum.auto()
    DROP = enum.auto()
    HANG = enum.auto()
    ERROR = enum.auto()
    GARBAGE = enum.auto()


class FaultSwitch:
    """The active faults. `now` is unix seconds; equal random numbers give equal effects to equal calls."""

    def __init__(self, random_numbers: random.Random) -> None:
        self.faults = Faults()
        self._random = random_numbers
        self._frozen_at = 0.0
        self._second = 0
        self._calls = 0

    def replace(self, faults: Faults, now: float) -> None:
        """Replace all faults. A clock that is frozen already stays at its time."""
        if faults.freeze_clock and not self.faults.freeze_clock:
            self._frozen_at = now
        self.faults = faults

    def clock(self, now: float) -> float:
        """Return the time on the clock of the exchange, in unix seconds."""
        return (self._frozen_at if self.faults.freeze_clock else now) + self.faults.clock_ahead

    def effect(self, now: float) -> Effect:
        """Return the effect on a call that arrives now. A call above the rate limit does not count for the rates."""
        if not self._within_limit(now):
            return Effect.LIMIT
        rates = (
            (Effect.DROP, self.faults.drop_rate),
            (Effect.HANG, self.faults.hang_rate),
            (Effect.ERROR, self.faults.error_rate),
            (Effect.GARBAGE, self.faults.garbage_rate),
        )
        # one random number for each rate, so that each affects its share of the calls that no earlier one affects
        return next((effect for effect, rate in rates if self.occurs(rate)), Effect.NONE)

    def occurs(self, rate: float) -> bool:
        """Return whether a fault of this rate occurs now; a rate of 0 takes no random number."""
        return rate > 0 and self._random.random() < rate

    def _within_limit(self, now: float) -> bool:
        limit = self.faults.rate_limit
        if limit is None:
            return True
        if math.floor(now) != self._second:
            self._second, self._calls = math.floor(now), 0
        self._calls += 1
        return self._calls <= limit
