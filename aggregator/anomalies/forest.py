"""Fitting an Isolation Forest, and its flat form that `Arena` scores with. The home of scikit-learn.

The trees are those of scikit-learn, to the digit. A record of a flat forest is 8 bytes: a float32, and an int32 that is
8 x the place of the left child + the feature. The right child is behind the left one. A leaf is its own left child,
with a feature that is -inf in every sample, so a walk of DEPTH steps ends at a leaf; its float32 is the path length.
"""

import zlib
from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from aggregator.anomalies.sample import SIZE

Floats: TypeAlias = npt.NDArray[np.float64]
Records: TypeAlias = npt.NDArray[np.int64]
Places: TypeAlias = npt.NDArray[np.int64]

TREES, SUBSAMPLE, DEPTH = 100, 256, 8  # a tree of 256 samples is at most 8 deep
CONTAMINATION, SEED = 0.01, 42
MOST_RECORDS = 1 << 15
_LEAF_FEATURE = SIZE


class TooLarge(ValueError):
    """A forest has more nodes than an arena takes for one asset."""


class Forest(msgspec.Struct, frozen=True):
    """A fitted forest. A sample x is scaled to (x - center) / scale. The first TREES records are the roots.

    `threshold`: a trade with a lower score is an anomaly. `version` is the number of the fit and a checksum.
    """

    records: Records
    center: Floats
    scale: Floats
    threshold: float
    version: str


def fit(samples: npt.NDArray[np.float32], number: int) -> Forest:
    """Return the forest of samples [n, SIZE], at least SUBSAMPLE; its threshold has a hundredth of them below it.

    A scaler changes no tree, since a split is drawn between the least and the greatest value of a feature; it keeps
    float32, in which trees compare, fine enough for a large price that moves little. Raises TooLarge.
    """
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415  # it takes two seconds of CPU time to import
    from sklearn.preprocessing import RobustScaler  # noqa: PLC0415  # it imports most of the library, too

    wide = samples.astype(np.float64)
    scaler = RobustScaler().fit(wide)
    scaled = scaler.transform(wide).astype(np.float32)
    # With the contamination here, the fit would score the samples with code that is slower than ours.
    forest = IsolationForest(n_estimators=TREES, contamination="auto", random_state=SEED).fit(scaled)
    records = _flat([tree.tree_ for tree in forest.estimators_])
    zeros: Places = np.zeros(len(scaled), np.int64)
    threshold = float(np.percentile(scores_of(path_sums(records, zeros, scaled)), 100 * CONTAMINATION))
    checksum = zlib.crc32(records.tobytes() + scaler.center_.tobytes() + scaler.scale_.tobytes())
    return Forest(records, scaler.center_, scaler.scale_, threshold, f"{number}-{checksum:08x}")


def path_sums(records: Records, first: Places, scaled: npt.NDArray[np.float32]) -> Floats:
    """Return the sum of the path lengths in all trees, for each sample [n, SIZE].

    `first` is the place in `records` at which the forest of each sample begins.
    """
    count = len(scaled)
    columns: npt.NDArray[np.float32] = np.full((count, 8), -np.inf, np.float32)
    columns[:, :SIZE] = scaled
    row: Places = (np.arange(count) * 8)[:, None]
    flat, base = columns.ravel(), first[:, None]
    place = base + np.arange(TREES)
    for _ in range(DEPTH):
        record = records.take(place, mode="clip")  # clip: without a copy to check the places first
        limit = record.view(np.float32).reshape(count, TREES, 2)[:, :, 0]
        node = record.view(np.int32).reshape(count, TREES, 2)[:, :, 1]
        place = (node >> 3) + base
        place += flat.take((node & 7) + row, mode="clip") > limit
    ends = records.take(place, mode="clip").view(np.float32).reshape(count, TREES, 2)
    sums: Floats = ends[:, :, 0].sum(axis=1, dtype=np.float64)
    return sums


def scores_of(sums: Floats) -> Floats:
    """Return the scores of sums of path lengths, as scikit-learn's `score_samples`."""
    scores: Floats = -np.exp2(-sums / (TREES * _MEAN_PATH))
    return scores


def _flat(trees: Sequence[Any]) -> Records:
    """Return the records of scikit-learn's trees, in the order of their depths. Raises TooLarge."""
    counts = [tree.node_count for tree in trees]
    if sum(counts) > MOST_RECORDS:
        raise TooLarge(f"{sum(counts)} nodes")
    first: Places = np.repeat(np.cumsum([0, *counts[:-1]]), counts)
    depth = np.concatenate([tree.compute_node_depths() for tree in trees])  # 1 at the root
    left = np.concatenate([tree.children_left for tree in trees])
    is_leaf = left < 0
    size = len(depth)
    place: Places = np.empty(size, np.int64)
    place[np.argsort(depth, kind="stable")] = np.arange(size)  # siblings stay together
    child = np.where(is_leaf, place, place[np.where(is_leaf, 0, left + first)])
    feature = np.where(is_leaf, _LEAF_FEATURE, np.concatenate([tree.feature for tree in trees]))
    path = depth - 1 + _mean_path(np.concatenate([tree.n_node_samples for tree in trees]))
    limit = _rounded_down(np.concatenate([tree.threshold for tree in trees]))
    records: Records = np.empty(size, np.int64)
    records.view(np.float32).reshape(size, 2)[place, 0] = np.where(is_leaf, path, limit)
    records.view(np.int32).reshape(size, 2)[place, 1] = child * 8 + feature
    return records


def _rounded_down(limits: Floats) -> npt.NDArray[np.float32]:
    """Return the greatest float32 not above each limit: a float32 is above that if it is above the limit."""
    with np.errstate(over="ignore"):
        near = limits.astype(np.float32)
    return np.where(near > limits, np.nextafter(near, np.float32(-np.inf)), near)


def _mean_path(samples: npt.NDArray[Any]) -> Floats:
    """Return the mean path length of a search that fails among so many samples (Liu, Ting, Zhou 2008)."""
    number = np.maximum(samples.astype(np.float64), 3)
    usual = 2 * (np.log(number - 1) + np.euler_gamma) - 2 * (number - 1) / number
    return np.where(samples <= 1, 0.0, np.where(samples == 2, 1.0, usual))  # noqa: PLR2004  # as the paper has it


_MEAN_PATH = float(_mean_path(np.array([SUBSAMPLE]))[0])
