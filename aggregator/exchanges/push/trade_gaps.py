"""The trades that a feed has delivered of each asset, and the gaps that interruptions have left. Pure.

A gap begins with the newest trade that was delivered before an interruption; without one, with the subscription. It is
filled from the venue's recent trades: from those that are not older than its start and were not delivered since.
"""

from collections.abc import Sequence

import msgspec

from aggregator.exchanges.dialect import Execution, Executions, Unreadable
from aggregator.models import Trade

MOST_IDS = 1000  # of an asset's newest trades; as many as a venue answers at most
_SAME = 0.001  # seconds between the times of one trade in the two interfaces of a venue, which may round differently


class _Trail(msgspec.Struct):
    """The newest time and the last ids that were delivered; before the first trade, the time of the subscription."""

    newest: float
    ids: dict[str, float] = {}  # with the time of each
    last_id: str = ""
    announced: int = 0  # the number of the newest trade by the last heartbeat, where that is newer than `last_id`


class _Gap(msgspec.Struct, frozen=True):
    """The start of a gap in unix seconds, and whether a trade was delivered then."""

    begin: float
    after_trade: bool


class Missing(msgspec.Struct, frozen=True):
    """The records of an answer that were not delivered, in order, and whether the answer covers the gap."""

    records: Executions
    complete: bool


class Gaps:
    """The deliveries of one feed and their gaps, by symbol."""

    def __init__(self) -> None:
        self._trails: dict[str, _Trail] = {}
        self._open: dict[str, _Gap] = {}

    @property
    def open(self) -> Sequence[str]:
        """The symbols of assets with a gap."""
        return list(self._open)

    def begin(self, symbol: str, now: float) -> None:
        """Record that an asset is subscribed to; `now` is in unix seconds."""
        if symbol not in self._trails:
            self._trails[symbol] = _Trail(now)

    def forget(self, symbol: str) -> None:
        """Forget an asset that is no longer wanted."""
        self._trails.pop(symbol, None)
        self._open.pop(symbol, None)

    def add(self, trade: Trade) -> None:
        """Record that a trade was delivered."""
        trail = self._trails.get(trade.asset)
        if trail is None:
            return
        if not trail.ids or trade.timestamp >= trail.newest:
            trail.newest, trail.last_id = trade.timestamp, trade.id
        trail.ids[trade.id] = trade.timestamp
        if len(trail.ids) > MOST_IDS:
            del trail.ids[next(iter(trail.ids))]

    def has_trade(self, symbol: str) -> bool:
        """Whether a trade of an asset was delivered since it is subscribed to."""
        trail = self._trails.get(symbol)
        return trail is not None and bool(trail.ids)

    def first_time(self, symbol: str, trade_id: str, timestamp: float) -> float:
        """Return the time of the first delivery of a trade, else `timestamp`: the time is part of its identity."""
        trail = self._trails.get(symbol)
        known = timestamp if trail is None else trail.ids.get(trade_id, timestamp)
        return known if abs(known - timestamp) <= _SAME else timestamp

    def interrupt(self) -> None:
        """Open a gap of every asset; a gap that is open already begins where it began."""
        for symbol in self._trails:
            self._interrupt(symbol)

    def announce(self, symbol: str, number: int) -> None:
        """Compare the number of the newest trade in a heartbeat with the last id.

        A heartbeat may overtake its trade; a second one that is ahead in the same way shows a lost trade: a gap.
        """
        trail = self._trails.get(symbol)
        if trail is None or not trail.last_id.isdecimal():
            return
        last = int(trail.last_id)
        if trail.announced > last:
            self._interrupt(symbol)
        trail.announced = max(number, trail.announced) if number > last else 0

    def missing(self, symbol: str, answer: Executions, most: int) -> Missing:
        """Return what of an answer, oldest first, belongs into the gap.

        A venue that answers fewer trades than `most` has no others.
        """
        trail, gap = self._trails[symbol], self._open[symbol]
        executions = [one for one in answer if isinstance(one, Execution)]
        found = [one for one in executions if one.timestamp >= gap.begin - _SAME and one.id not in trail.ids]
        reached = any(one.timestamp <= gap.begin for one in executions)
        complete = reached or (not gap.after_trade and len(answer) < most)
        unreadable = [one for one in answer if isinstance(one, Unreadable)]
        return Missing([*found, *unreadable], complete)

    def close(self, symbol: str) -> None:
        """Close a gap, filled or not. What heartbeats have announced counts as delivered: it is asked for only once."""
        self._open.pop(symbol, None)
        trail = self._trails.get(symbol)
        if trail is not None and trail.announced:
            if trail.announced > int(trail.last_id):
                trail.last_id = str(trail.announced)
            trail.announced = 0

    def _interrupt(self, symbol: str) -> None:
        trail = self._trails[symbol]
        self._open.setdefault(symbol, _Gap(trail.newest, bool(trail.ids)))
