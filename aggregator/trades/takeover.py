"""Features of assets that this process has not processed before: from saved windows, records read again, the store.

A partition that comes from another process, or back after a restart, begins with the records of its open windows, or
with those after its saved windows. They are measured and nothing else. An asset of which they have too little is
completed from the store at their end; one of which they have nothing, such as one that trades once an hour, at its next
trade.
"""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from aggregator.models import FUTURE_TOLERANCE, Trade, trade_key
from aggregator.trades.asset_states import AssetStates, by_asset
from aggregator.trades.event_log.partition import Assignment, FromPartition
from aggregator.trades.features import FIVE_MINUTES, PRIOR_VOLUMES
from aggregator.trades.ports import Appended, TradeStore
from aggregator.trades.replayed import Replayed
from aggregator.trades.republication import Republication, Retried
from aggregator.trades.saved_windows import WindowSaver

if TYPE_CHECKING:
    from aggregator.trades.analytic import Measured

_FIRST_PAGE, _PAGE = 200, 2000  # stored trades in a read: the first are enough for most assets that need it
_AT_ONCE = 16  # assets whose stored trades are read at once
_ASSETS = 100  # that are looked for at once


class Takeover:
    """Prepares the batches of a processor."""

    def __init__(
        self, store: TradeStore, states: AssetStates, retried: Retried, saver: WindowSaver | None = None
    ) -> None:
        self._store = store
        self._saver = saver
        self._states = states
        self._retried = retried
        self.republication = Republication(store, states, retried)
        """Decides what is published of a batch."""

        self._ready: dict[str, Assignment] = {}
        self._replayed: dict[str, Replayed] = {}
        self._restored: set[Assignment] = set()  # those with saved windows, or that had none

    async def rebuild(self, assets: Sequence[str]) -> None:
        """Measure the stored trades of assets."""
        for first in range(0, len(assets), _ASSETS):
            part = assets[first : first + _ASSETS]
            await self._begin(part)
            await self._measure_all(await self._retried(partial(self._store.latest, part)), is_owned=False)

    def is_ready_for(self, batch: Sequence[Appended]) -> bool:
        """Whether a batch can be processed as it is."""
        for one in batch:
            if isinstance(one, FromPartition):
                if one.is_replayed or one.ends:
                    return False
                ready, assignment = self._ready, one.assignment
                if any(ready.get(asset) is not assignment for asset in {trade.asset for trade in one.trades}):
                    return False
        return True

    async def prepare(self, batch: Sequence[Appended]) -> list[Appended]:
        """Measure the records that are read again, forget partitions that end, and complete the assets of the rest.

        Return the rest. All batches before must have been published.
        """
        rest: list[Appended] = []
        for one in batch:
            if not isinstance(one, FromPartition):
                rest.append(one)
                continue
            if not one.ends and one.assignment not in self._restored:
                await self._restore(one.assignment)
            if one.is_replayed:
                await self._replay(one)
            else:
                rest.append(one)
                if one.ends:
                    self._forget(one.assignment)
                await self._complete({trade.asset for trade in one.trades}, one.assignment)
        return rest

    def name_saved(self, batch: Sequence[Appended]) -> None:
        """Have the commit of a batch, which follows, name saved windows."""
        if self._saver is not None:
            self._saver.update_starts([one for one in batch if isinstance(one, FromPartition)])

    def save(self, batch: Sequence[Appended]) -> None:
        """Have the windows saved where that is due; `batch` is published and committed."""
        if self._saver is not None:
            self._saver.processed([one for one in batch if isinstance(one, FromPartition)], self._exact_assets)

    def _exact_assets(self, one: FromPartition) -> list[str]:
        """Return the assets of a partition whose windows have what the log has before the end of `one`, and no more.

        The next owner reads the trades of `one` again. A window of very many trades does not recognise all of them.
        """
        unknown = {trade.asset for trade in one.trades if not self._states.knows(trade)}
        return [
            asset
            for asset, assignment in self._ready.items()
            if assignment is one.assignment
            and asset not in unknown
            and not (one.is_uncertain and self.republication.is_from_store(asset))
        ]

    async def _restore(self, assignment: Assignment) -> None:
        """Continue with the windows that the owner before has saved."""
        self._restored.add(assignment)
        found = {} if self._saver is None else await self._saver.load(assignment)
        await self._begin([*found])
        for asset, (quote, features) in found.items():
            self._states.restore(asset, quote, features)
            self._ready[asset] = assignment
            self._replayed[asset] = Replayed(assignment)

    async def _begin(self, assets: Sequence[str]) -> None:
        """Forget what is known of assets, and let the analytics read what they keep of them.

        Their features stay until they are computed anew: with many records to read again, that takes a while.
        """
        features = self._states.features
        shown = {asset: features[asset] for asset in assets if asset in features}
        for asset in assets:
            self._drop(asset)
        features.update(shown)
        for analytic in self._states.analytics:
            await self._retried(partial(analytic.load, assets))

    def _drop(self, asset: str) -> None:
        self._states.forget(asset)
        self.republication.forget(asset)
        for analytic in self._states.analytics:
            analytic.forget(asset)

    async def _replay(self, one: FromPartition) -> None:
        known, assignment, trades_of = self._replayed, one.assignment, by_asset(one.trades)
        begun = {asset for asset in trades_of if asset not in known or known[asset].assignment is not assignment}
        if begun:
            await self._begin([*begun])
            known.update({asset: Replayed(assignment) for asset in begun})
        measured: list[Measured] = []
        for asset, trades in trades_of.items():
            taken: list[Trade] = []
            for trade in trades:
                if self._states.is_late(trade):
                    self.republication.note_late(trade)
                elif not self._states.has_measured(trade):
                    taken.append(trade)
                measured += self._states.measure(trade)
            known[asset].add(taken)
        self._states.analyse(measured)
        if one.ends_replay:
            replayed = {asset for asset, found in known.items() if found.assignment is assignment}
            for asset in replayed:
                self._states.value(asset)
            await self._complete(replayed, assignment)  # what is shown until their next trades must be right, too

    async def _complete(self, assets: set[str], assignment: Assignment) -> None:
        """Make assets ready for trades that are not read again."""
        to_read, begun = [], []
        for asset in assets:
            if self._ready.get(asset) is assignment:
                continue
            self._ready[asset] = assignment
            replayed = self._replayed.pop(asset, None)
            if replayed is None or replayed.assignment is not assignment:
                begun.append(asset)
            elif not replayed.is_complete:
                to_read.append(asset)
        if begun:
            await self._begin(begun)
        await self._measure_all(to_read + begun, is_owned=True)

    async def _measure_all(self, assets: Iterable[str], *, is_owned: bool) -> None:
        left = iter(assets)
        while some := list(islice(left, _AT_ONCE)):
            await asyncio.gather(*(self._measure_stored(one, is_owned=is_owned) for one in some))

    def _forget(self, assignment: Assignment) -> None:
        """Forget the assets of a partition that is taken away."""
        self._restored.discard(assignment)
        known = {asset for asset, one in self._ready.items() if one is assignment}
        known |= {asset for asset, one in self._replayed.items() if one.assignment is assignment}
        for asset in known:
            self._drop(asset)
            self._ready.pop(asset, None)
            self._replayed.pop(asset, None)

    async def _measure_stored(self, asset: str, *, is_owned: bool) -> None:
        """Measure the stored trades that the features of an asset depend on. `is_owned`: trades of a partition follow.

        A store without the newest trade that is known, such as a file of this process alone, is no better source than
        the records of the log: then nothing changes.
        """
        trades = await self._retried(lambda: self._window_of(asset))
        known = self._states.quotes.get(asset)
        if not trades or (known is not None and trade_key(known) > trade_key(trades[-1])):
            return
        self._states.forget(asset)
        if is_owned:
            self.republication.begin_from_store(asset, trades)
        measured: list[Measured] = []
        for trade in trades:
            self._states.quotes[asset] = trade
            if not trade.late:
                self._states.newest[asset] = trade.timestamp
                measured += self._states.update(trade, is_newest=True)
        self._states.value(asset)
        self._states.analyse(measured)

    async def _window_of(self, asset: str) -> list[Trade]:
        """Return the stored trades that the features of an asset depend on, oldest first."""
        found: list[Trade] = []
        until, after, limit = self._states.now() + FUTURE_TOLERANCE, None, _FIRST_PAGE
        while True:
            page = await self._store.trades(asset, 0, until, limit, newest_first=True, after=after)
            found += page
            if len(page) < limit or _has_all(found):
                return found[::-1]
            after, limit = trade_key(page[-1]), _PAGE


def _has_all(newest_first: Sequence[Trade]) -> bool:
    """Whether these newest trades of an asset have all that its features depend on."""
    on_time = [trade for trade in newest_first if not trade.late]
    if not on_time or on_time[-1].timestamp > on_time[0].timestamp - FIVE_MINUTES:
        return False
    return sum(trade.volume is not None for trade in on_time) > PRIOR_VOLUMES
