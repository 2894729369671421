"""Resident memory over time, and whether it grows."""

import threading
import time
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

import psutil

EVERY = 5.0  # seconds between two samples


class Sample(NamedTuple):
    """The resident memory of a process and of its children, in bytes, `at` seconds after the start."""

    at: float
    main: int
    children: int


def growth(samples: Sequence[tuple[float, float]]) -> float:
    """Return the slope of (seconds, bytes) in bytes per second, by Theil and Sen: the median of all slopes of pairs.

    At most 300 samples are compared with each other, spread evenly. Raises ValueError for less than two.
    """
    step = max(1, len(samples) // 300)
    some = samples[::step]
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0]) for at, earlier in enumerate(some) for later in some[at + 1 :]
    ]
    if not slopes:
        raise ValueError("a slope needs two samples")
    return median(slopes)


class MemoryWatch:
    """Takes samples of a process until it is stopped."""

    def __init__(self, pid: int) -> None:
        self.samples: list[Sample] = []
        self._process = psutil.Process(pid)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> None:
        """Take no more samples."""
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        started = time.monotonic()
        while not self._done.wait(EVERY):
            try:
                main = self._process.memory_info().rss
                children = sum(child.memory_info().rss for child in self._process.children(recursive=True))
            except psutil.NoSuchProcess:
                continue  # a child has ended between the two calls, or the service was killed
            self.samples.append(Sample(time.monotonic() - started, main, children))
