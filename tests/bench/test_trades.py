"""The bench of trades still runs: every part, once and briefly. The figures are not judged here.

The suite runs those of latency, stages and writes; the others are `long`.
"""

import shutil
import time
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from aggregator.models import Trade
from aggregator.stores.trades.sqlite import SqliteTrades
from aggregator.trades.ingest import Parser
from tests.bench import kafka, kinesis, trade_load, trade_outbox, trade_reads, trade_stages, trade_writes
from tests.bench.report import Figure
from tests.bench.trade_generator import Bodies, Load, assets
from tests.bench.trade_scene import percentile, stored_calls
from tests.parts import redis_server
from tests.parts.dynamodb import DynamoServer
from tests.parts.examples import BTC


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    """Return the figures by name."""
    return {one.of.strip(): one for one in figures}


@pytest.mark.long
@pytest.mark.real
def test_throughput_is_measured() -> None:
    """Both ways of sending are acknowledged, a burst beside them too, and the store has all of it."""
    figures = trade_load.throughput(0.2, 0.2)
    assert by_name(figures)["CPU of a trade, all in"].value > 0
    lost = [one.value for one in figures if "the store does not have" in one.of]
    assert lost == [0, 0]
    bursts = [one.value for one in figures if "as much again" in one.of]
    assert len(bursts) == 2
    assert all(bursts)


@pytest.mark.real
def test_latency_is_measured() -> None:
    """At a small rate, every call is acknowledged and every trade is on /stream."""
    delayed = trade_load.Delayed(200, 1)
    assert len(delayed.acknowledged) == 100
    assert len(delayed.streamed) == 200
    assert delayed.left_out == delayed.refused == 0
    assert all(delay > 0 for delay in delayed.streamed)


@pytest.mark.long
@pytest.mark.real
def test_memory_is_measured() -> None:
    """All trades of the event time are sent, and fill the windows."""
    figures = by_name(trade_load.memory(20))
    assert figures["trades that were sent"].value == 12_000
    assert figures["trades that were sent"].verdict == "held"
    assert figures["trades in the 60 s window of one asset"].value > 0


@pytest.mark.long
@pytest.mark.real
@pytest.mark.skipif(shutil.which("wrk") is None, reason="no wrk; see the header")
def test_posts_and_reads_are_measured() -> None:
    """Single trades are stored, and reads are answered while trades come in."""
    posts = by_name(trade_reads.posts(rounds=1, seconds=1))
    assert posts["answers that were none"].value == 0
    assert posts["POST /ingest of one trade"].value > 0
    assert posts["stored, of those answered"].verdict == "held"
    reads = trade_reads.reads(rounds=1, seconds=1, rate=200)
    refused = [one.value for one in reads if one.bound == "<= 0"]
    assert refused == [0, 0]
    assert all(one.value > 0 for one in reads if one.bound != "<= 0")


@pytest.mark.long
@pytest.mark.real
def test_the_outbox_is_measured(dynamodb_running: DynamoServer) -> None:
    """The table gets all trades, with the outbox and without it."""
    figures = trade_outbox.run(rounds=1, trades=100, dynamodb=dynamodb_running)
    assert all(one.value > 0 for one in figures)


def test_stages_and_writes_are_measured() -> None:
    """Every stage has a cost."""
    assert all(one.value > 0 for one in trade_stages.run(2000))
    assert all(one.value > 0 for one in trade_writes.run(1000, filled=1000, assets=20))


def test_bodies_are_trades() -> None:
    """A body has one trade of each of the next assets, whose ids tell the call."""
    load = Load("calls", 1, size=400, name="x", event_rate=400, event_start=1_760_000_000)
    bodies = Bodies(assets(), load)
    listed = {asset: msgspec.structs.replace(BTC, symbol=asset) for asset in assets()}
    taken = Parser(listed.get).lines(bodies.of(2, 0), time.time())
    assert taken.rejected == []
    assert [trade.asset for trade in taken.trades] == [*assets()[800:], *assets()[:200]]
    assert [trade.id for trade in taken.trades] == [f"x2-{row}" for row in range(400)]
    assert {trade.timestamp for trade in taken.trades} == {1_760_000_002}


async def test_stored_trades_are_counted_once(tmp_path: Path) -> None:
    """A trade counts once, whether it is in the journal, in a block, or in both."""
    store = SqliteTrades(tmp_path / "trades.db", 1e9)
    await store.open()
    try:
        await store.add([_trade("a1-0"), _trade("a1-1")])
        await store.tidy()
        await store.add([_trade("a1-1"), _trade("a2-0")])
    finally:
        await store.close()
    assert stored_calls(tmp_path / "trades.db") == {"a1": 2, "a2": 1}


def test_a_percentile_is_one_of_the_values() -> None:
    """The median of three is the second one, and the highest share is the last one."""
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile([3, 1, 2], 1) == 3


def _trade(trade_id: str) -> Trade:
    return Trade("btcusdt", Decimal(1), Decimal(1), 1_760_000_000, "exchange1", trade_id)


@pytest.mark.long
@pytest.mark.real
def test_kinesis_is_measured() -> None:
    """Both ways of reading get all records."""
    assert all(one.value > 0 for one in kinesis.run(1000, 1))


@pytest.mark.long
@pytest.mark.real
def test_kafka_is_measured() -> None:
    """The bare loop and the processor get all trades; latencies, two processors and a takeover have figures."""
    if redis_server.binary() is None:
        pytest.skip("no redis-server; see the header")
    figures = [
        *kafka.throughput(3000, 1),
        *kafka.latency(200, 1),
        *kafka.processors(1000),
        *kafka.takeover(3000),
    ]
    assert all(one.value >= 0 for one in figures)
    assert by_name(figures)["processor, all of it"].value > 0
    assert by_name(figures)["to a subscriber of features, p50"].value > 0
