"""Decides which model is fitted next, and when. Pure: `now` is in seconds of any clock that does not go back."""

FIRST = 1000  # samples before the first fit, and those that a fit takes
REFIT = 500  # samples between two fits
LEAST_SECONDS = 60.0  # between two fits of an asset


class FitQueue:
    """The assets, by number, whose models are to be fitted, each at most once. Those without a model come first.

    `budget` is the share of a core that fits may take, on average: each one is followed by a pause.
    """

    def __init__(self, budget: float) -> None:
        self._budget = budget
        self._free_at = 0.0
        self._first: dict[int, None] = {}  # in the order of their coming
        self._again: dict[int, None] = {}
        self._fitted: dict[int, float] = {}

    def __len__(self) -> int:
        """Return the number of assets that wait."""
        return len(self._first) + len(self._again)

    def offer(self, asset: int, samples: int, since_fit: int, *, has_model: bool) -> None:
        """Add an asset if it has enough samples, and enough of them are new."""
        if has_model:
            if since_fit >= REFIT:
                self._again.setdefault(asset)
        elif samples >= FIRST:
            self._first.setdefault(asset)

    def pause(self, now: float) -> float | None:
        """Return the seconds until the next fit, 0 if it is due; None while no asset waits."""
        if not len(self):
            return None
        return max(0.0, self._free_at - now, *([] if self._first else [self._next_again(now)[1] - now]))

    def take(self, now: float) -> int | None:
        """Return the asset to fit now, which then waits no more; None if none is due."""
        pause = self.pause(now)
        if pause is None or pause > 0:
            return None
        waiting = self._first or self._again
        asset = next(iter(waiting)) if self._first else self._next_again(now)[0]
        del waiting[asset]
        return asset

    def done(self, asset: int, started: float, cpu: float) -> None:
        """Note a fit, or a failed one, that began at `started` and took `cpu` seconds."""
        self._fitted[asset] = started
        self._free_at = started + cpu / self._budget

    def forget(self, asset: int) -> None:
        """Forget an asset."""
        self._first.pop(asset, None)
        self._again.pop(asset, None)
        self._fitted.pop(asset, None)

    def _next_again(self, now: float) -> tuple[int, float]:
        """Return the first asset that may be fitted again at `now`, or else the one that may be first, and when."""
        best, best_time = -1, float("inf")
        for asset in self._again:
            time = self._fitted.get(asset, -LEAST_SECONDS) + LEAST_SECONDS
            if time <= now:
                return asset, time
            if time < best_time:
                best, best_time = asset, time
        return best, best_time
