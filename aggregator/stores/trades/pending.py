"""Trades that are in the journal and not in the sorted table yet, by asset. Pure.

There are two generations: trades arrive in the young one, and are moved from the old one into the sorted table, all
trades of an asset together. When the old one is empty, the young one takes its place; what the journal holds of the old
one is then not needed any more.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from aggregator.models import Trade, TradeKey, trade_key

_Key = tuple[float, str, str]  # a TradeKey as a plain tuple, which is made in a seventh of the time

FULL = 50_000  # trades of a generation; the more, the more trades of an asset are moved together
_MOST_MOVED = 4000  # trades in one move, for which a write has to wait
_FASTER = 1.25  # moves for each arrival, so that the old generation is empty before the young one is full


class Move(msgspec.Struct, frozen=True):
    """Trades to move into the sorted table. Then journal rows up to id `until` are not needed; None: all still are."""

    trades: Sequence[Trade] = ()
    until: int | None = None


class _Generation:
    def __init__(self) -> None:
        self.by_asset: dict[str, dict[_Key, Trade]] = {}
        self.size = 0
        self.until = 0

    def add(self, trade: Trade) -> None:
        of_asset = self.by_asset.get(trade.asset)
        if of_asset is None:
            of_asset = self.by_asset[trade.asset] = {}
        of_asset[trade.timestamp, trade.venue, trade.id] = trade
        self.size += 1

    def remove(self, trades: Sequence[Trade]) -> None:
        for trade in trades:
            of_asset = self.by_asset[trade.asset]
            del of_asset[trade.timestamp, trade.venue, trade.id]
            if not of_asset:
                del self.by_asset[trade.asset]
        self.size -= len(trades)

    def first(self, number: int) -> list[Trade]:
        """Return about `number` trades, those of one asset after the other."""
        found: list[Trade] = []
        for of_asset in self.by_asset.values():
            if len(found) >= number:
                break
            found += list(of_asset.values())[: _MOST_MOVED - len(found)]
        return found


class PendingTrades:
    """The two generations. The caller adds a trade once the journal has it, and removes it once it is moved."""

    def __init__(self) -> None:
        self._young, self._old = _Generation(), _Generation()

    def unknown(self, trades: Sequence[Trade]) -> list[Trade]:
        """Return the trades that do not wait here; of those with the same key the first."""
        young, old, nothing = self._young.by_asset, self._old.by_asset, _NOTHING
        found: dict[tuple[str, _Key], Trade] = {}
        for trade in trades:
            asset, key = trade.asset, (trade.timestamp, trade.venue, trade.id)
            if key not in young.get(asset, nothing) and key not in old.get(asset, nothing):
                found.setdefault((asset, key), trade)
        return [*found.values()]

    def add(self, trade: Trade, journal_id: int) -> None:
        """Add a trade that is in this row of the journal."""
        self._young.add(trade)
        self._young.until = journal_id

    def next_move(self, arriving: int) -> Move:
        """Return what to move together with a write of `arriving` trades; nothing while few trades wait."""
        if not self._old.size and self._young.size >= FULL:
            self.age()
        return self._move(min(_MOST_MOVED, int(arriving * _FASTER) + 1)) if self._old.size else Move()

    def rest(self) -> Move:
        """Return what to move while nothing arrives; nothing if no trades wait."""
        if not self._old.size and self._young.size:
            self.age()
        return self._move(_MOST_MOVED) if self._old.size else Move()

    def age(self) -> None:
        """Make the young generation the old one, which is empty."""
        self._young, self._old = _Generation(), self._young

    def remove(self, move: Move) -> None:
        """Remove trades that have been moved."""
        self._old.remove(move.trades)

    def between(
        self, asset: str, start: float, end: float, *, newest_first: bool, after: TradeKey | None
    ) -> list[Trade]:
        """Return the waiting trades of an asset, as `TradeReader.trades` but all of them."""
        found = [
            trade
            for trade in self._of(asset)
            if start <= trade.timestamp <= end
            and (after is None or (trade_key(trade) < after if newest_first else trade_key(trade) > after))
        ]
        return sorted(found, key=trade_key, reverse=newest_first)

    def latest(self, asset: str) -> Trade | None:
        """Return the last waiting trade of an asset."""
        return max(self._of(asset), key=trade_key, default=None)

    def _of(self, asset: str) -> Iterator[Trade]:
        for generation in (self._old, self._young):
            yield from generation.by_asset.get(asset, _NOTHING).values()

    def _move(self, number: int) -> Move:
        trades = self._old.first(number)
        return Move(trades, self._old.until if len(trades) == self._old.size else None)


_NOTHING: Mapping[_Key, Trade] = {}
