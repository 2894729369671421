"""The state of the worker process: samples and forests of its assets."""

import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from aggregator.anomalies.arena import Arena
from aggregator.anomalies.fit_queue import FitQueue
from aggregator.anomalies.forest import Forest, fit
from aggregator.anomalies.messages import AssetState, Batch, Figures, Finding, Reply
from aggregator.anomalies.model_files import Kept, ModelFiles
from aggregator.anomalies.sample import SIZE
from aggregator.anomalies.samples import Rows, Samples

Bools: TypeAlias = npt.NDArray[np.bool_]
Numbers: TypeAlias = npt.NDArray[np.uint32]
Times: TypeAlias = npt.NDArray[np.float64]
_CLOSE_SECONDS = 1.2
_FEW, _KEEP_SECONDS = 64, 1.0  # samples, and seconds between two times that more are kept; see `_keep`


class Detector:
    """Handles batches, and fits between them. `budget` is the share of a core that fits may take.

    `clock` is in seconds and does not go back; `cpu` is the CPU time of this process in seconds.
    """

    def __init__(
        self,
        files: ModelFiles,
        budget: float,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
        fit: Callable[[Rows, int], Forest] = fit,
    ) -> None:
        self._files = files
        self._clock = clock
        self._cpu = cpu
        self._fit_forest = fit
        self._queue = FitQueue(budget)
        self._arena = Arena()
        self._names: list[str] = []
        self._samples: dict[int, Samples] = {}
        self._scored: list[tuple[Numbers, Times, Rows]] = []  # numbers, times and samples to be kept
        self._kept_at = -_KEEP_SECONDS
        self._unsaved: set[int] = set()
        self._changed: set[int] = set()
        self._figures = Figures()

    def handle(self, batch: Batch) -> Reply:
        """Take a batch: score its trades, and keep their samples.

        Of an asset, trades that are measured again are left out up to the newest one that is kept: those have been
        scored, and the model may be another one now.
        """
        self._names += batch.names
        if batch.forget or batch.load:
            self._keep_scored()
        for asset in batch.forget:
            self._forget(asset)
        for asset in batch.load:
            self._load(asset)
        findings = self._take(batch) if batch.assets else []
        if self._clock() - self._kept_at >= _KEEP_SECONDS:
            self._keep_scored()
        self._figures.models = len(self._arena)
        self._figures.fits_waiting = len(self._queue)
        states = {asset: self._state(asset) for asset in self._changed}
        reply = Reply(findings, states, self._figures)
        self._changed, self._figures = set(), Figures()
        return reply

    def pause(self) -> float | None:
        """Return the seconds until the next fit; None while there is nothing to fit."""
        return self._queue.pause(self._clock())

    def fit_next(self) -> str:
        """Fit the next forest, if one is due; return why it failed, empty if it did not."""
        started = self._clock()
        if self._queue.pause(started) == 0:
            self._keep_scored()
        asset = self._queue.take(started)
        if asset is None:
            return ""
        spent, failure = self._cpu(), ""
        try:
            self._fit(asset)
            self._figures.fits += 1
        except (ValueError, ArithmeticError, OSError) as error:
            failure = f"{self._names[asset]}: {error!r}"
            self._figures.fit_failures += 1
        spent = self._cpu() - spent
        self._figures.fit_seconds += spent
        self._queue.done(asset, started, spent)
        return failure

    def close(self) -> None:
        """Save the samples that came after the last fits, as many as 1.2 seconds allow; where most came, first."""
        until = self._clock() + _CLOSE_SECONDS
        self._keep_scored()
        for asset in sorted(self._unsaved, key=lambda one: -self._samples[one].since_fit):
            if self._clock() > until:
                return
            kept = self._samples[asset]
            forest = self._arena.forest(asset)
            self._files.save(self._names[asset], Kept(kept.rows(), kept.newest, kept.fits, kept.since_fit, forest))

    def _fit(self, asset: int) -> None:
        """Fit, save, then use a forest. A forest that is used but not saved would score other trades after a crash."""
        kept = self._samples[asset]
        rows = kept.rows()
        try:
            forest = self._fit_forest(rows, kept.fits + 1)
        except Exception:
            kept.since_fit = 0  # it waits for as many samples as after a fit; not so if the worker was stopped
            raise
        kept.since_fit = 0
        kept.fits += 1
        self._files.save(self._names[asset], Kept(rows, kept.newest, kept.fits, 0, forest))
        self._arena.put(asset, forest)
        self._unsaved.discard(asset)
        self._changed.add(asset)

    def _forget(self, asset: int) -> None:
        self._samples.pop(asset, None)
        self._arena.remove(asset)
        self._queue.forget(asset)
        self._unsaved.discard(asset)
        self._changed.add(asset)

    def _load(self, asset: int) -> None:
        found = self._files.load(self._names[asset])
        if found is None:
            return
        kept = self._samples[asset] = Samples()
        kept.add(found.samples, found.newest)
        kept.fits, kept.since_fit = found.fits, found.since_fit
        if found.forest is not None:
            self._arena.put(asset, found.forest)
        self._offer(asset, kept)
        self._changed.add(asset)

    def _take(self, batch: Batch) -> list[Finding]:
        assets = np.frombuffer(batch.assets, np.uint32)
        times, live = np.frombuffer(batch.times, np.float64), np.frombuffer(batch.live, np.bool_)
        samples = np.frombuffer(batch.samples, np.float32).reshape(-1, SIZE)
        started = self._cpu()
        wanted = np.flatnonzero(np.isfinite(samples).all(axis=1) & self._unseen(assets, times, live))
        assets, times, samples = assets[wanted], times[wanted], samples[wanted]
        scores, thresholds = self._arena.scores(assets, samples)
        findings = [
            Finding(int(wanted[row]), float(scores[row]), float(thresholds[row]), self._arena.version(int(assets[row])))
            for row in np.flatnonzero(scores < thresholds)
        ]
        self._figures.scored += int(np.isfinite(scores).sum())
        self._keep(assets, times, samples)
        self._figures.scoring_seconds += self._cpu() - started
        return findings

    def _unseen(self, assets: Numbers, times: Times, live: Bools) -> Bools:
        """Return which trades have not been scored before."""
        if live.all():
            return live
        self._keep_scored()
        found, inverse = np.unique(assets, return_inverse=True)
        newest = [self._samples[asset].newest if asset in self._samples else 0.0 for asset in map(int, found)]
        unseen: Bools = live | (times > np.array(newest)[inverse])
        return unseen

    def _keep(self, assets: Numbers, times: Times, samples: Rows) -> None:
        """Keep samples; those of large batches a little later, together: most of the time is one for each asset."""
        self._scored.append((assets, times, samples))
        if len(assets) < _FEW:
            self._keep_scored()

    def _keep_scored(self) -> None:
        if not self._scored:
            return
        self._kept_at = self._clock()
        assets, times, samples = map(np.concatenate, zip(*self._scored, strict=True))
        self._scored.clear()
        for asset, rows in _groups(assets):
            kept = self._samples.get(asset)
            if kept is None:
                kept = self._samples[asset] = Samples()
            kept.add(samples[rows], float(times[rows[-1]]))
            self._unsaved.add(asset)
            self._changed.add(asset)
            self._offer(asset, kept)

    def _offer(self, asset: int, kept: Samples) -> None:
        self._queue.offer(asset, kept.count, kept.since_fit, has_model=bool(self._arena.version(asset)))

    def _state(self, asset: int) -> AssetState:
        kept = self._samples.get(asset)
        return AssetState(0 if kept is None else kept.count, self._arena.version(asset))


def _groups(assets: Numbers) -> Iterable[tuple[int, npt.NDArray[np.int64]]]:
    """Return each asset with its rows, in their order."""
    order = np.argsort(assets, kind="stable")
    found, firsts = np.unique(assets[order], return_index=True)
    return zip(map(int, found), np.split(order, firsts[1:]), strict=True) if len(found) else ()
