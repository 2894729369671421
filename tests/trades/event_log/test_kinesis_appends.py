"""The event log in Kinesis: trades that the service puts into a stream, and streams that are not there."""

import asyncio

import pytest

from aggregator.errors import StoreUnavailable
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.trades.ports import BacklogFull
from tests.parts.kinesis import Kinesis
from tests.parts.kinesis_processing import processing
from tests.parts.processing import trade

pytestmark = pytest.mark.real
ENDLESS = 1e12  # seconds of retention


async def test_appended_trades_come_back(kinesis_running: Kinesis) -> None:
    """`append` is done once the stream has the trades; the records of a partial failure are sent again."""
    stream = kinesis_running.stream()
    sent = [trade(number, price="0.000000000123456789012345") for number in range(1000)]
    kinesis_running.proxy.faults(partial_rate=1)
    try:
        async with processing(kinesis_running.url(stream), MemoryTrades(ENDLESS)) as running:
            receipts = await asyncio.gather(*[running.log.append(sent[at : at + 100]) for at in range(0, 1000, 100)])
            await running.has_published(1000)
    finally:
        kinesis_running.proxy.faults()
    assert [(one.accepted, one.duplicates) for one in receipts] == [(100, 0)] * 10
    assert sorted(running.trades, key=lambda one: int(one.id)) == sent
    assert running.throttled("PutRecords") > 0


async def test_a_full_buffer_refuses(kinesis_running: Kinesis) -> None:
    """While the stream accepts nothing, appends are taken up to the bound, then refused; later all are accepted."""
    kinesis_running.proxy.faults(throttle_rate=1)
    try:
        url = kinesis_running.url(kinesis_running.stream())
        async with processing(url, MemoryTrades(ENDLESS), most=1000) as running:
            appended = [running.log.append([trade(number)]) for number in range(1000)]
            with pytest.raises(BacklogFull):
                running.log.append([trade(1000)])
            kinesis_running.proxy.faults()
            await asyncio.gather(*appended)
            await running.has_published(1000)
    finally:
        kinesis_running.proxy.faults()


async def test_a_missing_stream(kinesis_running: Kinesis) -> None:
    """A stream that is not there is named when the log is opened."""
    with pytest.raises(StoreUnavailable, match="not found"):
        async with processing(kinesis_running.url("nothing"), MemoryTrades(ENDLESS)):
            pass
