"""The service with outlets: prices, trades and alerts arrive once each, over a kill."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts import sqs
from tests.parts.exchanges import Market
from tests.parts.process import wait_for
from tests.parts.service import Service, call
from tests.parts.sqs import Queues

pytestmark = pytest.mark.real

SYMBOLS = "symbol,base,quote\nbtcusdt,btc,usdt\nethusdt,eth,usdt\n"
SETTINGS = {"hot_size": 2, "medium_size": 0, "hot_interval": 0.2}


@pytest.fixture(scope="module")
def queues() -> Iterator[Queues]:
    """Run moto and the proxy."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    with sqs.running() as found:
        yield found
    del os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]


def ingest(service: Service, first: int, number: int) -> None:
    """Post trades, one call for each; a client posts again what was not answered."""
    for one in range(first, first + number):
        trade = {
            "asset": "btcusdt",
            "price": "100",
            "volume": "1",
            "venue": "v",
            "id": str(one),
            "timestamp": time.time(),
        }
        answer = call("POST", f"{service.url}/ingest", {"Content-Type": "application/json"}, json.dumps(trade).encode())
        assert answer.status == 200


def test_prices_and_trades_arrive_once_over_a_kill(queues: Queues, market: Market, tmp_path: Path) -> None:
    """History and store have nothing that the queue lacks, and the queue got no key twice."""
    symbols = tmp_path / "symbols.csv"
    symbols.write_text(SYMBOLS)
    queue = queues.queue()
    outlets = f"{queues.url(queue, topics='prices,trades')}&assets=btcusdt,ethusdt;stdout://?topics=signals"
    files = {"symbols_file": symbols, "exchanges": market.setting, "outlets": outlets, **SETTINGS}
    service = Service(tmp_path, **files).started()
    ingest(service, 0, 20)
    wait_for(lambda: len(queues.arrivals[queue]) > 30, what="events in the queue")
    service.process.stop(9)
    service = Service(tmp_path, **files).started()
    ingest(service, 20, 5)
    wait_for(lambda: queues.keys(queue)[-1:] != [] and _has(queues, queue, 25), what="all trades")
    stored = service.get("/prices/btcusdt/history?limit=500").json
    service.process.stop()
    keys = queues.keys(queue)
    times = {json.loads(one.body)["timestamp"] for one in queues.arrivals[queue] if one.topic == "prices"}
    assert {float(one["timestamp"]) for one in stored["prices"]} <= times
    repeated = [key for key in set(keys) if keys.count(key) > 1]
    assert len(repeated) <= 80  # what was under way when the process was killed: eight batches of ten
    first = next(one for one in queues.arrivals[queue] if one.topic == "prices")
    assert json.loads(first.body)["asset"] in ("btcusdt", "ethusdt")
    assert first.asset == json.loads(first.body)["asset"]


def _has(queues: Queues, queue: str, trades: int) -> bool:
    ids = {json.loads(one.body)["id"] for one in queues.arrivals[queue] if one.topic == "trades"}
    return ids == {str(number) for number in range(trades)}
