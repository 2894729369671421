"""The newest price of each asset that this process has seen: no read path returns an older one.

Every price that enters the process is compared here: its own refreshes, prices that other processes publish, and prices
read from the cache or from history. A price is identified by asset and timestamp: of two with the same timestamp the
first stays, because clients may have it already.

A price that is more than `FUTURE_TOLERANCE` ahead of our clock is ignored. Without this rule, prices made while the
clock was wrong would hide all later prices until the clock reaches their timestamps.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from aggregator.models import FUTURE_TOLERANCE, Price, Tier

_CHANGES_KEPT = 20_000  # changes that `changed_since` can look back


class NewestPrices:
    """The newest price by symbol; a price may also be held, which means that it can be served from memory.

    `ttl` (seconds by tier) is how long a held price is served without reading the shared cache. `clock` is monotonic
    time; `now` is unix seconds.
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
        """The number of changes so far, for `changed_since`."""
        return self._changed

    def changed_since(self, changed: int) -> Sequence[str] | None:
        """Return the symbols of the changes after the first `changed` ones; None if there were too many since."""
        missing = self._changed - changed
        if missing > len(self._changes):
            return None
        return [self._changes[-place] for place in range(1, missing + 1)]

    def peek(self, symbol: str) -> Price | None:
        """Return the newest price if it is held and its TTL has not expired, else None."""
        until = self._fresh_until.get(symbol)
        return self._newest[symbol] if until is not None and self._clock() < until else None

    def known(self, symbol: str) -> Price | None:
        """Return the newest price seen, held or not; None if there is none or it is ahead of our clock."""
        price = self._newest.get(symbol)
        return None if price is None or self._is_ahead(price) else price

    def is_news(self, price: Price) -> bool:
        """Whether the price is newer than the newest one seen."""
        known = self.known(price.asset)
        return known is None or price.timestamp > known.timestamp

    def at_least(self, price: Price) -> Price:
        """Return the newer of `price` and the newest price seen; remember `price` if it is the newer one."""
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
        """Hold each price for its TTL unless a newer one has been seen; return the prices that are newer."""
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
        """Hold no price any more. The newest prices seen are still known."""
        self._fresh_until.clear()

    def _is_ahead(self, price: Price) -> bool:
        return price.timestamp > self._now() + FUTURE_TOLERANCE
