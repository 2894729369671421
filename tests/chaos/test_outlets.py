"""The service is killed while its outlet fails: nothing is lost, no key arrives twice in vain, order holds.

One kill in the suite; with CHAOS=full, twenty.
"""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from tests.parts import sqs
from tests.parts.exchanges import Market
from tests.parts.limits import FULL
from tests.parts.process import wait_for
from tests.parts.service import Service, call
from tests.parts.sqs import Arrival, Queues

pytestmark = pytest.mark.real

KILLS = 20 if FULL else 1
FAULTS = ("throttle", "partial", "cut", "garbage", "hang")
"""Faults in which the queue has not taken what fails."""
SYMBOLS = "symbol,base,quote\nbtcusdt,btc,usdt\nethusdt,eth,usdt\n"
SETTINGS = {"hot_size": 2, "medium_size": 0, "hot_interval": 0.2}


@pytest.fixture(scope="module")
def queues() -> Iterator[Queues]:
    """Run moto and the proxy."""
    with pytest.MonkeyPatch.context() as environment, sqs.running() as found:
        environment.setenv("AWS_ACCESS_KEY_ID", "local")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "local")
        yield found


def ingest(service: Service, first: int, number: int) -> None:
    """Post trades, one call for each."""
    for one in range(first, first + number):
        trade = {"asset": "btcusdt", "price": "100", "venue": "v", "id": str(one), "timestamp": time.time()}
        answer = call("POST", f"{service.url}/ingest", {"Content-Type": "application/json"}, json.dumps(trade).encode())
        assert answer.status == 200


def bodies(arrivals: Sequence[Arrival], topic: str, asset: str) -> list[Any]:
    """Return the first arrival of each event of a topic and asset, in the order of arrival."""
    first = {one.key: json.loads(one.body) for one in reversed(arrivals) if (one.topic, one.asset) == (topic, asset)}
    return list(reversed(first.values()))


def test_kills_lose_no_event(queues: Queues, market: Market, tmp_path: Path) -> None:
    """The queue gets every stored trade and price, and twice at most what was under way when the process was killed."""
    symbols = tmp_path / "symbols.csv"
    symbols.write_text(SYMBOLS)
    queue = queues.queue()
    outlets = f"{queues.url(queue, topics='prices,trades')}&assets=btcusdt,ethusdt"
    files = {"symbols_file": symbols, "exchanges": market.setting, "outlets": outlets, **SETTINGS}
    service = Service(tmp_path, **files).started()
    arrived = queues.arrivals[queue]
    for kill in range(KILLS):
        queues.faults.set(FAULTS[kill % len(FAULTS)], every=3)
        before = len(arrived)
        ingest(service, 10 * kill, 10)
        wait_for(lambda b=before: len(arrived) > b + 4, what="events in the queue")  # type: ignore[misc]  # of this round
        service.process.stop(SIGKILL)
        service = Service(tmp_path, **files).started()
    queues.faults.set()
    ingest(service, 10 * KILLS, 2)
    ids = [str(number) for number in range(10 * KILLS + 2)]
    wait_for(lambda: len(bodies(arrived, "trades", "btcusdt")) == len(ids), what="all trades")
    stored = service.get("/prices/btcusdt/history?limit=500").json["prices"]
    times = {float(one["timestamp"]) for one in stored}
    wait_for(lambda: times <= {one["timestamp"] for one in bodies(arrived, "prices", "btcusdt")}, what="all prices")
    service.process.stop()
    assert [one["id"] for one in bodies(arrived, "trades", "btcusdt")] == ids
    for asset in ("btcusdt", "ethusdt"):
        in_order = [one["timestamp"] for one in bodies(arrived, "prices", asset)]
        assert in_order == sorted(in_order)
    keys = [one.key for one in arrived]
    assert len(keys) - len(set(keys)) <= 2 * KILLS  # one event of each asset is under way at a time
