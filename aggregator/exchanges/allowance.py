"""An exchange's documented limits as a bucket of tokens: a call takes some, and waits its turn when there are none.

Only part of the rate is for assets that are not hot, so that however much cold work there is, hot assets find tokens.
"""

import asyncio

from aiolimiter import AsyncLimiter

from aggregator.errors import RateLimited
from aggregator.exchanges.dialect import Budget

PATIENCE = 1.5  # seconds a call waits for its turn; then there is a reason instead of a ticker
_NOT_HOT = 0.75  # of the rate


class Allowance:
    """One exchange's. aiolimiter fills at a steady rate and serves those who wait for the same in their order."""

    def __init__(self, budget: Budget, patience: float = PATIENCE) -> None:
        seconds = budget.burst / budget.a_second
        self._all = AsyncLimiter(budget.burst, seconds)
        self._not_hot = AsyncLimiter(budget.burst * _NOT_HOT, seconds)
        self._patience = patience

    async def take(self, cost: float, *, hot: bool) -> None:
        """Wait until the call may be made. Raises RateLimited when that would be too long."""
        try:
            async with asyncio.timeout(self._patience):
                if not hot:
                    await self._not_hot.acquire(cost)
                await self._all.acquire(cost)
        except TimeoutError as error:
            raise RateLimited(f"within its own limit, no turn in {self._patience:g} s") from error
