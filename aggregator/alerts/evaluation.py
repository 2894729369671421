"""The evaluation of rules: which alerts an event causes. Pure; the time is that of the event.

A rule about a level fires when the value comes to the level or beyond, and is then disarmed until the value has been
back behind the level by the hysteresis. A crossing within the cool-down after an alert disarms the rule without an
alert. Events that are not newer than the last one of the same rule and asset are ignored.
"""

from collections import deque
from collections.abc import Iterable
from decimal import Decimal

from aggregator.alerts.events import AnomalyEvent, SentimentEvent
from aggregator.alerts.rules import EVERY_ASSET, Direction, Kind, Rule, Strength
from aggregator.alerts.topic import Alert
from aggregator.models import Price

_PARTS = 30  # of a window; the lowest and highest price of each is kept
_DIGITS = Decimal("0.0001")  # of values in percent
_SCORE = Decimal("0.000001")
_MOST_ROUNDED = 20  # the power of ten of a percentage
_LARGEST_SCORE = 1e9
_MOST_HEADLINE = 200  # characters in a message
_STRENGTHS = [*Strength]


class Evaluator:
    """The rules, with the state of each for its assets: as many as there are rules and assets."""

    def __init__(self) -> None:
        self._by_asset: dict[Kind, dict[str, list[_Watched]]] = {kind: {} for kind in Kind}
        self._rules: dict[str, _Watched] = {}

    def set_rules(self, rules: Iterable[Rule]) -> None:
        """Replace the rules. Those that were there before keep their state."""
        self._rules = {rule.id: self._rules.get(rule.id) or _Watched(rule) for rule in rules}
        self._by_asset = {kind: {} for kind in Kind}
        for watched in self._rules.values():
            self._by_asset[watched.rule.kind].setdefault(watched.rule.asset, []).append(watched)

    def price(self, price: Price) -> list[Alert]:
        """Return the alerts that a new price causes."""
        found = []
        for kind in (Kind.PRICE, Kind.CHANGE, Kind.SPREAD):
            for watched in self._of(kind, price.asset):
                alert = watched.price(price)
                if alert is not None:
                    found.append(alert)
        return found

    def anomaly(self, event: AnomalyEvent) -> list[Alert]:
        """Return the alerts that an anomaly causes."""
        alerts = [watched.anomaly(event) for watched in self._of(Kind.ANOMALY, event.asset)]
        return [alert for alert in alerts if alert is not None]

    def sentiment(self, event: SentimentEvent) -> list[Alert]:
        """Return the alerts that a headline causes."""
        alerts = [watched.sentiment(event) for watched in self._of(Kind.SENTIMENT, event.asset)]
        return [alert for alert in alerts if alert is not None]

    def _of(self, kind: Kind, asset: str) -> list["_Watched"]:
        by_asset = self._by_asset[kind]
        return by_asset.get(asset, []) + by_asset.get(EVERY_ASSET, []) if by_asset else []


class _State:
    """The state of a rule for one asset. `is_armed` is None before the first value of a price rule."""

    __slots__ = ("fired_at", "is_armed", "newest", "window")

    def __init__(self, rule: Rule) -> None:
        self.is_armed = None if rule.kind is Kind.PRICE else True
        self.newest = float("-inf")
        self.fired_at = float("-inf")
        self.window = _Window(rule.seconds or 1) if rule.kind is Kind.CHANGE else None


class _Watched:
    """A rule and its states."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._states: dict[str, _State] = {}  # by asset

    def price(self, price: Price) -> Alert | None:
        """Compare a new price with the level of the rule."""
        state = self._state(price.asset)
        if price.timestamp <= state.newest:
            return None
        state.newest = price.timestamp
        value, text = self._measure(price, state)
        if not self._crosses(value, state) or not self._may_fire(state, price.timestamp):
            return None
        return self._alert(price.asset, price.timestamp, value, text)

    def anomaly(self, event: AnomalyEvent) -> Alert | None:
        """Compare the score of an anomaly with the level of the rule."""
        score, below = _decimal(event.anomaly_score), self.rule.below
        if score is None or (below is not None and score >= below):
            return None
        if not self._may_fire(self._state(event.asset), event.timestamp):
            return None
        return self._alert(event.asset, event.timestamp, score, f"{event.asset}: unusual trade with score {score}")

    def sentiment(self, event: SentimentEvent) -> Alert | None:
        """Compare sentiment and correlation of a headline with the rule."""
        rule, sentiment = self.rule, _decimal(event.sentiment)
        if sentiment is None or not _is_between(rule.above, sentiment, rule.below):
            return None
        if rule.strength is not None and not _is_at_least(event.correlation_strength, rule.strength):
            return None
        if not self._may_fire(self._state(event.asset), event.published_at):
            return None
        text = f"{event.asset}: headline with sentiment {sentiment}: {event.headline[:_MOST_HEADLINE]}"
        return self._alert(event.asset, event.published_at, sentiment, text)

    def _state(self, asset: str) -> _State:
        state = self._states.get(asset)
        if state is None:
            state = self._states[asset] = _State(self.rule)
        return state

    def _measure(self, price: Price, state: _State) -> tuple[Decimal, str]:
        """Return the value that the level is compared with, and how a message describes it."""
        if self.rule.kind is Kind.SPREAD:
            spread = _rounded(100 * price.spread)
            return spread, f"{price.asset}: the venues are {spread} % apart"
        if state.window is None:
            return price.price, f"{price.asset} is at {price.price}"
        moved = state.window.add(price.timestamp, price.price, self.rule.direction or Direction.ANY)
        words = "risen" if moved > 0 else "fallen"
        return moved, f"{price.asset} has {words} by {abs(moved)} % within {self.rule.seconds} s"

    def _crosses(self, value: Decimal, state: _State) -> bool:
        """Whether the value comes to the level or beyond it, after it was behind it by the hysteresis."""
        level, sign = self._level()
        if self.rule.kind is Kind.CHANGE:
            value = abs(value)
        is_beyond = sign * (value - level) >= 0
        if state.is_armed is None:
            state.is_armed = not is_beyond
        elif is_beyond and state.is_armed:
            state.is_armed = False
            return True
        elif not state.is_armed and sign * (level - value) > abs(level) * (self.rule.hysteresis or 0) / 100:
            state.is_armed = True
        return False

    def _level(self) -> tuple[Decimal, int]:
        """Return the level, and 1 if values above it are beyond it, -1 if values below it are."""
        rule = self.rule
        if rule.below is not None:
            return rule.below, -1
        return (rule.percent if rule.above is None else rule.above) or Decimal(0), 1

    def _may_fire(self, state: _State, timestamp: float) -> bool:
        """Whether the cool-down is over; the next one then begins."""
        if timestamp < state.fired_at + self.rule.cooldown:
            return False
        state.fired_at = timestamp
        return True

    def _alert(self, asset: str, timestamp: float, value: Decimal, message: str) -> Alert:
        rule = self.rule
        level = next((one for one in (rule.above, rule.below, rule.percent) if one is not None), None)
        name = f"{rule.id}-{asset}-{round(timestamp * 1_000_000)}"  # the same when another process evaluates the event
        return Alert(name, rule.id, rule.kind, asset, timestamp, value, level, message, rule.outlet)


class _Window:
    """The lowest and highest prices of the last `seconds`, in parts of a thirtieth.

    The oldest part is dropped as a whole when its beginning is older than `seconds`.
    """

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._part_seconds = seconds / _PARTS
        self._parts: deque[tuple[float, Decimal, Decimal]] = deque()  # beginning, lowest, highest

    def add(self, timestamp: float, price: Decimal, direction: Direction) -> Decimal:
        """Add a price; return its change in percent against the lowest or highest price of the window.

        Of both, the larger one for ANY. 0 where the price has not moved in the direction.
        """
        while self._parts and self._parts[0][0] < timestamp - self._seconds:
            self._parts.popleft()
        if self._parts and timestamp < self._parts[-1][0] + self._part_seconds:
            start, low, high = self._parts[-1]
            self._parts[-1] = start, min(low, price), max(high, price)
        else:
            self._parts.append((timestamp, price, price))
        lowest, highest = min(low for _, low, _ in self._parts), max(high for _, _, high in self._parts)
        risen, fallen = _percent(lowest, price), _percent(highest, price)
        if direction is Direction.UP:
            return risen
        return fallen if direction is Direction.DOWN or -fallen > risen else risen


def _percent(first: Decimal, last: Decimal) -> Decimal:
    return _rounded(100 * (last - first) / first)


def _rounded(percent: Decimal) -> Decimal:
    """Return the value with four decimals, or as it is where they would be more digits than a Decimal has."""
    return percent.quantize(_DIGITS) if percent.adjusted() <= _MOST_ROUNDED else percent


def _decimal(score: float) -> Decimal | None:
    """Return a score with six decimals; None for what is no score."""
    return Decimal(score).quantize(_SCORE).normalize() if abs(score) <= _LARGEST_SCORE else None


def _is_between(above: Decimal | None, value: Decimal, below: Decimal | None) -> bool:
    return (above is None or value > above) and (below is None or value < below)


def _is_at_least(strength: str, least: Strength) -> bool:
    return strength in _STRENGTHS and _STRENGTHS.index(Strength(strength)) >= _STRENGTHS.index(least)
