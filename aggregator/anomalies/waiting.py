"""Samples that wait for the worker, and changes of assets between them. Bounded; pure."""

from array import array
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aggregator.anomalies.messages import Batch
from aggregator.anomalies.sample import sample_of
from aggregator.trades.analytic import Measured

if TYPE_CHECKING:
    from aggregator.models import Trade

MOST = 65_536  # samples that wait
CHUNK = 8192  # samples in one batch at most


class Chunk:
    """Samples of trades in their order, behind changes of assets: first those to forget, then those to load."""

    __slots__ = ("assets", "forget", "live", "load", "samples", "times", "trades")

    def __init__(self) -> None:
        self.forget: set[int] = set()
        self.load: set[int] = set()
        self.trades: list[Trade] = []
        self.assets, self.times = array("I"), array("d")
        self.live, self.samples = bytearray(), array("f")

    def batch(self, names: list[str]) -> Batch:
        """Return the chunk as a message."""
        return Batch(
            names,
            [*self.forget],
            [*self.load],
            self.assets.tobytes(),
            self.times.tobytes(),
            bytes(self.live),
            self.samples.tobytes(),
        )

    def follow(self, earlier: "Chunk") -> None:
        """Take over the changes of the chunk before, whose samples are dropped."""
        self.load |= earlier.load - self.forget
        self.forget |= earlier.forget


class Waiting:
    """Chunks in their order. While there are MOST samples, the oldest chunk of them is dropped."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}  # as many as there are assets
        self._chunks: deque[Chunk] = deque([Chunk()])
        self._samples = 0

    def __len__(self) -> int:
        """Return the number of samples that wait."""
        return self._samples

    @property
    def has_changes(self) -> bool:
        """Whether anything waits, samples or changes."""
        first = self._chunks[0]
        return bool(self._samples or first.forget or first.load)

    @property
    def names(self) -> list[str]:
        """The names of the assets, by their number."""
        return [*self._numbers]

    def add(self, measured: Sequence[Measured]) -> int:
        """Add the trades whose features are all known; return how many older ones were dropped."""
        chunk, numbers = self._chunks[-1], self._numbers
        if len(chunk.trades) + len(measured) > CHUNK and chunk.trades:
            chunk = self._begin()
        before, trades = len(chunk.trades), chunk.trades
        known: list[float] = []
        for one in measured:
            sample = sample_of(one)
            if sample is not None:
                known += sample
                trades.append(one.trade)
                chunk.live.append(one.live)
        chunk.samples.extend(known)
        new = trades[before:]
        chunk.times.extend([trade.timestamp for trade in new])
        chunk.assets.extend([numbers.setdefault(trade.asset, len(numbers)) for trade in new])
        self._samples += len(chunk.trades) - before
        return self._drop()

    def load(self, assets: Sequence[str]) -> None:
        """Note that assets are to be loaded, after the samples that wait."""
        chunk = self._for_changes()
        chunk.load.update(map(self.number, assets))

    def forget(self, asset: str) -> None:
        """Note that an asset is to be forgotten, after the samples that wait."""
        chunk, number = self._for_changes(), self.number(asset)
        chunk.load.discard(number)
        chunk.forget.add(number)

    def number(self, asset: str) -> int:
        """Return the number of an asset."""
        return self._numbers.setdefault(asset, len(self._numbers))

    def take(self) -> Chunk:
        """Return the oldest chunk, which then waits no more."""
        chunk = self._chunks.popleft()
        if not self._chunks:
            self._chunks.append(Chunk())
        self._samples -= len(chunk.trades)
        return chunk

    def _begin(self) -> Chunk:
        chunk = Chunk()
        self._chunks.append(chunk)
        return chunk

    def _for_changes(self) -> Chunk:
        chunk = self._chunks[-1]
        return self._begin() if chunk.trades else chunk

    def _drop(self) -> int:
        dropped = 0
        while self._samples > MOST and len(self._chunks) > 1:
            oldest = self.take()
            self._chunks[0].follow(oldest)
            dropped += len(oldest.trades)
        return dropped
