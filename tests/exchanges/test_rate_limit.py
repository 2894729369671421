"""A venue's rate limiter, in real seconds: aiolimiter has no other clock."""

import asyncio

import pytest

from aggregator.errors import RateLimited
from aggregator.exchanges.dialect import Bucket
from aggregator.exchanges.rate_limit import RateLimiter
from aggregator.exchanges.registry import DIALECTS
from aggregator.prices.refresher import seconds_together
from tests.parts.scripted import ScriptedExchange

SLOW = Bucket(0.001, 8)  # a token every thousand seconds: what is in the bucket is all there is


async def take(limiter: RateLimiter, cost: float, *, hot: bool) -> None:
    """Wait for the share and the tokens of one call."""
    await limiter.wait_for_share(cost, hot=hot)
    await limiter.acquire(cost)


async def taken(limiter: RateLimiter, cost: float, *, hot: bool) -> int:
    """Take tokens until there are none; return the number of calls."""
    for calls in range(100):
        try:
            await take(limiter, cost, hot=hot)
        except RateLimited:
            return calls
    return 100


async def test_no_more_than_the_burst_and_then_a_reason() -> None:
    """After the burst a call waits for a bounded time and fails with a reason that names our own limit."""
    limiter = RateLimiter(SLOW, patience=0.01)
    assert await taken(limiter, 1, hot=True) == 8
    with pytest.raises(RateLimited, match=r"^our own rate limit: no token within 0.01 s$"):
        await limiter.acquire(1)


async def test_the_tokens_left() -> None:
    """Whole tokens that a hot call could take, down to none; a bucket below one token never has a whole one."""
    limiter = RateLimiter(SLOW, patience=0.01)
    left = []
    for cost in (0, 1, 2.5, 4.5):
        await limiter.acquire(cost)
        left.append(limiter.tokens.left)
    assert (left, limiter.tokens.per_second) == ([8, 7, 4, 0], 0.001)
    assert RateLimiter(Bucket(0.1, 0.5)).tokens.left == 0


async def test_weights_count() -> None:
    """A call takes as many tokens as it weighs."""
    assert await taken(RateLimiter(SLOW, patience=0.01), 2, hot=True) == 4


async def test_cold_work_leaves_some_for_hot_assets() -> None:
    """Any amount of cold work leaves a quarter of the tokens."""
    limiter = RateLimiter(SLOW, patience=0.01)
    assert await taken(limiter, 1, hot=False) == 6
    crowd = [asyncio.create_task(taken(limiter, 1, hot=False)) for _ in range(50)]
    assert await taken(limiter, 1, hot=True) == 2
    assert sum(await asyncio.gather(*crowd)) == 0


async def test_waiting_calls_are_admitted() -> None:
    """Calls that wait are admitted as the bucket fills."""
    limiter = RateLimiter(Bucket(50, 2), patience=10)
    await asyncio.gather(*(limiter.acquire(1) for _ in range(12)))


async def test_a_cancelled_call_takes_no_tokens() -> None:
    """A cancelled call leaves its token to the next one."""
    limiter = RateLimiter(Bucket(20, 2), patience=10)
    for _ in range(2):
        await limiter.acquire(1)
    waiting = [asyncio.create_task(limiter.acquire(1)) for _ in range(20)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(10):
        await limiter.acquire(1)


@pytest.mark.parametrize("name", DIALECTS)
def test_every_call_fits_into_the_bucket(name: str) -> None:
    """The largest call and the listing fit, also into the share for calls that are not hot."""
    dialect = DIALECTS[name]()
    if dialect.rate_limit is None:
        assert name == "mock"
    else:
        limiter = RateLimiter(dialect.rate_limit)
        most = max(dialect.listing_cost, dialect.cost(1), dialect.cost(dialect.most_symbols))
        assert most <= min(limiter._not_hot.max_rate, limiter._all.max_rate)


@pytest.mark.parametrize(("allowed", "seconds"), [([], 1), ([None, 50.0], 1), ([None, 50.0, 1.0], 4), ([0.5], 8)])
def test_few_calls_a_second_make_large_jobs(allowed: list[float | None], seconds: float) -> None:
    """Three tiers and manual refreshes share the calls that the slowest exchange allows."""
    exchanges = []
    for calls in allowed:
        exchange = ScriptedExchange("x")
        exchange.calls_a_second = calls
        exchanges.append(exchange)
    assert seconds_together(exchanges) == seconds
