"""The documented rate limits hold in every window, whatever is asked for and however slow the answers are."""

import asyncio
import math
from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from aggregator.exchanges.dialect import Bucket, Dialect, Market, Tickers
from aggregator.exchanges.guarded_exchange import GuardedExchange
from aggregator.exchanges.rate_limit import RateLimiter
from aggregator.exchanges.registry import DIALECTS, VENUES, Limit
from aggregator.exchanges.venues.mock import Mock
from aggregator.models import Asset, Tier
from aggregator.observability.metrics import Metrics
from tests.exchanges.venues.servers import SERVERS
from tests.parts.limits import examples
from tests.parts.virtual_time import run

LIMITED = {name: make() for name, make in DIALECTS.items() if make().rate_limit is not None}
OLD_OKX = Bucket(10, 20)  # 20 at once, and 10 a second beside


class Wave(msgspec.Struct, frozen=True):
    """Calls of one tier at the same moment; each takes `answer` seconds."""

    at: float
    calls: int
    hot: bool
    answer: float
    listing: bool = False


class Timed(GuardedExchange):
    """The real guarded exchange and rate limiter; calls are not sent, but recorded with their time."""

    def __init__(self, dialect: Dialect, bucket: Bucket, slots: int) -> None:
        self.sent: list[tuple[float, float]] = []  # when, and what it costs
        self.answer = 0.0
        self._dialect = dialect
        self._listing_cost = dialect.listing_cost
        self._loop = asyncio.get_running_loop()
        super().__init__("x", Metrics(CollectorRegistry()), slots, dialect.most_symbols, bucket, clock=self._loop.time)

    def _name_of(self, asset: Asset) -> str:
        return asset.symbol

    def _cost(self, count: int) -> float:
        return self._dialect.cost(count)

    async def _ask(self, markets: Sequence[Market]) -> Tickers:
        self.sent.append((self._loop.time(), self._cost(len(markets))))
        await asyncio.sleep(self.answer)
        return {}

    async def _list(self) -> Iterable[Market]:
        self.sent.append((self._loop.time(), self._listing_cost))
        return ()


async def sent(dialect: Dialect, bucket: Bucket, slots: int, waves: Sequence[Wave]) -> list[tuple[float, float]]:
    """Return the calls of these waves: the time and cost of each."""
    exchange = Timed(dialect, bucket, slots)
    tasks: list[asyncio.Task[object]] = []
    for wave in sorted(waves, key=lambda one: one.at):
        await asyncio.sleep(max(0.0, wave.at - asyncio.get_running_loop().time()))
        exchange.answer = wave.answer
        asset = Asset("btcusdt", "btc", "usdt", Tier.HOT if wave.hot else Tier.COLD, 1)
        calls = (exchange.read_listing() if wave.listing else exchange.fetch([asset]) for _ in range(wave.calls))
        tasks += [asyncio.create_task(call) for call in calls]
    await asyncio.gather(*tasks)
    return exchange.sent


def most(calls: Sequence[tuple[float, float]], seconds: float) -> float:
    """Return the cost of all calls in the worst window of so many seconds, its ends included."""
    worst = held = 0.0
    first = 0
    for at, cost in calls:
        held += cost
        while calls[first][0] < at - seconds:
            held -= calls[first][1]
            first += 1
        worst = max(worst, held)
    return worst


def waves(limit: Limit) -> st.SearchStrategy[list[Wave]]:
    """Draw waves around one window of the limit, of up to twice as many calls as fit into it."""
    wave = st.builds(
        Wave,
        at=st.floats(0, 2.5 * limit.seconds),
        calls=st.integers(1, math.ceil(min(2 * limit.most, 60))),
        hot=st.booleans(),
        answer=st.sampled_from([0.0, 0.05, limit.seconds / 3, limit.seconds]),
        listing=st.booleans(),
    )
    return st.lists(wave, min_size=1, max_size=5)


@pytest.mark.parametrize("name", LIMITED)
def test_the_bucket_fits_into_what_is_documented(name: str) -> None:
    """Burst and refill in the worst window, in whole tokens, do not exceed the limit that the documentation states."""
    bucket, limits = LIMITED[name].rate_limit, VENUES[name].limits
    assert bucket is not None
    assert limits == tuple(Limit(*documented) for documented in SERVERS[name].documented_limits)
    for limit in limits:
        assert math.floor(bucket.burst + bucket.per_second * limit.seconds) <= limit.most


@pytest.mark.parametrize("name", LIMITED)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_no_window_holds_more_than_is_documented(name: str, data: st.DataObject) -> None:
    """Hot, cold and listing calls, at once or spread, with few slots or many, answered at once or late."""
    dialect = LIMITED[name]
    assert dialect.rate_limit is not None
    limit = data.draw(st.sampled_from(VENUES[name].limits or ()))
    slots = data.draw(st.sampled_from([1, 8, 64]))
    calls = run(sent(dialect, dialect.rate_limit, slots, data.draw(waves(limit))))
    assert calls
    assert most(calls, limit.seconds) <= limit.most + 1e-6


@pytest.mark.parametrize("name", LIMITED)
def test_a_flood_keeps_the_limit(name: str) -> None:
    """One and a half times the limit, twice within a window."""
    dialect = LIMITED[name]
    assert dialect.rate_limit is not None
    for limit in VENUES[name].limits or ():
        calls = math.ceil(min(1.5 * limit.most, 900))
        flood = [Wave(at, calls, hot=True, answer=0, listing=name == "binance") for at in (0, limit.seconds / 2)]
        seen = run(sent(dialect, dialect.rate_limit, 64, flood))
        assert 0.05 * limit.most <= most(seen, limit.seconds) <= limit.most


@settings(max_examples=examples(100), deadline=None)
@example(burst=1.0, rate=0.9, seconds=1.0, costs=[1.0] * 5, hot=[True] * 5)
@given(
    burst=st.floats(1, 100),
    rate=st.floats(0.5, 100),
    seconds=st.floats(0.1, 60),
    costs=st.lists(st.floats(0.1, 1), min_size=1, max_size=50),
    hot=st.lists(st.booleans(), min_size=50, max_size=50),
)
def test_any_bucket_lets_through_its_burst_and_refill(
    burst: float, rate: float, seconds: float, costs: Sequence[float], hot: Sequence[bool]
) -> None:
    """Both parts of a limiter together let through at most burst and refill, the sum from which buckets are chosen."""
    taken: list[tuple[float, float]] = []

    async def take(limiter: RateLimiter, cost: float, *, is_hot: bool) -> None:
        await limiter.wait_for_share(cost, hot=is_hot)
        await limiter.acquire(cost)
        taken.append((asyncio.get_running_loop().time(), cost))

    async def take_all() -> None:
        limiter = RateLimiter(Bucket(rate, burst), patience=1e6)
        await asyncio.gather(*(take(limiter, cost, is_hot=one) for cost, one in zip(costs, hot, strict=False)))

    run(take_all())
    assert len(taken) == len(costs)
    assert most(taken, seconds) <= burst + rate * seconds + 1e-6


def test_a_bucket_of_the_whole_limit_would_be_seen() -> None:
    """The former bucket of OKX lets 39 calls through in 2 seconds, of which 20 are allowed."""
    calls = run(sent(Mock(), OLD_OKX, 64, [Wave(0, 200, hot=True, answer=0)]))
    assert most(calls, 1.95) >= 39


def test_calls_that_waited_for_a_slot_are_not_sent_together() -> None:
    """While a venue hangs on every slot, waiting calls have no tokens yet."""
    okx = LIMITED["okx"]
    assert okx.rate_limit is not None
    hanging = [Wave(0, 4, hot=True, answer=4), *(Wave(0.5 * number, 4, hot=True, answer=0) for number in range(1, 8))]
    calls = run(sent(okx, okx.rate_limit, 4, hanging))
    assert len(calls) > 10
    assert most(calls, 2) <= 20
