"""The last samples of one asset."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from aggregator.anomalies.fit_queue import FIRST
from aggregator.anomalies.sample import SIZE

Rows: TypeAlias = npt.NDArray[np.float32]


class Samples:
    """A ring of the last FIRST samples of an asset: 24 kB once it is full.

    `newest` is the time of the last one, in unix seconds. `since_fit` counts those that came after the last fit.
    """

    __slots__ = ("_next", "_ring", "count", "fits", "newest", "since_fit")

    def __init__(self) -> None:
        self._ring: Rows = np.empty((64, SIZE), np.float32)
        self._next = self.count = self.since_fit = self.fits = 0
        self.newest = 0.0

    def add(self, rows: Rows, newest: float) -> None:
        """Add samples [n, SIZE], in their order."""
        self.since_fit += len(rows)
        self.newest = newest
        rows = rows[-FIRST:]
        self._make_room(len(rows))
        places: Any = (self._next + np.arange(len(rows))) % FIRST
        self._ring[places] = rows
        self._next = (self._next + len(rows)) % FIRST
        self.count = min(FIRST, self.count + len(rows))

    def rows(self) -> Rows:
        """Return the samples [count, SIZE], oldest first."""
        if self.count < FIRST:
            return self._ring[: self.count].copy()
        return np.concatenate([self._ring[self._next :], self._ring[: self._next]])

    def _make_room(self, added: int) -> None:
        needed = min(FIRST, self.count + added)
        if needed > len(self._ring):
            larger: Rows = np.empty((min(FIRST, max(needed, 2 * len(self._ring))), SIZE), np.float32)
            larger[: self.count] = self._ring[: self.count]
            self._ring = larger
