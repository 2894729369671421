"""The newest price of each asset that this process has seen: no read path answers an older one.

Every price that enters the process is compared here: its own refreshes, what other processes publish, and what is read
from the cache or from history. A price is known by asset and timestamp: of two prices with the same timestamp the first
one stays, because readers may have it already.

A price that is further ahead of our clock than `FUTURE_TOLERANCE` is ignored. Without this rule, prices made while the
clock was wrong would hide all later prices until the clock reaches their timestamps.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from aggregator.models import FUTURE_TOLERANCE, Price, Tier

_CHANGES_KEPT = 20_000


class NewestPrices:
    """Prices by symbol: as many as there are assets, never more.

    `ttl` (seconds by tier) says how long a held price may be answered without asking the shared cache. `clock` is
    monotonic time; `now` is wall-clock time in unix seconds.
    """

    def __init__(
        self,
        ttl: Mapping[Tier, float],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._ttl = ttl
        self._clock = clock
        self._now = now
        self._newest: dict[str, Price] = {}
        self._fresh_until: dict[str, float] = {}
        self._changes: deque[str] = deque(maxlen=_CHANGES_KEPT)
        self._changed = 0

    @property
    def changed(self) -> int:
        """How many changes there have been, for `changed_since`."""
        return self._changed

    def changed_since(self, changed: int) -> Sequence[str] | None:
        """Return the symbols whose newest price has changed since then; None when too many changes came since."""
        missing = self._changed - changed
        if missing > len(self._changes):
            return None
        return [self._changes[-place] for place in range(1, missing + 1)]

    def peek(self, symbol: str) -> Price | None:
        """Return the newest price if it is held and its TTL has not expired."""
        until = self._fresh_until.get(symbol)
        return self._newest[symbol] if until is not None and self._clock() < until else None

    def known(self, symbol: str) -> Price | None:
        """Return the newest price seen, held or not; None when there is none, or it is ahead of our clock."""
        price = self._newest.get(symbol)
        return None if price is None or self._is_ahead(price) else price

    def is_news(self, price: Price) -> bool:
        """Whether the price is newer than the newest one seen."""
        known = self.known(price.asset)
        return known is None or price.timestamp > known.timestamp

    def at_least(self, price: Price) -> Price:
        """Return the newer of `price` and the newest one seen, which `price` becomes if it is newer."""
        known = self._newest.get(price.asset)
        if known is not None and price.timestamp <= known.timestamp and not self._is_ahead(known):
            return known
        if not self._is_ahead(price):
            self._newest[price.asset] = price
            self._fresh_until.pop(price.asset, None)
            self._changes.append(price.asset)
            self._changed += 1
        return price

    def hold(self, prices: Sequence[Price]) -> list[Price]:
        """Hold these for their TTL, except where a newer one has been seen; return those that were news."""
        news = []
        for price in prices:
            if self._is_ahead(price):
                continue
            before = self._changed
            newest = self.at_least(price)
            if newest.timestamp == price.timestamp:
                self._fresh_until[price.asset] = self._clock() + self._ttl[newest.tier]
            if self._changed != before:
                news.append(price)
        return news

    def release_all(self) -> None:
        """Hold nothing any more. The newest prices seen are still known."""
        self._fresh_until.clear()

    def _is_ahead(self, price: Price) -> bool:
        return price.timestamp > self._now() + FUTURE_TOLERANCE
