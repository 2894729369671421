"""Processes of the role `processor`: kills, takeovers, rebalances. Each trade counts once, windows stay exact."""

import asyncio
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest

from aggregator.models import Trade, trade_key
from tests.parts.exchanges import Market
from tests.parts.kafka import Broker
from tests.parts.process import wait_for
from tests.parts.processing import as_json
from tests.parts.processors import (
    Events,
    Processors,
    assert_measured,
    caught_up,
    lag,
    market_trades,
    stored_in,
)
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service, call

pytestmark = pytest.mark.real
SOME = r"partitions_assigned\s+partitions=\[\d"  # a line of the log
ALL = r"partitions_assigned\s+partitions=\[0, 1, 2, 3\]"


@contextmanager
def produced(broker: Broker, topic: str, trades: Sequence[Trade], seconds: float) -> Iterator[None]:
    """Produce trades over some seconds, in the background; those that are left at the block's end go out at once."""
    over = threading.Event()

    def produce() -> None:
        parts, begun = 50, time.monotonic()
        for number in range(parts):
            broker.produce(
                topic, map(as_json, trades[number * len(trades) // parts : (number + 1) * len(trades) // parts])
            )
            over.wait(max(0.0, begun + seconds * (number + 1) / parts - time.monotonic()))

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def as_sent(one: Trade) -> tuple[object, ...]:
    """Return what was sent of a trade."""
    return one.asset, one.price, one.volume, trade_key(one)


def assert_each_once(stored: Sequence[Trade], sent: Sequence[Trade]) -> None:
    """Assert that the stored trades are the sent ones, each once."""
    assert len(stored) == len({one.id for one in stored})
    assert sorted(map(as_sent, stored), key=str) == sorted(map(as_sent, sent), key=str)


def assert_published(events: Events, stored: Sequence[Trade]) -> None:
    """Assert that each stored trade was published, and never with different content."""
    expected = {one.id: one for one in stored}
    wait_for(lambda: {one.id for one in events.trades} >= expected.keys(), what="all trades to be published")
    assert [one for one in events.trades if one != expected[one.id]] == []


async def test_kill_9_and_restart(kafka_with_groups: Broker, redis_alone: RedisServer, tmp_path: Path) -> None:
    """A processor killed at random moments goes on: each trade is stored once and published, windows are exact."""
    topic, moments = kafka_with_groups.topic(4), random.Random(5)
    processors = Processors(tmp_path, kafka_with_groups, redis_alone, topic)
    sent = market_trades(8000, 900)
    with Events(redis_alone) as events:
        service = processors.start_in(tmp_path / "only")
        with produced(kafka_with_groups, topic, sent, 8):
            for _ in range(3):
                await asyncio.sleep(moments.uniform(0.5, 2))
                service.process.stop(SIGKILL)
                service = processors.start_in(tmp_path / "only")
        caught_up(kafka_with_groups, topic)
        wait_for(lambda: lag(service) == 0)
        assert service.process.stop() == 0, service.process.output
        stored = await stored_in(tmp_path / "only")
        assert_each_once(stored, sent)
        assert_published(events, stored)
        assert_measured({asset: some[-1] for asset, some in events.features.items()}, stored)


async def test_takeover_and_scale_out(kafka_with_groups: Broker, redis_alone: RedisServer, tmp_path: Path) -> None:
    """A second processor takes partitions; when the first is killed it takes all; then a third joins, and one stops."""
    topic = kafka_with_groups.topic(4)
    processors = Processors(tmp_path, kafka_with_groups, redis_alone, topic)
    sent = market_trades(6000, 900)
    with Events(redis_alone) as events:
        first = processors.start()
        with produced(kafka_with_groups, topic, sent, 30):
            second = processors.start()
            second.process.wait_for_line(SOME)
            first.process.stop(SIGKILL)
            second.process.wait_for_line(ALL)
            third = processors.start()
            third.process.wait_for_line(SOME)
            assert second.process.stop() == 0, second.process.output
            third.process.wait_for_line(ALL)
        caught_up(kafka_with_groups, topic)
        wait_for(lambda: lag(third) == 0)
        assert third.process.stop() == 0, third.process.output
        stored = await all_stored(processors.folders)
        assert_each_once(stored, sent)
        assert_published(events, stored)
        assert_measured({asset: some[-1] for asset, some in events.features.items()}, stored)


async def all_stored(folders: Sequence[Path]) -> list[Trade]:
    """Return the trades of the files of all processors. What two of them have stored must be the same."""
    found: dict[str, Trade] = {}
    for path in folders:
        for one in await stored_in(path):
            assert found.setdefault(one.id, one) == one
    return [*found.values()]


@pytest.mark.long
async def test_a_zombie_publishes_nothing(kafka_with_groups: Broker, redis_alone: RedisServer, tmp_path: Path) -> None:
    """A processor that wakes up after its session has ended publishes nothing of the partitions that it has lost."""
    topic = kafka_with_groups.topic(4)
    processors = Processors(tmp_path, kafka_with_groups, redis_alone, topic)
    sent = market_trades(6000, 900)
    with Events(redis_alone) as events:
        first, second = processors.start(), processors.start()
        second.process.wait_for_line(SOME)
        with produced(kafka_with_groups, topic, sent, 20):
            await asyncio.sleep(3)
            first.process.signal(SIGSTOP)
            second.process.wait_for_line(ALL)
            first.process.signal(SIGCONT)
        caught_up(kafka_with_groups, topic)
        for service in (first, second):
            wait_for(lambda service=service: lag(service) == 0)  # type: ignore[misc]
            assert service.process.stop() == 0, service.process.output
        stored = await all_stored(processors.folders)
        assert_each_once(stored, sent)
        assert_published(events, stored)
        assert_measured({asset: some[-1] for asset, some in events.features.items()}, stored)


def test_one_process_does_it_all(kafka_running: Broker, shared_market: Market, tmp_path: Path) -> None:
    """With a topic as its log, POST /ingest is stored and measured as with memory, and survives a restart."""
    topic = kafka_running.topic()
    settings = {"trades_log": kafka_running.url(topic), "exchanges": shared_market.setting}
    service = Service(tmp_path, **settings).started()
    at = time.time() - 100
    body = [{"asset": "btcusdt", "price": 100 * n, "volume": 10 * n, "timestamp": at + n, "id": n} for n in (1, 2)]
    for _ in range(2):
        answer = call("POST", f"{service.url}/ingest", {"Content-Type": "application/json"}, json.dumps(body).encode())
        assert (answer.status, answer.json["accepted"], answer.json["duplicates"]) == (200, 2, 0)
    wait_for(lambda: service.metric('trades_duplicates_total{source="kafka"}') == 2)
    for _ in range(2):
        features = service.get("/features/btcusdt").json
        assert float(features["vwap_5min"]) == pytest.approx(500 / 3)
        assert features["trade_frequency"] == 2
        assert len(service.get("/trades/btcusdt").json["trades"]) == 2
        wait_for(lambda service=service: lag(service) == 0)  # type: ignore[misc]
        assert service.process.stop() == 0, service.process.output
        assert "Traceback" not in service.process.output
        service = Service(tmp_path, **settings).started()
        wait_for(lambda service=service: service.get("/features/btcusdt").status == 200)  # type: ignore[misc]
    assert service.process.stop() == 0, service.process.output


def test_an_api_process_takes_trades_in(
    kafka_with_groups: Broker, redis_alone: RedisServer, market: Market, tmp_path: Path
) -> None:
    """It writes them to the topic; a processor stores them, and the API answers with what the processor publishes."""
    topic = kafka_with_groups.topic(4)
    trades_url = f"sqlite:///{tmp_path / 'trades.db'}"
    processors = Processors(tmp_path, kafka_with_groups, redis_alone, topic, trades_url)
    processor = processors.start()
    (tmp_path / "api").mkdir()
    api = Service(
        tmp_path / "api",
        role="api",
        symbols_file=tmp_path / "symbols.csv",
        cache_url=redis_alone.url,
        trades_log=kafka_with_groups.url(topic),
        trades_url=trades_url,
        exchanges=market.setting,
    ).started()
    sent = market_trades(200, 60)
    lines = b"".join(as_json(one)[1] + b"\n" for one in sent)
    where, as_one = f"{api.url}/ingest", {"Content-Type": "application/json"}
    answer = call("POST", where, {"Content-Type": "application/x-ndjson"}, lines)
    assert (answer.status, answer.json["accepted"]) == (200, len(sent)), answer.json
    single = call("POST", where, as_one, as_json(sent[0])[1])
    assert single.status == 200, single.json
    wrong = call("POST", where, as_one, b"{}")
    assert (wrong.status, wrong.json["code"]) == (400, "no_valid_trade")
    caught_up(kafka_with_groups, topic)
    wait_for(lambda: lag(processor) == 0)
    assets = sorted({one.asset for one in sent})
    expected = {asset: max((one for one in sent if one.asset == asset), key=trade_key) for asset in assets}
    wait_for(
        lambda: all(
            call("GET", f"{api.url}/quotes/{asset}").json.get("id") == one.id for asset, one in expected.items()
        ),
        what="the API to answer with the last trades",
    )
    for asset in assets:
        assert call("GET", f"{api.url}/features/{asset}").status == 200
        found = call("GET", f"{api.url}/trades/{asset}?limit=1000").json
        assert len(found["trades"]) == sum(one.asset == asset for one in sent)
