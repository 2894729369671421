"""Why a stale price has no successor: the exchanges are asked now, as they are for a price that nobody knows."""

import time
from collections.abc import Callable

from aggregator.api.throttle import Throttle, TooSoon
from aggregator.models import Asset, NoPrice, Price
from aggregator.ports import Refresh

_PAUSE = 1.0  # seconds between two refreshes of one asset
_REMEMBERED = 5.0  # seconds for which a refusal is shown again when the exchanges may not be asked


class Recheck:
    """Refreshes an asset whose price is stale, for who asks why: each at most once a second, all of them at a rate."""

    def __init__(self, refresher: Refresh, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._throttle = Throttle(refresher, _PAUSE, rate, clock, "force")
        self._clock = clock
        self._refused: dict[str, tuple[float, NoPrice]] = {}  # at most one of each asset

    async def refresh(self, asset: Asset) -> Price | NoPrice | None:
        """Return the new price, or why there is none; None when that was asked too often to be known."""
        outcome = await self._throttle.refresh(asset)
        if isinstance(outcome, TooSoon):
            at, refused = self._refused.get(asset.symbol, (0.0, None))
            return refused if self._clock() - at <= _REMEMBERED else None
        if isinstance(outcome, NoPrice):
            self._refused[asset.symbol] = (self._clock(), outcome)
        else:
            self._refused.pop(asset.symbol, None)
        return outcome

    async def close(self, patience: float) -> None:
        """Let refreshes under way finish for at most `patience` seconds."""
        await self._throttle.close(patience)
