"""Trades that are in the journal and in no block yet, by asset. Pure.

There are two generations: trades arrive in the young one, and are moved from the old one into blocks, all trades of an
asset together. When the old one is empty, the young one takes its place; the journal's rows of the old one are then not
needed any more. Trades that other processes have put into the journal are kept beside them, by row.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec

from aggregator.models import Trade, TradeKey, trade_key
from aggregator.stores.trades.foreign_rows import ForeignRow

_Key = tuple[float, str, str]  # a TradeKey as a plain tuple, which is made in a seventh of the time

FULL = 50_000  # trades of a generation; the more, the more trades of an asset are moved together
_MOST_MOVED = 8000  # trades in one move, for which a write has to wait; more than the largest micro-batch brings
_FOREIGN_FULL, _FOREIGN_SECONDS = 5000, 1.0  # of a generation of another process
_ADOPT_SECONDS = 60.0  # after which a process that has written trades should have moved them
_NEVER = -1.0
_FASTER = 1.25  # moves for each arrival, so that the old generation is empty before the young one is full


class Row(NamedTuple):
    """A row of the journal: its id, and the trades of one call."""

    id: int
    trades: Sequence[Trade]


class Candidates(msgspec.Struct, frozen=True):
    """Trades of one call that do not wait, each key once. Blocks may have those whose indexes are in `doubtful`.

    `assets` are those whose newest time is not known.
    """

    trades: Sequence[Trade]
    doubtful: Sequence[int]
    assets: Collection[str]


class Move(msgspec.Struct, frozen=True):
    """Trades to move into blocks, a list for each asset; then the rows of the journal in `rows` are not needed.

    `is_adopted`: another process has put them into the journal, and may have moved some.
    """

    lists: Sequence[Sequence[Trade]] = ()
    rows: Sequence[range] = ()
    is_adopted: bool = False


class _Generation:
    """Trades by asset. The keys of an asset are kept from the first question on that needs them."""

    def __init__(self) -> None:
        self.by_asset: dict[str, list[Trade]] = defaultdict(list)
        self.rows: list[range] = []  # of the journal
        self.size = 0
        self.is_adopted = False
        self._keys: dict[str, set[_Key]] = {}
        self._unsorted: set[str] = set()
        self._undecoded: list[ForeignRow] = []

    def add(self, trades: Sequence[Trade], row: int) -> None:
        """Add the trades of a row of the journal."""
        self._add(trades)
        self._note(row, len(trades))

    def add_foreign(self, row: ForeignRow) -> None:
        """Add a row of another process; its trades are decoded when one of its assets is asked for."""
        self._undecoded.append(row)
        self._note(row.id, row.size)

    def _note(self, row: int, size: int) -> None:
        self.size += size
        if self.rows and self.rows[-1].stop == row:
            self.rows[-1] = range(self.rows[-1].start, row + 1)
        else:
            self.rows.append(range(row, row + 1))

    def _add(self, trades: Sequence[Trade]) -> None:
        by_asset, keys = self.by_asset, self._keys
        for trade in trades:
            of_asset = by_asset[trade.asset]
            if of_asset and of_asset[-1].timestamp >= trade.timestamp:
                self._unsorted.add(trade.asset)
            of_asset.append(trade)
            if trade.asset in keys:
                keys[trade.asset].add((trade.timestamp, trade.venue, trade.id))

    def _decode(self, asset: str | None = None) -> None:
        """Decode the rows that have an asset, by default all."""
        if self._undecoded:
            due = [row for row in self._undecoded if asset is None or asset in row.newest]
            if due:
                self._undecoded = [row for row in self._undecoded if not (asset is None or asset in row.newest)]
                for row in due:
                    self._add(row.trades)

    def has(self, asset: str, key: _Key) -> bool:
        """Whether a trade with this key is here, or has been."""
        self._decode(asset)
        keys = self._keys.get(asset)
        if keys is None:
            if asset not in self.by_asset:
                return False
            keys = self._keys[asset] = {(one.timestamp, one.venue, one.id) for one in self.by_asset[asset]}
        return key in keys

    def of(self, asset: str) -> Sequence[Trade]:
        """Return the trades of an asset in the order of their keys."""
        self._decode(asset)
        if asset in self._unsorted:
            self._unsorted.discard(asset)
            self.by_asset[asset].sort(key=trade_key)
        return self.by_asset.get(asset, ())

    def first(self, number: int) -> list[Sequence[Trade]]:
        """Return about `number` trades, those of one asset after the other."""
        self._decode()
        lists: list[Sequence[Trade]] = []
        found = 0
        for asset in self.by_asset:
            if found >= number:
                break
            lists.append(self.of(asset)[: _MOST_MOVED - found])
            found += len(lists[-1])
        return lists

    def remove(self, lists: Sequence[Sequence[Trade]]) -> None:
        """Remove trades of `first`."""
        for trades in lists:
            asset = trades[0].asset
            if len(trades) == len(self.by_asset[asset]):
                del self.by_asset[asset]
            else:
                del self.by_asset[asset][: len(trades)]
            self.size -= len(trades)


class _Foreign(msgspec.Struct):
    """Trades of other processes that have come until `until`, in monotonic seconds."""

    trades: _Generation
    until: float


class PendingTrades:
    """The two generations. The caller adds trades once the journal has them, and removes them once they are moved."""

    def __init__(self) -> None:
        self._young, self._old = _Generation(), _Generation()
        self._foreign: list[_Foreign] = []  # oldest first
        self.last_foreign = 0  # the last row of another process
        self._newest: dict[str, float] = {}  # neither memory nor a block has a newer trade of the asset
        # Of the same assets: no block has a newer trade. What waits of other processes counts as if it were in blocks.
        self._moved: dict[str, float] = {}

    def candidates(self, trades: Sequence[Trade]) -> Candidates:
        """Return the trades that do not wait here; of those with the same key the first."""
        newest, moved = self._newest, self._moved
        found, doubtful, unknown = list[Trade](), list[int](), set[str]()
        seen: set[tuple[str, _Key]] = set()
        number_seen = 0  # of `found`, whose keys are in `seen`
        for trade in trades:
            asset, timestamp = trade.asset, trade.timestamp
            known = newest.get(asset)
            if known is not None and timestamp > known:
                newest[asset] = timestamp  # should the write fail, the next call looks into memory and blocks
                found.append(trade)
                continue
            for one in found[number_seen:]:
                seen.add((one.asset, (one.timestamp, one.venue, one.id)))
            number_seen = len(found)
            key = (timestamp, trade.venue, trade.id)
            if (asset, key) not in seen and not any(one.has(asset, key) for one in self._generations()):
                if known is None:
                    unknown.add(asset)
                if known is None or timestamp <= moved[asset]:
                    doubtful.append(number_seen)
                found.append(trade)
        return Candidates(found, doubtful, unknown)

    def add(self, row: Row) -> None:
        """Add a row that this process has written."""
        self._young.add(row.trades, row.id)

    def learn_newest(self, stored: Mapping[str, float | None]) -> None:
        """Take the newest times in blocks of some assets, after all rows of the journal have been added."""
        for asset, newest in stored.items():
            stored_last = _NEVER if newest is None else newest
            self._moved[asset] = max(stored_last, *self._last(asset, (one.trades for one in self._foreign)), _NEVER)
            self._newest[asset] = max(stored_last, *self._last(asset, self._generations()), _NEVER)

    def add_foreign(self, rows: Sequence[ForeignRow], now: float) -> None:
        """Add rows that other processes have written, unless they are here; `now` is in monotonic seconds."""
        for row in rows:
            if row.id <= self.last_foreign:
                continue
            self.last_foreign = row.id
            if not self._foreign or self._foreign[-1].trades.size >= _FOREIGN_FULL or now > self._foreign[-1].until:
                self._foreign.append(_Foreign(_Generation(), now + _FOREIGN_SECONDS))
            self._foreign[-1].trades.add_foreign(row)
            for asset, newest in row.newest.items():
                known = self._newest.get(asset)
                if known is not None:  # its block may come at any time
                    self._newest[asset] = max(known, newest)
                    self._moved[asset] = max(self._moved[asset], newest)

    def forget_newest(self) -> None:
        """Forget the newest times, as other processes may have written blocks with newer trades."""
        self._newest.clear()
        self._moved.clear()

    def keep_foreign(self, rows: Collection[int]) -> None:
        """Remove the trades of other processes of which the journal has no row any more; blocks have them."""
        self._foreign = [one for one in self._foreign if any(row in rows for some in one.trades.rows for row in some)]

    def next_move(self, arriving: int, now: float) -> Move:
        """Return what to move together with a write of `arriving` trades; nothing while few trades wait."""
        return self._move(min(_MOST_MOVED, int(arriving * _FASTER) + 1), now, FULL)

    def rest(self, now: float) -> Move:
        """Return what to move while nothing arrives; nothing if no trades wait."""
        return self._move(_MOST_MOVED, now, 1)

    def remove(self, move: Move) -> None:
        """Remove trades that have been moved."""
        for trades in move.lists:
            asset, last = trades[0].asset, trades[-1].timestamp
            if asset in self._moved:
                self._moved[asset] = max(self._moved[asset], last)
        self._old.remove(move.lists)

    def between(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None
    ) -> list[Trade]:
        """Return the first of the waiting trades of an asset, as `TradeReader.trades`."""
        found: list[Trade] = []
        for generation in self._generations():
            trades = generation.of(asset)
            first, last = bisect_left(trades, start, key=_time), bisect_right(trades, end, key=_time)
            if after is not None and newest_first:
                last = min(last, bisect_left(trades, after, key=trade_key))
            elif after is not None:
                first = max(first, bisect_right(trades, after, key=trade_key))
            found += (
                trades[max(first, last - limit) : last] if newest_first else trades[first : min(last, first + limit)]
            )
        return found

    def _generations(self) -> Iterator[_Generation]:
        return chain((self._young, self._old), (one.trades for one in self._foreign))

    @staticmethod
    def _last(asset: str, generations: Iterable[_Generation]) -> Iterator[float]:
        """Yield the time of the last trade of an asset in each of these generations."""
        return (one.of(asset)[-1].timestamp for one in generations if one.of(asset))

    def _move(self, number: int, now: float, full: int) -> Move:
        """Return about `number` trades to move; `now` is in monotonic seconds.

        An empty old generation is replaced by trades that another process should have moved by now, or else by the
        young one if that has `full` trades.
        """
        if not self._old.size and self._foreign and self._foreign[0].until + _ADOPT_SECONDS <= now:
            self._old = self._foreign.pop(0).trades
            self._old.is_adopted = True
        elif not self._old.size and self._young.size >= full:
            self._young, self._old = _Generation(), self._young
        if not self._old.size:
            return Move()
        lists = self._old.first(number)
        is_rest = sum(map(len, lists)) == self._old.size
        return Move(lists, self._old.rows if is_rest else (), self._old.is_adopted)


def _time(trade: Trade) -> float:
    return trade.timestamp
