"""The state of each asset in a file: its samples, and its forest if it has one."""

import importlib.metadata
import os
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from aggregator.anomalies.fit_queue import FIRST
from aggregator.anomalies.forest import MOST_RECORDS, TREES, Forest
from aggregator.anomalies.sample import FEATURES, SIZE

_FORMAT = 1
_MOST_BYTES = 1 << 20  # of a file; usual ones have 110,000 to 170,000
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, msgspec.MsgspecError)


class Kept(msgspec.Struct, frozen=True):
    """The state of an asset in a file: samples [n, SIZE], the newest's time, the number of fits, and the last forest.

    `since_fit` counts the samples that came after the last fit.
    """

    samples: npt.NDArray[np.float32]
    newest: float
    fits: int
    since_fit: int
    forest: Forest | None


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The versions that made a file; a file of other versions is not read."""

    format: int
    scikit_learn: str
    features: tuple[str, ...]
    asset: str
    newest: float
    fits: int
    since_fit: int
    threshold: float | None
    version: str


class ModelFiles:
    """The files of one folder, `<asset>.npz` each. An asset's name must be fit for a file's: `is_symbol`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._library = importlib.metadata.version("scikit-learn")

    def save(self, asset: str, kept: Kept) -> None:
        """Write the file of an asset, in place of the last one at once. Raises OSError."""
        forest = kept.forest
        header = _Header(
            _FORMAT,
            self._library,
            FEATURES,
            asset,
            kept.newest,
            kept.fits,
            kept.since_fit,
            None if forest is None else forest.threshold,
            "" if forest is None else forest.version,
        )
        arrays: dict[str, Any] = {
            "header": np.frombuffer(msgspec.json.encode(header), np.uint8),
            "samples": kept.samples,
        }
        if forest is not None:
            arrays |= {"records": forest.records, "center": forest.center, "scale": forest.scale}
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(asset)
        unfinished = path.with_suffix(f".{os.getpid()}")
        with unfinished.open("wb") as file:
            np.savez(file, **arrays)
        unfinished.replace(path)

    def load(self, asset: str) -> Kept | None:
        """Return what is kept of an asset; None without a file, or with one that is damaged or from another version."""
        path = self._path(asset)
        try:
            if path.stat().st_size > _MOST_BYTES:
                return None
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return self._checked(asset, arrays)
        except _UNREADABLE:
            return None

    def _path(self, asset: str) -> Path:
        return self._folder / f"{asset}.npz"

    def _checked(self, asset: str, arrays: Any) -> Kept | None:
        """Return the content of a file; None if it is not ours. Raises ValueError and KeyError."""
        header = msgspec.json.decode(arrays["header"].tobytes(), type=_Header)
        ours = (_FORMAT, self._library, FEATURES, asset)
        if (header.format, header.scikit_learn, header.features, header.asset) != ours:
            return None
        samples = arrays["samples"]
        if samples.dtype != np.float32 or samples.ndim != 2 or samples.shape[1] != SIZE:  # noqa: PLR2004  # a table
            return None
        if len(samples) > FIRST or not np.isfinite(samples).all() or min(header.fits, header.since_fit) < 0:
            return None
        forest = None
        if header.threshold is not None:
            forest = Forest(arrays["records"], arrays["center"], arrays["scale"], header.threshold, header.version)
            if not _is_sound(forest):
                return None
        return Kept(samples, header.newest, header.fits, header.since_fit, forest)


def _is_sound(forest: Forest) -> bool:
    """Whether every step from a record leads to a record."""
    records = forest.records
    if records.dtype != np.int64 or records.ndim != 1 or not TREES <= len(records) <= MOST_RECORDS:
        return False
    scales = forest.center, forest.scale
    if any(one.dtype != np.float64 or one.shape != (SIZE,) or not np.isfinite(one).all() for one in scales):
        return False
    nodes = records.view(np.int32).reshape(-1, 2)[:, 1]
    last = (nodes >> 3) + ((nodes & 7) < SIZE)  # the right child of a node that is no leaf
    return bool((nodes >= 0).all() and (last < len(records)).all() and ((nodes & 7) <= SIZE).all())
