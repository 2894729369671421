"""An exchange's rate limiter: a token bucket. A call takes tokens, and waits for its turn when there are none.

Only part of the rate is for assets that are not hot, so that however much cold work there is, hot assets find tokens.
Both parts come out of the same bucket, so together they keep the exchange's limits.
"""

import asyncio

from aiolimiter import AsyncLimiter

from aggregator.errors import RateLimited
from aggregator.exchanges.dialect import Bucket

PATIENCE = 1.5  # seconds a call waits for its turn; then there is a reason instead of a ticker
_MOST_PATIENCE = 5.0  # seconds, where a turn comes so rarely that a few calls at the same moment need more than that
_IN_LINE = 3  # calls that may wait at the same moment: one per tier
_NOT_HOT = 0.75  # of the rate


class RateLimiter:
    """The rate limiter of one exchange. aiolimiter refills steadily and serves waiting calls in their order.

    A call first takes its turn (`wait_turn`), which is what holds back cold work, and then, when nothing else stands
    between it and the exchange, its tokens (`take`). A call that took them earlier could be sent much later, together
    with those that took theirs meanwhile, and more would be sent at once than the exchange allows.
    """

    def __init__(self, budget: Bucket, patience: float | None = None) -> None:
        self._all = AsyncLimiter(budget.burst, budget.burst / budget.a_second)
        not_hot = max(budget.burst * _NOT_HOT, min(1.0, budget.burst))  # a bucket below one call would never admit any
        self._not_hot = AsyncLimiter(not_hot, not_hot / (budget.a_second * _NOT_HOT))
        rare = min(_IN_LINE / budget.a_second, _MOST_PATIENCE)
        self._patience = max(PATIENCE, rare) if patience is None else patience

    async def wait_turn(self, cost: float, *, hot: bool) -> None:
        """Wait until a call that is not hot is within its part of the rate. Raises RateLimited like `take`."""
        if not hot:
            await self._acquire(self._not_hot, cost)

    async def acquire(self, cost: float) -> None:
        """Wait until the call may be sent. Raises RateLimited when that would take too long."""
        await self._acquire(self._all, cost)

    async def _acquire(self, limiter: AsyncLimiter, cost: float) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await limiter.acquire(cost)
        except TimeoutError as error:
            raise RateLimited(f"within its own limit, no turn in {self._patience:g} s") from error
