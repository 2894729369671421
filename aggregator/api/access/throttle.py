"""Rate limits for refreshes that clients force: a cool-down for each asset, and a rate for all assets together."""

import time
from collections.abc import Callable

from aggregator.models import Asset, NoPrice, Price
from aggregator.ports import Refresh, Trigger
from aggregator.resilience.single_flight import SingleFlight


class TooSoon:
    """A refresh that was refused: the reason, and the seconds until the next attempt may succeed."""

    def __init__(self, why: str, seconds: float) -> None:
        self.why = why
        self.seconds = seconds


class TokenBucket:
    """A token bucket: `rate` tokens a second. Its capacity is a second's worth, at least one token. It starts full."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._most = max(1.0, rate)
        self._tokens = self._most
        self._at = now

    def acquire(self, now: float) -> float:
        """Take a token and return 0.0, or return the seconds until there is a token."""
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate


_MOST_CLIENTS = 10_000  # whose buckets are kept, about 300 bytes each


class ClientRates:
    """A token bucket for each API key, or for each address of clients without a key. The least recent are dropped."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: dict[bytes, TokenBucket] = {}

    def acquire(self, client: bytes) -> float:
        """Take a token of the client and return 0.0, or return the seconds until there is one."""
        now = self._clock()
        bucket = self._buckets.pop(client, None) or TokenBucket(self._rate, now)
        self._buckets[client] = bucket
        if len(self._buckets) > _MOST_CLIENTS:
            del self._buckets[next(iter(self._buckets))]
        return bucket.acquire(now)


class Throttle:
    """Refreshes on demand within the rate limits. Concurrent calls for one asset share one refresh and one token.

    The cool-down of an asset starts at the end of its refresh. Memory is bounded by rate x cooldown assets.
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
        self._not_before: dict[str, float] = {}  # ordered by time, because all cool-downs are equal

    async def refresh(self, asset: Asset) -> Price | NoPrice | TooSoon:
        """Refresh now or join the refresh in flight; TooSoon if the rate limits forbid a refresh."""
        if asset.symbol not in self._flights:
            refusal = self._too_soon(asset.symbol)
            if refusal is not None:
                return refusal
        return await self._flights.do(asset.symbol, lambda: self._refresh(asset))

    async def close(self, patience: float) -> None:
        """Wait at most `patience` seconds for refreshes in flight."""
        await self._flights.close(patience)

    def _too_soon(self, symbol: str) -> TooSoon | None:
        now = self._clock()
        self._forget(now)
        until = self._not_before.get(symbol)
        if until is not None:
            return TooSoon(f"{symbol} has just been refreshed: once every {self._cooldown:g} s is enough", until - now)
        wait = self._bucket.acquire(now)
        return TooSoon(f"Forced refreshes are limited to {self._rate:g} a second", wait) if wait else None

    async def _refresh(self, asset: Asset) -> Price | NoPrice:
        try:
            return await self._refresher.refresh(asset, self._trigger)
        finally:
            # Inside the flight, so that no call can come between the end of the refresh and the start of the cool-down.
            self._not_before[asset.symbol] = self._clock() + self._cooldown

    def _forget(self, now: float) -> None:
        while self._not_before:
            symbol = next(iter(self._not_before))
            if self._not_before[symbol] > now:
                break
            del self._not_before[symbol]


_RECHECK_COOLDOWN = 1.0  # seconds
_REMEMBERED = 5.0  # seconds for which the last failed refresh is returned while the rate limits forbid another


class Recheck:
    """Refreshes stale prices for the sources route: each asset at most once a second, all assets at a rate."""

    def __init__(self, refresher: Refresh, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._throttle = Throttle(refresher, _RECHECK_COOLDOWN, rate, clock, "force")
        self._clock = clock
        self._refused: dict[str, tuple[float, NoPrice]] = {}  # by asset: when, and why there was no price

    async def refresh(self, asset: Asset) -> Price | NoPrice | None:
        """Return the new price, or why there is none; None if the rate limits forbid to find out."""
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
        """Wait at most `patience` seconds for refreshes in flight."""
        await self._throttle.close(patience)
