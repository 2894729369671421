"""The forests of all assets in one array, so that one pass scores trades of any assets."""

import numpy as np
import numpy.typing as npt

from aggregator.anomalies.forest import MOST_RECORDS, Floats, Forest, Records, path_sums, scores_of
from aggregator.anomalies.sample import SIZE

_ROWS = 16
_RECORDS = 1 << 14  # of one forest, 131 kB; usual ones have 9,000 to 13,000
_AT_ONCE = 256  # samples in one pass: their arrays fit into the cache of the CPU
_GROWTH = 1.5


class Arena:
    """Holds a forest for each asset, by number, and scores."""

    def __init__(self) -> None:
        self._records: Records = np.zeros((_ROWS, _RECORDS), np.int64)
        self._center = np.zeros((_ROWS, SIZE))
        self._scale = np.ones((_ROWS, SIZE))
        self._threshold = np.zeros(_ROWS)
        self._version = [""] * _ROWS
        self._size = [0] * _ROWS
        self._free = [*range(_ROWS)]
        self._row: dict[int, int] = {}

    def __len__(self) -> int:
        """Return the number of forests."""
        return len(self._row)

    def version(self, asset: int) -> str:
        """Return the version of an asset's forest; empty without one."""
        row = self._row.get(asset)
        return "" if row is None else self._version[row]

    def forest(self, asset: int) -> Forest | None:
        """Return the forest of an asset, if it has one."""
        row = self._row.get(asset)
        if row is None:
            return None
        records = self._records[row, : self._size[row]].copy()
        center, scale = self._center[row].copy(), self._scale[row].copy()
        return Forest(records, center, scale, float(self._threshold[row]), self._version[row])

    def put(self, asset: int, forest: Forest) -> None:
        """Add a forest, in place of the asset's last one."""
        size = len(forest.records)
        if size > self._records.shape[1]:
            self._resize(len(self._records), MOST_RECORDS)
        if asset not in self._row and not self._free:
            self._resize(int(len(self._records) * _GROWTH), self._records.shape[1])
        row = self._row[asset] if asset in self._row else self._free.pop()
        self._row[asset] = row
        self._records[row, :size] = forest.records
        self._size[row] = size
        self._center[row], self._scale[row] = forest.center, forest.scale
        self._threshold[row], self._version[row] = forest.threshold, forest.version

    def remove(self, asset: int) -> None:
        """Remove an asset's forest, if there is one."""
        row = self._row.pop(asset, None)
        if row is not None:
            self._free.append(row)

    def scores(self, assets: npt.NDArray[np.uint32], samples: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
        """Return the scores of samples [n, SIZE] and the thresholds of their assets; NaN where there is no forest."""
        found, inverse = np.unique(assets, return_inverse=True)
        rows = np.array([self._row.get(int(asset), -1) for asset in found], np.int64)[inverse]
        order = np.argsort(rows, kind="stable")  # trades of one asset read the same records
        order = order[np.searchsorted(rows[order], 0) :]
        scores, thresholds = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
        thresholds[order] = self._threshold[rows[order]]
        for start in range(0, len(order), _AT_ONCE):
            part = order[start : start + _AT_ONCE]
            scores[part] = self._scores(rows[part], samples[part])
        return scores, thresholds

    def _scores(self, rows: npt.NDArray[np.int64], samples: npt.NDArray[np.float32]) -> Floats:
        with np.errstate(over="ignore"):  # a value that float32 cannot hold is infinite
            scaled = ((samples - self._center[rows]) / self._scale[rows]).astype(np.float32)
        return scores_of(path_sums(self._records.reshape(-1), rows * self._records.shape[1], scaled))

    def _resize(self, rows: int, records: int) -> None:
        """Make room for `rows` forests of at most `records` records."""
        before = len(self._records)
        larger: Records = np.zeros((rows, records), np.int64)
        larger[:before, : self._records.shape[1]] = self._records
        self._records = larger
        added = rows - before
        self._center = np.concatenate([self._center, np.zeros((added, SIZE))])
        self._scale = np.concatenate([self._scale, np.ones((added, SIZE))])
        self._threshold = np.concatenate([self._threshold, np.zeros(added)])
        self._version += [""] * added
        self._size += [0] * added
        self._free += range(before, rows)
