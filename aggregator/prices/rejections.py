"""Finds the exchanges whose tickers are being rejected: one state machine per exchange, fed with outcomes. Pure.

    accepted -> two windows in a row with a quarter or more of its tickers rejected -> rejected
    rejected -> two windows in a row with a tenth or less rejected                  -> accepted

A share in between changes nothing, and neither does a window without tickers, so that the state does not flap.
A ticker is rejected if it arrived but did not count (an outlier, too old, a bad price …). An exchange without tickers
is not judged here: its circuit breaker and the time since its last ticker show that.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

import msgspec

from aggregator.models import NoPrice, Price, Reason

REJECTED = frozenset(
    {
        Reason.WRONG_SYMBOL,
        Reason.BAD_PRICE,
        Reason.BAD_VOLUME,
        Reason.TOO_OLD,
        Reason.FROM_THE_FUTURE,
        Reason.OUTLIER,
        Reason.DISAGREEMENT,
    }
)
BEGIN, END = 0.25, 0.1  # shares of the tickers of one window
LEAST = 5  # tickers in a window; fewer are no evidence
_IN_A_ROW = 2  # windows
_SHORTEST, _LONGEST = 2.0, 60.0  # seconds of a window


class Rejection(msgspec.Struct, frozen=True):
    """The most frequent reason, and the number of rejected assets out of `of` judged ones in the same window."""

    reason: Reason
    assets: int
    of: int

    def __str__(self) -> str:
        """Return the rejection as text."""
        return f"{self.reason}, {self.assets} of {self.of} assets"


class Change(msgspec.Struct, frozen=True):
    """An exchange whose tickers are rejected from now on, or accepted again (None)."""

    exchange: str
    rejection: Rejection | None


class Rejections:
    """The state of each exchange. A window lasts at least `seconds`, and until it has LEAST tickers."""

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._venues: dict[str, _Venue] = {}

    def record(
        self,
        outcomes: Iterable[Price | NoPrice],
        now: float,
        news: Mapping[str, AbstractSet[str]] | None = None,
    ) -> list[Change]:
        """Record outcomes; return the exchanges whose state changes. `now`: monotonic seconds.

        `news` has by symbol the exchanges whose tickers have not been recorded before; None means all.
        """
        for outcome in outcomes:
            judged = None if news is None else news[outcome.asset]
            if isinstance(outcome, Price):
                for source in outcome.sources:
                    if judged is None or source.exchange in judged:
                        self._venue(source.exchange, now).accepted(outcome.asset)
            for left_out in outcome.left_out:
                if left_out.reason in REJECTED and (judged is None or left_out.exchange in judged):
                    self._venue(left_out.exchange, now).rejected(outcome.asset, left_out.reason)
        return [
            Change(name, venue.rejection)
            for name, venue in self._venues.items()
            if venue.is_over(now - self._seconds) and venue.close()
        ]

    def of(self, exchange: str) -> Rejection | None:
        """Return why the exchange's tickers are rejected, as of its last window; None while they are accepted."""
        venue = self._venues.get(exchange)
        return None if venue is None else venue.rejection

    def _venue(self, name: str, now: float) -> "_Venue":
        venue = self._venues.get(name)
        if venue is None:
            venue = self._venues[name] = _Venue()
        if not venue.judged:
            venue.opened = now
        return venue


class _Venue:
    """One exchange: its state, its open window, and how many closed windows in a row contradicted the state."""

    __slots__ = ("against", "judged", "opened", "reasons", "refused", "rejection", "tickers")

    def __init__(self) -> None:
        self.rejection: Rejection | None = None
        self.against = 0
        self._open()

    def _open(self) -> None:
        self.opened = 0.0
        self.tickers = 0
        self.judged: set[str] = set()
        self.refused: set[str] = set()
        self.reasons: Counter[Reason] = Counter()

    def accepted(self, symbol: str) -> None:
        """Count a ticker that went into a price."""
        self.tickers += 1
        self.judged.add(symbol)

    def rejected(self, symbol: str, reason: Reason) -> None:
        """Count a ticker that was rejected."""
        self.accepted(symbol)
        self.refused.add(symbol)
        self.reasons[reason] += 1

    def is_over(self, opened_by: float) -> bool:
        """Whether the window was opened by then, and has enough tickers."""
        return self.tickers >= LEAST and self.opened <= opened_by

    def close(self) -> bool:
        """Close the window and open the next one; return whether the state has changed."""
        share = self.reasons.total() / self.tickers
        was_rejected = self.rejection is not None
        contradicts = share <= END if was_rejected else share >= BEGIN
        self.against = self.against + 1 if contradicts else 0
        changes = self.against == _IN_A_ROW
        if changes:
            self.against = 0
        if was_rejected and changes:
            self.rejection = None
        elif (was_rejected or changes) and self.reasons:
            self.rejection = Rejection(self.reasons.most_common(1)[0][0], len(self.refused), len(self.judged))
        self._open()
        return changes


def window_seconds(shortest_interval: float) -> float:
    """Return the length of a window in seconds: two of the shortest refresh intervals, from 2 to 60."""
    return min(_LONGEST, max(_SHORTEST, 2 * shortest_interval))
