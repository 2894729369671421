"""Saves the windows of a partition while it is processed, so that its next owner reads few records again.

    processed batch -> state of all assets of the partition (encoded) -> SavedWindows, in the background
    -> some seconds later: commits name the offset of that state as the window start

The next owner loads the state and reads the records after it again. Those that the state has already change nothing.
So the time of a takeover does not depend on the number of trades in windows. The analytics take the trades that are
read again once more: these are at least those of the last five seconds.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import structlog

from aggregator.errors import StoreError
from aggregator.models import Trade
from aggregator.observability.trouble_log import TroubleLog
from aggregator.trades.asset_states import AssetStates
from aggregator.trades.event_log.partition import Assignment, FromPartition
from aggregator.trades.event_log.window_start import WindowStart
from aggregator.trades.features import FeaturesState
from aggregator.trades.ports import SavedWindows

_MOST_SAVED = 3  # states of a partition that commits do not name yet, as analytics are not settled
_MOST_BODY = 64 << 20  # bytes


class Pace(msgspec.Struct, frozen=True):
    """The conditions under which windows are saved.

    `trades` of a partition lie between two saves at least: to read fewer again takes less time than a save is worth.
    So do `least_seconds`, and up to `most_seconds` if there are more than `entries_per_second`, of 32 bytes each.
    Commits name a state that is `age_seconds` old: what the analytics found before is stored by then.
    """

    trades: int = 5000
    least_seconds: float = 5.0
    most_seconds: float = 20.0
    entries_per_second: int = 25_000
    age_seconds: float = 5.0


PACE = Pace()


class _Asset(msgspec.Struct, frozen=True):
    """The state of an asset: its last trade, and the state of its operator."""

    quote: Trade
    features: FeaturesState


class _Partition(msgspec.Struct, frozen=True):
    """The states of the assets of a partition, encoded, behind all records before `following`.

    It is a text: a sequence number of Kinesis has more than the 64 bits of a number in msgpack. Windows recognise the
    trades of `lateness` seconds; None in states of 0.2.0.
    """

    following: str
    assets: dict[str, bytes]
    lateness: float | None = None


class _Progress(msgspec.Struct):
    """The saved states of an assignment.

    `saved` has those that commits do not name yet, with the time of saving; the results of analytics before the first
    `settled` of them are stored. `named` is the offset that commits name, `before` the one that they named before.
    """

    trades: int = 0
    due_at: float = 0.0
    is_saving: bool = False
    saved: deque[tuple[float, WindowStart]] = msgspec.field(default_factory=deque)
    settled: int = 0
    named: int = 0
    before: int = 0


class _Job(msgspec.Struct, frozen=True):
    assignment: Assignment
    start: WindowStart
    body: bytes
    before: int


_partition = msgspec.msgpack.Decoder(_Partition)
_asset = msgspec.msgpack.Decoder(_Asset)
_encode = msgspec.msgpack.Encoder().encode


class WindowSaver:
    """Saves and loads the states of partitions. Run `run` beside the processor. `clock` is in monotonic seconds."""

    def __init__(
        self,
        store: SavedWindows,
        states: AssetStates,
        pace: Pace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._states = states
        self._pace = pace
        self._clock = clock
        self._progress: dict[Assignment, _Progress] = {}
        self._jobs: asyncio.Queue[_Job] = asyncio.Queue()  # one for each assignment at most
        self._trouble = TroubleLog("windows_not_saved", "windows_saved_again")

    def update_starts(self, parts: Iterable[FromPartition]) -> None:
        """Let the next commits of these partitions name a saved state that is old enough."""
        until = self._clock() - self._pace.age_seconds
        is_settled = all(one.is_settled for one in self._states.analytics)
        for assignment in {one.assignment for one in parts}:
            progress = self._progress.get(assignment)
            if progress is None:
                continue
            if is_settled:
                progress.settled = len(progress.saved)
            while progress.settled and progress.saved[0][0] <= until:
                progress.settled -= 1
                _, start = progress.saved.popleft()
                assignment.starts.use_saved(start)
                progress.before, progress.named = progress.named, start.offset

    def processed(self, parts: Iterable[FromPartition], assets_of: Callable[[FromPartition], Sequence[str]]) -> None:
        """Take the parts of a batch that was published and committed, and has nothing after it in `states`.

        `assets_of` returns the assets whose state has what the log has, of the partition of a part.
        """
        last = {one.assignment: one for one in parts if not one.ends}
        for one in parts:
            if one.ends or one.assignment.is_lost:
                self._progress.pop(one.assignment, None)
                last.pop(one.assignment, None)
            else:
                self._progress.setdefault(one.assignment, _Progress()).trades += len(one.trades)
        now = self._clock()
        for assignment, one in last.items():
            progress = self._progress[assignment]
            if (
                progress.trades >= self._pace.trades
                and now >= progress.due_at
                and not progress.is_saving
                and len(progress.saved) < _MOST_SAVED
            ):
                self._save(one, assets_of(one), progress, now)

    async def load(self, assignment: Assignment) -> Mapping[str, tuple[Trade, FeaturesState]]:
        """Return the state of each asset of a partition, as its window start needs it; nothing if it is not there."""
        start = assignment.starts.current
        if not start.is_saved:
            return {}
        # Commits name this state: the first save deletes the older ones, which owners before have left.
        self._progress[assignment] = _Progress(named=start.offset, before=start.offset)
        try:
            body = await self._store.load(assignment.partition, start.offset)
            found = None if body is None else _partition.decode(body)
            if found is None or int(found.following) > assignment.committed:
                reason = "not there"
            elif found.lateness is not None and found.lateness < self._states.lateness:
                reason = f"saved with an allowed lateness of {found.lateness:g} s"
            else:
                states = {asset: _asset.decode(raw) for asset, raw in found.assets.items()}
                if all(one.features.window.is_sound for one in states.values()):
                    return {asset: (one.quote, one.features) for asset, one in states.items()}
                reason = "damaged"
        except (StoreError, msgspec.MsgspecError, ValueError) as error:
            reason = str(error)
        structlog.get_logger().warning("windows_not_loaded", partition=assignment.partition, reason=reason)
        return {}

    async def run(self) -> None:
        """Write what is to be saved; never returns."""
        while True:
            job = await self._jobs.get()
            try:
                await self._store.save(job.assignment.partition, job.start.offset, job.body, job.before)
            except StoreError as error:
                self._trouble.report(str(error))
            else:
                self._trouble.report("")
                if job.assignment in self._progress:
                    self._progress[job.assignment].saved.append((self._clock(), job.start))
            if job.assignment in self._progress:
                self._progress[job.assignment].is_saving = False

    def _save(self, one: FromPartition, assets: Sequence[str], progress: _Progress, now: float) -> None:
        states, pace, found, entries = self._states, self._pace, dict[str, bytes](), 0
        for asset in assets:
            quote, operator = states.quotes.get(asset), states.operators.get(asset)
            if quote is not None and operator is not None:
                entries += operator.size
                try:
                    found[asset] = _encode(_Asset(quote, operator.snapshot()))
                except OverflowError:  # a number of more than 64 bits; the next owner reads the asset from the store
                    continue
        body = _encode(_Partition(str(one.following), found, states.lateness))
        progress.trades = 0
        progress.due_at = now + min(pace.most_seconds, max(pace.least_seconds, entries / pace.entries_per_second))
        if len(body) <= _MOST_BODY:
            progress.is_saving = True
            start = WindowStart(one.first, one.assignment.starts.newest, is_saved=True)
            self._jobs.put_nowait(_Job(one.assignment, start, body, progress.before))
