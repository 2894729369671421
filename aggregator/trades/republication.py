"""Trades that are published after a takeover: new ones, and those that an earlier owner may have stored only.

A trade that the store has already is published again, as it was stored, unless this process or the records that were
read again show that it was published.
"""

import asyncio
from array import array
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from aggregator.models import Trade, TradeKey, trade_key
from aggregator.trades.asset_states import AssetStates
from aggregator.trades.event_log.partition import FromPartition
from aggregator.trades.ports import Appended, TradeStore

T = TypeVar("T")

_PAGE = 2000
_AT_ONCE = 16  # trades that are looked for at once
_MOST_NOTED = 10_000  # keys of an asset

Key = tuple[str, TradeKey]
"""Asset and key of a trade."""


class Retried(Protocol):
    """Runs calls of a store."""

    async def __call__(self, work: Callable[[], Awaitable[T]], /) -> T:
        """Return the result of `work`, however long the store is away."""


class ToPublish(NamedTuple):
    """The trades of a batch to be published, and those of them that the windows do not have.

    `again` are those that an earlier owner has stored, and may have published.
    """

    published: Sequence[Trade]
    measured: Sequence[Trade]
    again: frozenset[Trade] = frozenset()


class _Stored(msgspec.Struct):
    """The trades of an asset whose window was read from the store, and those that this process has published since.

    A window from the records of the log has what was published; the store may have more. `since` is the oldest time
    that was read, `late` has the late trades. Lateness depends on the order of the log: it is that of the first owner,
    not what the newest stored trade suggests. Of the other trades, `measured` has hashes of the keys in rising order,
    and `contents` those of the rest, 8 bytes each: a takeover may read millions of trades.
    """

    since: float
    late: dict[TradeKey, Trade]
    measured: "array[int]"
    contents: "array[int]"
    published: dict[TradeKey, None]

    def has_measured(self, trade: Trade) -> bool:
        """Whether the window has a trade from the store. Not so one that an earlier owner stored after the read."""
        return self._place(trade) is not None

    def differs(self, trade: Trade) -> bool:
        """Whether the store has another price, volume, side or sequence of a trade that may not have been published."""
        place = self._place(trade)
        return place is not None and trade_key(trade) not in self.published and self.contents[place] != _content(trade)

    def unpublished(self, trade: Trade, stored: Trade | None) -> Trade | None:
        """Return a trade of the store, from `since` on, as it was stored; None if it was published.

        `stored` is needed for one that `differs`.
        """
        key = trade_key(trade)
        if key in self.published:
            return None
        if key in self.late:
            return self.late[key]
        # One that was stored after the read is marked as its owner marked it, by the order of the log.
        return stored or (msgspec.structs.replace(trade, late=False) if self.has_measured(trade) else trade)

    def _place(self, trade: Trade) -> int | None:
        key = hash(trade_key(trade))
        place = bisect_left(self.measured, key)
        return place if place < len(self.measured) and self.measured[place] == key else None


class Republication:
    """Decides what is published of batches in which some trades may have been stored by an earlier owner."""

    def __init__(self, store: TradeStore, states: AssetStates, retried: Retried) -> None:
        self._store = store
        self._states = states
        self._retried = retried
        self._stored: dict[str, _Stored] = {}  # of each asset whose window is from the store
        self._late: dict[str, dict[TradeKey, None]] = {}  # published late trades of the others: windows lack them

    def begin_from_store(self, asset: str, trades: Sequence[Trade]) -> None:
        """Note that the window of an asset has these trades of the store, oldest first."""
        late = {trade_key(one): one for one in trades if one.late}
        hashes = sorted((hash(trade_key(one)), _content(one)) for one in trades if not one.late)
        measured, contents = array("q", [key for key, _ in hashes]), array("q", [content for _, content in hashes])
        self._stored[asset] = _Stored(trades[0].timestamp, late, measured, contents, {})

    def is_from_store(self, asset: str) -> bool:
        """Whether the window of an asset is from the store."""
        return asset in self._stored

    def forget(self, asset: str) -> None:
        """Forget an asset; from then on its window has what was published, unless it begins from the store."""
        self._stored.pop(asset, None)
        self._late.pop(asset, None)

    def note_late(self, trade: Trade) -> None:
        """Note a late trade that was published."""
        _note(self._late.setdefault(trade.asset, {}), trade)

    async def as_stored(
        self, batch: Sequence[Appended], trades: Sequence[Trade], new: Sequence[Trade]
    ) -> Mapping[Key, Trade]:
        """Return those trades of a batch from the store of which `to_publish` needs to know how they were stored.

        The arguments are those of `to_publish`. They are late trades, and trades of which a record has another price:
        the first record of a key counts.
        """
        if len(new) == len(trades) or not _has_uncertain(batch):
            return {}
        left = set(map(_key, new))
        asked = {
            _key(trade): trade
            for trade, is_uncertain in _uncertain(batch, trades)
            if is_uncertain and _key(trade) not in left and self._must_be_looked_up(trade)
        }
        found: dict[Key, Trade] = {}
        waiting = iter(asked.items())
        while some := list(islice(waiting, _AT_ONCE)):
            stored = await asyncio.gather(*(self._retried(partial(self._stored_trade, one)) for _, one in some))
            found.update((key, one) for (key, _), one in zip(some, stored, strict=True) if one is not None)
        return found

    def to_publish(
        self,
        batch: Sequence[Appended],
        trades: Sequence[Trade],
        new: Sequence[Trade],
        as_stored: Mapping[Key, Trade] = MappingProxyType({}),
    ) -> ToPublish:
        """Return the trades to be published: those new to the store, and those that may not have been published.

        The latter were stored by a process that may have ended before it published them. `trades` are those of the
        whole batch.
        """
        if not _has_uncertain(batch):
            return ToPublish(new, new)
        if len(new) == len(trades) and not self._stored:
            self._note(trade for trade in new if trade.late)
            return ToPublish(new, new)
        left, seen = set(map(_key, new)), set[Key]()
        found, measured, stored = list[Trade](), list[Trade](), set[Trade]()
        for trade, is_uncertain in _uncertain(batch, trades):
            key = _key(trade)
            if key in seen:
                continue
            is_new = key in left
            again = trade if is_new else self._unpublished(trade, as_stored) if is_uncertain else None
            if again is not None:
                seen.add(key)
                found.append(again)
                if is_new or not self._is_measured(again):
                    measured.append(again)
                if not is_new:
                    stored.add(again)
        self._note(found)
        return ToPublish(found, measured, frozenset(stored))

    def _note(self, published: Iterable[Trade]) -> None:
        """Note what is published and the windows do not tell."""
        for trade in published:
            stored = self._stored.get(trade.asset)
            if stored is not None:
                _note(stored.published, trade)
            elif trade.late:
                self.note_late(trade)

    def _is_measured(self, trade: Trade) -> bool:
        """Whether the window of a stored trade's asset was read from the store with this trade, or without as late."""
        stored = self._stored.get(trade.asset)
        return stored is not None and (trade.late or stored.has_measured(trade))

    def _must_be_looked_up(self, trade: Trade) -> bool:
        """Whether only the store can tell how a trade was stored, and nothing tells that it was published."""
        stored = self._stored.get(trade.asset)
        if stored is not None and trade.timestamp >= stored.since:
            return stored.differs(trade)
        published = self._late.get(trade.asset, ()) if stored is None else stored.published
        return trade.late and trade_key(trade) not in published

    def _unpublished(self, trade: Trade, as_stored: Mapping[Key, Trade]) -> Trade | None:
        """Return a stored trade that may not have been published, as it was stored; None if it was.

        A late record of a trade that was stored as one in time is a repetition: windows had the first one.
        """
        stored, found = self._stored.get(trade.asset), as_stored.get(_key(trade))
        if stored is not None and trade.timestamp >= stored.since:
            return stored.unpublished(trade, found)
        if trade.late:
            return found if found is not None and found.late and self._must_be_looked_up(trade) else None
        return None if self._states.has_measured(trade) else trade

    async def _stored_trade(self, trade: Trade) -> Trade | None:
        """Return the trade of the store with the key of this one; None if there is none."""
        at, key, after = trade.timestamp, trade_key(trade), None
        while True:
            page = await self._store.trades(trade.asset, at, at, _PAGE, newest_first=False, after=after)
            for one in page:
                if trade_key(one) == key:
                    return one
            if len(page) < _PAGE:
                return None
            after = trade_key(page[-1])


def _note(keys: dict[TradeKey, None], trade: Trade) -> None:
    keys[trade_key(trade)] = None
    if len(keys) > _MOST_NOTED:
        del keys[next(iter(keys))]


def _content(trade: Trade) -> int:
    return hash((trade.price, trade.volume, trade.side, trade.sequence))


def _key(trade: Trade) -> Key:
    return trade.asset, trade_key(trade)


def _has_uncertain(batch: Sequence[Appended]) -> bool:
    return any(isinstance(one, FromPartition) and one.is_uncertain for one in batch)


def _uncertain(batch: Sequence[Appended], trades: Sequence[Trade]) -> Iterator[tuple[Trade, bool]]:
    """Yield the trades of a batch, and whether an earlier owner may have stored each."""
    place = iter(trades)
    for one in batch:
        is_uncertain = isinstance(one, FromPartition) and one.is_uncertain
        for trade in islice(place, len(one.trades)):
            yield trade, is_uncertain
