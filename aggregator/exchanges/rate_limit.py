"""A venue's rate limiter: a token bucket. A call takes tokens, and waits for them where there are none.

Calls for assets that are not hot get only a share of the rate, so that any amount of cold work leaves tokens for hot
assets. All calls take their tokens from the same bucket, so that together they keep the venue's limits.
"""

import asyncio
from bisect import bisect_left

from aiolimiter import AsyncLimiter

from aggregator.errors import RateLimited
from aggregator.exchanges.dialect import Bucket
from aggregator.models import RateTokens

PATIENCE = 1.5  # seconds that a call waits for tokens before it fails
_MOST_PATIENCE = 5.0  # seconds, for a rate so low that a few calls at the same moment have to wait longer
_IN_LINE = 3  # calls that may wait at the same moment: one per tier
_SHARE = 0.75  # of the rate, for calls that are not hot


class RateLimiter:
    """The rate limiter of one venue. aiolimiter refills steadily and serves waiting calls in their order.

    A call first waits for its share (`wait_for_share`), which is what holds cold work back. When nothing else stands
    between the call and the venue, it takes its tokens (`acquire`). With tokens taken earlier, a call could be sent
    much later, together with calls that took theirs meanwhile: more at once than the venue allows.
    """

    def __init__(self, rate_limit: Bucket, patience: float | None = None) -> None:
        self._rate_limit = rate_limit
        self._all = AsyncLimiter(rate_limit.burst, rate_limit.burst / rate_limit.per_second)
        share = max(rate_limit.burst * _SHARE, min(1.0, rate_limit.burst))  # below one token, no call would ever pass
        self._not_hot = AsyncLimiter(share, share / (rate_limit.per_second * _SHARE))
        longer = min(_IN_LINE / rate_limit.per_second, _MOST_PATIENCE)
        self._patience = max(PATIENCE, longer) if patience is None else patience

    @property
    def tokens(self) -> RateTokens:
        """The tokens that a hot call could take now, by bisection: aiolimiter only says whether it has so many."""
        numbers = range(1, int(self._rate_limit.burst) + 1)
        left = bisect_left(numbers, 1, key=lambda number: int(not self._all.has_capacity(number)))
        return RateTokens(left, self._rate_limit.per_second)

    async def wait_for_share(self, cost: float, *, hot: bool) -> None:
        """Wait until the share for calls that are not hot admits the call. Raises RateLimited like `acquire`."""
        if not hot:
            await self._acquire(self._not_hot, cost)

    async def acquire(self, cost: float) -> None:
        """Take the call's tokens; the call may be sent then. Raises RateLimited where they do not come in time."""
        await self._acquire(self._all, cost)

    async def _acquire(self, limiter: AsyncLimiter, cost: float) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await limiter.acquire(cost)
        except TimeoutError as error:
            raise RateLimited(f"our own rate limit: no token within {self._patience:g} s") from error
