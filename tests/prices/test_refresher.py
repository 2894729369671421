"""One refresh: which exchanges are asked, when a price is made, and where it is written."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from aggregator.models import NoPrice, Price, Reason
from aggregator.prices.refresher import most_in_job
from tests.parts.examples import BTC
from tests.parts.scripted import ScriptedExchange
from tests.prices.refreshing import GRACE, Parts, until


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    """Return a refresher with three working exchanges."""
    parts = Parts()
    yield parts
    await parts.refresher.close(0.1)


async def test_a_price_goes_to_every_sink(parts: Parts) -> None:
    """Three tickers make one price, written to cache and history, counted by tier and trigger."""
    price = await parts.refresher.refresh(BTC, "manual")
    assert isinstance(price, Price)
    assert price.price == 101
    assert parts.cache.written == parts.history.written == [price]
    assert parts.value("price_refresh_total", tier="hot", trigger_type="manual") == 1


async def test_concurrent_callers_share_one_fetch(parts: Parts) -> None:
    """A hundred concurrent callers cause one call to each exchange."""
    prices = await asyncio.gather(*(parts.refresher.refresh(BTC, "manual") for _ in range(100)))
    assert len(set(map(id, prices))) == 1
    assert [exchange.asked for exchange in parts.exchanges] == [["btcusdt"]] * 3


async def test_a_hanging_exchange_costs_no_more_than_the_grace(parts: Parts) -> None:
    """The price comes without the exchange, as LATE; its call goes on, so that its own timeout is counted."""
    parts.exchanges[2].hang()
    price = await parts.refresher.refresh(BTC, "manual")
    assert isinstance(price, Price)
    assert [source.exchange for source in price.sources] == ["exchange1", "exchange2"]
    assert [(one.exchange, one.reason) for one in price.left_out] == [("exchange3", Reason.LATE)]
    assert parts.exchanges[2].under_way == 1
    assert parts.exchanges[2].cancelled == 0
    parts.exchanges[2].let_go.set()
    await until(lambda: parts.exchanges[2].under_way == 0)


async def test_failures_alone_start_no_grace(parts: Parts) -> None:
    """Two exchanges fail at once; the third is still waited for, although it is slower than the grace."""
    for exchange in parts.exchanges[:2]:
        exchange.refuse(Reason.UNREACHABLE)
    parts.exchanges[2].hang()
    asyncio.get_running_loop().call_later(4 * GRACE, parts.exchanges[2].let_go.set)
    price = await parts.refresher.refresh(BTC, "manual")
    assert isinstance(price, Price)
    assert [source.exchange for source in price.sources] == ["exchange3"]


async def test_min_sources_keeps_waiting_for_the_second() -> None:
    """One ticker and one failure are a majority, but too few for a price."""
    parts = Parts(min_sources=2)
    parts.exchanges[0].refuse(Reason.UNREACHABLE)
    parts.exchanges[2].hang()
    asyncio.get_running_loop().call_later(4 * GRACE, parts.exchanges[2].let_go.set)
    price = await parts.refresher.refresh(BTC, "manual")
    assert isinstance(price, Price)
    assert len(price.sources) == 2
    await parts.refresher.close(0.1)


async def test_a_wrong_price_does_not_end_the_wait_for_a_slow_exchange() -> None:
    """Two tickers that disagree make no price: the third exchange is waited for, although it is slower than the grace.

    Else an exchange that lies and answers fast would leave assets without prices while all others are sound.
    """
    parts = Parts(min_sources=2)
    parts.exchanges[0].price = "300"
    parts.exchanges[2].hang()
    asyncio.get_running_loop().call_later(4 * GRACE, parts.exchanges[2].let_go.set)
    price = await parts.refresher.refresh(BTC, "manual")
    assert isinstance(price, Price)
    assert [source.exchange for source in price.sources] == ["exchange2", "exchange3"]
    assert [(one.exchange, one.reason) for one in price.left_out] == [("exchange1", Reason.OUTLIER)]
    await parts.refresher.close(0.1)


async def test_without_tickers_no_price_is_written(parts: Parts) -> None:
    """Without a ticker nothing is stored, no zero and no null; an error of the tier is counted."""
    for exchange in parts.exchanges:
        exchange.refuse(Reason.TIMEOUT)
    outcome = await parts.refresher.refresh(BTC, "force")
    assert isinstance(outcome, NoPrice)
    assert [one.reason for one in outcome.left_out] == [Reason.TIMEOUT] * 3
    assert parts.cache.written == parts.history.written == []
    assert parts.value("price_refresh_errors_total", tier="hot") == 1
    assert parts.value("price_tickers_rejected_total", exchange="exchange1", reason="timeout") == 1


async def test_a_cancelled_caller_does_not_stop_the_refresh(parts: Parts) -> None:
    """The refresh of a cancelled caller is stored."""
    parts.exchanges[2].hang()
    caller = asyncio.create_task(parts.refresher.refresh(BTC, "manual"))
    await until(lambda: parts.exchanges[2].under_way == 1)
    caller.cancel()
    parts.exchanges[2].let_go.set()
    await until(lambda: len(parts.cache.written) == 1)


@pytest.mark.parametrize(
    ("batches", "concurrency", "most"),
    [([1000, 500, 200], 32, 100), ([1000, 20, 50], 32, 20), ([1000, 1], 32, 16), ([1], 2, 2)],
)
def test_a_job_is_as_large_as_the_exchanges_allow(batches: list[int], concurrency: int, most: int) -> None:
    """A job is one call to each exchange, or a few calls where an exchange takes one symbol."""
    assert most_in_job([ScriptedExchange("x", batch=batch) for batch in batches], concurrency) == most


async def test_closing_waits_for_a_refresh_in_progress(parts: Parts) -> None:
    """`close` waits until a refresh in progress is stored; a late call is cancelled."""
    parts.exchanges[2].hang()
    begun = asyncio.create_task(parts.refresher.refresh(BTC, "manual"))
    await until(lambda: parts.exchanges[2].under_way == 1)
    await parts.refresher.close(5)
    assert isinstance(await begun, Price)
    assert len(parts.history.written) == 1
    assert parts.exchanges[2].cancelled == 1
