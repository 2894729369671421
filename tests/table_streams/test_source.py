"""The stream of a table becomes events of the outlets, each once, through failures and restarts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from aggregator.cli.doctor.table_stream import table_stream_check
from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.observability.metrics import Metrics
from aggregator.observability.metrics.table_streams import OUTCOMES
from aggregator.outlets.ports import OutletEvent
from aggregator.stores.dynamodb.table import DynamoTable
from aggregator.table_streams.source import TableStream
from aggregator.trades.event_log.kinesis.table_stream import TableStreamClients
from aggregator.trades.event_log.kinesis.table_stream_address import parse_table_stream_url
from aggregator.trades.rejection import Rejection
from tests.parts.dynamodb import DynamoServer
from tests.parts.examples import CATALOG, price
from tests.parts.limits import allowed
from tests.parts.table_stream import StreamedTable, market_item

pytestmark = pytest.mark.real


class Outbox:
    """Keeps what is handed over; fails `failures` times first."""

    def __init__(self, failures: int = 0) -> None:
        self.events: list[OutletEvent] = []
        self.failures = failures

    async def hand_over(self, events: Sequence[OutletEvent]) -> None:
        """Keep the events."""
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the disk is full")
        self.events += events

    async def has(self, number: int) -> list[OutletEvent]:
        """Wait until it has so many events; return them."""
        async with asyncio.timeout(allowed(60)):
            while len(self.events) < number:
                await asyncio.sleep(0.02)
        return self.events


class Letters:
    """Takes dead letters; a test sets `kept`, the number of those that are durable."""

    def __init__(self) -> None:
        self.rejections: list[Rejection] = []
        self.kept = 0

    @property
    def buried(self) -> int:
        """The number of rejections so far."""
        return len(self.rejections)

    def bury(self, rejections: Sequence[Rejection]) -> None:
        """Take rejections."""
        self.rejections += rejections


@asynccontextmanager
async def reading(
    url: str,
    outbox: Outbox,
    metrics: Metrics | None = None,
    now: Callable[[], float] = time.time,
    letters: Letters | None = None,
) -> AsyncIterator[TableStream]:
    """Read a stream into an outbox while the block runs."""
    metrics = metrics or Metrics(CollectorRegistry())
    clients = TableStreamClients(parse_table_stream_url(url))
    stream = TableStream(clients, outbox, CATALOG, letters or Letters(), metrics, now)
    try:
        await stream.open()
        task = asyncio.create_task(stream.run())
        yield stream
        await stream.drain(allowed(5))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    finally:
        await stream.close()


async def test_items_become_events_once(dynamodb_running: DynamoServer) -> None:
    """Written items are prices; deleted and unlisted ones are counted. A restart goes on behind them.

    The checkpoint waits until the dead letter of an invalid item is kept.
    """
    table = StreamedTable(dynamodb_running)
    metrics, outbox, letters = Metrics(CollectorRegistry()), Outbox(failures=2), Letters()
    first = market_item(1)
    table.put(first)
    table.put(market_item(2, "btc-usdt", "1.5"))
    table.put(market_item(3, "NOSUCH"))
    table.put(market_item(5, price="0"))
    table.delete({name: first[name] for name in ("symbol", "timestamp")})
    async with reading(table.url(), outbox, metrics, letters=letters) as stream:
        found = await outbox.has(2)
        assert [(one.topic, one.asset) for one in found] == [("prices", "btcusdt")] * 2
        assert msgspec.json.decode(found[0].body)["price"] == 70000.1  # a stream may keep zeros at the end
        assert found[0].timestamp == int(first["timestamp"]["N"]) / 1000
        await _until(lambda: _count(metrics, "deleted") == 1)
        assert stream.lags[0].records >= 2
        letters.kept = 1
        await _until(lambda: [lag.records for lag in stream.lags] == [0])
    assert {name: _count(metrics, name) for name in OUTCOMES} == {
        "handed_over": 2,
        "invalid": 1,
        "unlisted": 1,
        "deleted": 1,
        "too_old": 0,
    }
    (letter,) = letters.rejections
    assert (letter.code, letter.source, letter.place.split("/")[0]) == ("price", "table_stream", table.name)
    assert msgspec.json.decode(letter.raw)["price"] == {"N": "0"}
    assert stream.trouble == ""
    again = Outbox()
    table.put(market_item(4))
    async with reading(table.url(), again):
        assert len(await again.has(1)) == 1
    assert again.events[0].key not in {one.key for one in found}


async def test_our_own_table_of_prices(dynamodb_running: DynamoServer) -> None:
    """A price that another deployment has stored is the same price, with its sources."""
    table = StreamedTable(dynamodb_running, (("asset", "S"), ("timestamp", "N")), "NEW_AND_OLD_IMAGES")
    writer = DynamoTable(table.name, "us-east-1", dynamodb_running.endpoint, Metrics(CollectorRegistry()))
    await writer.open()
    written = price()
    assert await writer.put([written]) == []
    await writer.close()
    outbox = Outbox()
    async with reading(table.url(), outbox):
        (event,) = await outbox.has(1)
    assert event.key == f"prices {written.asset} {written.timestamp!r}"
    assert b'"sources":2,' in event.body


async def test_start_latest_leaves_out_what_was_there(dynamodb_running: DynamoServer) -> None:
    """What was there is counted. Amazon gives the second of a write, DynamoDB Local the minute."""
    table, outbox, metrics = StreamedTable(dynamodb_running), Outbox(), Metrics(CollectorRegistry())
    table.put(market_item(1))
    async with reading(table.url(start="latest"), outbox, metrics, lambda: time.time() + 120):
        await _until(lambda: _count(metrics, "too_old") == 1)
    table.put(market_item(2))
    async with reading(table.url(start="latest"), outbox, metrics, lambda: time.time() - 120):
        await _until(lambda: _count(metrics, "too_old") == 2)  # the start is that of the lease
    assert outbox.events == []


async def test_the_doctor_reads_the_stream(dynamodb_running: DynamoServer) -> None:
    """It writes nothing: the table of leases is missing before and after."""
    table = StreamedTable(dynamodb_running)
    stream, leases = await table_stream_check(parse_table_stream_url(table.url()), allowed(20))
    assert (stream.level, leases.level) == ("ok", "warn"), (stream, leases)
    assert "has 1 shard" in stream.says
    off = StreamedTable(dynamodb_running, view=None)
    (found,) = await table_stream_check(parse_table_stream_url(off.url()), allowed(20))
    assert (found.level, "has no stream" in found.says) == ("fail", True)


@pytest.mark.parametrize(("view", "said"), [("KEYS_ONLY", "NEW_IMAGE"), (None, "no stream")])
async def test_a_table_without_items_in_its_stream(dynamodb_running: DynamoServer, view: str | None, said: str) -> None:
    """The start says what to change."""
    table = StreamedTable(dynamodb_running, view=view)
    with pytest.raises((StoreRefused, StoreUnavailable), match=said):
        async with reading(table.url(), Outbox()):
            pass


def _count(metrics: Metrics, outcome: str) -> float:
    return float(metrics.table_streams.records.labels(outcome)._value.get())


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(allowed(60)):
        while not condition():
            await asyncio.sleep(0.02)
