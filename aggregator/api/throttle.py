"""How often a refresh may be forced over HTTP: one asset after a pause, and all of them at a rate."""

import time
from collections.abc import Callable

from aggregator.models import Asset, NoPrice, Price
from aggregator.ports import Refresh, Trigger
from aggregator.resilience.single_flight import SingleFlight


class TooSoon:
    """A refresh that was not made: the reason, and in how many seconds it may be asked for again."""

    def __init__(self, why: str, seconds: float) -> None:
        self.why = why
        self.seconds = seconds


class TokenBucket:
    """`rate` tokens a second, of which at most a second's worth can be saved up (one at least). Starts full."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate)
        self._tokens = self._most
        self._at = now

    def acquire(self, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate


class Throttle:
    """Forces refreshes, but not too many. Who asks while one of the same asset is under way shares it, free of charge.

    Remembers an asset from the end of its refresh until its `cooldown` is over; memory is bounded by rate x cooldown.
    """

    def __init__(
        self,
        refresher: Refresh,
        cooldown: float,
        rate: float,
        clock: Callable[[], float] = time.monotonic,
        trigger: Trigger = "manual",
    ) -> None:
        self._refresher = refresher
        self._cooldown = cooldown
        self._rate = rate
        self._clock = clock
        self._trigger: Trigger = trigger
        self._bucket = TokenBucket(rate, clock())
        self._flights: SingleFlight[str, Price | NoPrice] = SingleFlight()
        self._not_before: dict[str, float] = {}  # by time, as the pause is the same for all

    async def refresh(self, asset: Asset) -> Price | NoPrice | TooSoon:
        """Refresh now, join the one under way, or say when to come again."""
        if asset.symbol not in self._flights:
            refusal = self._too_soon(asset.symbol)
            if refusal is not None:
                return refusal
        return await self._flights.do(asset.symbol, lambda: self._refresh(asset))

    async def close(self, patience: float) -> None:
        """Let refreshes under way finish for at most `patience` seconds."""
        await self._flights.close(patience)

    def _too_soon(self, symbol: str) -> TooSoon | None:
        now = self._clock()
        self._forget(now)
        until = self._not_before.get(symbol)
        if until is not None:
            return TooSoon(f"{symbol} has just been refreshed: once every {self._cooldown:g} s is enough", until - now)
        wait = self._bucket.acquire(now)
        return TooSoon(f"At most {self._rate:g} refreshes a second can be forced", wait) if wait else None

    async def _refresh(self, asset: Asset) -> Price | NoPrice:
        try:
            return await self._refresher.refresh(asset, self._trigger)
        finally:
            # Inside the flight: who comes after it finds the pause begun, and there is no moment between the two.
            self._not_before[asset.symbol] = self._clock() + self._cooldown

    def _forget(self, now: float) -> None:
        while self._not_before:
            symbol = next(iter(self._not_before))
            if self._not_before[symbol] > now:
                break
            del self._not_before[symbol]


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
