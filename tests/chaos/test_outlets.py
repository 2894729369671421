"""The service is killed while its outlet fails: nothing is lost, no key arrives twice in vain, order holds.

Three kills in the suite; with CHAOS=full, twenty.
"""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from tests.parts.exchanges import Market
from tests.parts.limits import FULL, allowed
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service, call
from tests.parts.sqs import Arrival, Queues

pytestmark = pytest.mark.real

KILLS = 20 if FULL else 3
FAULTS = ("hang", "partial", "error", "throttle", "cut", "garbage")
"""Faults in which the queue has not taken what fails."""
LONG = allowed(120.0)  # seconds: a queue takes one event of an asset at a time
UNSURE = 'outlet_events_unsure_total{outlet="events"}'
"""Events whose answer was lost: they may come twice. A busy machine may take longer than the service waits."""
SYMBOLS = "symbol,base,quote\nbtcusdt,btc,usdt\nethusdt,eth,usdt\n"
SETTINGS = {"hot_size": 2, "medium_size": 0, "hot_interval": 0.2}


def ingest(service: Service, first: int, number: int, at: float | None = None) -> None:
    """Post trades of now, or of unix second `at`, one call for each."""
    for one in range(first, first + number):
        trade = {"asset": "btcusdt", "price": "100", "venue": "v", "id": str(one), "timestamp": at or time.time()}
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
    outlets = f"{queues.url(queue, topics='prices,trades', name='events')}&assets=btcusdt,ethusdt"
    files = {"symbols_file": symbols, "exchanges": market.setting, "outlets": outlets, **SETTINGS}
    service = Service(tmp_path, **files).started()
    arrived, unsure = queues.arrivals[queue], 0.0
    for kill in range(KILLS):
        queues.faults.set(FAULTS[kill % len(FAULTS)], every=3)
        before = len(arrived)
        ingest(service, 10 * kill, 10)
        wait_for(lambda b=before: len(arrived) > b + 4, what="events in the queue")  # type: ignore[misc]  # of this round
        unsure += service.metric(UNSURE)
        service.process.stop(SIGKILL)
        service = Service(tmp_path, **files).started()
    queues.faults.set()
    ingest(service, 10 * KILLS, 2)
    ids = [str(number) for number in range(10 * KILLS + 2)]
    wait_for(lambda: len(bodies(arrived, "trades", "btcusdt")) == len(ids), LONG, what="all trades")
    stored = service.get("/prices/btcusdt/history?limit=500").json["prices"]
    times = {float(one["timestamp"]) for one in stored}
    wait_for(lambda: times <= {one["timestamp"] for one in bodies(arrived, "prices", "btcusdt")}, LONG, "all prices")
    unsure += service.metric(UNSURE)
    service.process.stop()
    assert [one["id"] for one in bodies(arrived, "trades", "btcusdt")] == ids
    for asset in ("btcusdt", "ethusdt"):
        in_order = [one["timestamp"] for one in bodies(arrived, "prices", asset)]
        assert in_order == sorted(in_order)
    assert repeated(arrived) <= 2 * KILLS + unsure  # one event of each asset is under way at a time


def test_of_two_processes_one_sends(queues: Queues, market: Market, redis_alone: RedisServer, tmp_path: Path) -> None:
    """They share the file and the lease; the other one takes over when the sender is killed."""
    symbols = tmp_path / "symbols.csv"
    symbols.write_text(SYMBOLS)
    queue = queues.queue()
    queues.faults.set()
    files = {"symbols_file": symbols, "exchanges": market.setting, "cache_url": redis_alone.url, **SETTINGS}
    files |= {"outlets": queues.url(queue, topics="prices,trades", name="events")}
    both = [Service(tmp_path, **files).started() for _ in range(2)]
    wait_for(lambda: sum(map(_sends, both)) == 1, what="one sender")
    sender, other = sorted(both, key=_sends, reverse=True)
    ingest(sender, 0, 5)
    ingest(other, 5, 5)
    arrived = queues.arrivals[queue]
    wait_for(lambda: len(bodies(arrived, "trades", "btcusdt")) == 10, what="the trades of both")
    unsure = sender.metric(UNSURE)
    assert repeated(arrived) <= unsure
    sender.process.stop(SIGKILL)
    ingest(other, 10, 5)
    wait_for(lambda: len(bodies(arrived, "trades", "btcusdt")) == 15, what="trades after the takeover")
    wait_for(lambda: _sends(other) == 1, what="the other one as the sender")
    unsure += other.metric(UNSURE)
    other.process.stop()
    assert repeated(arrived) <= 2 + unsure


def test_two_machines_send_what_each_has(
    queues: Queues, market: Market, redis_alone: RedisServer, tmp_path: Path
) -> None:
    """Each has a file of its own. A trade that both have arrives once, and those of a machine in their order."""
    symbols = tmp_path / "symbols.csv"
    symbols.write_text(SYMBOLS)
    queue = queues.queue()
    queues.faults.set()
    settings = {"symbols_file": symbols, "exchanges": market.setting, "cache_url": redis_alone.url, **SETTINGS}
    settings |= {"outlets": queues.url(queue, topics="trades", name="events")}
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    one, two = (Service(folder, **settings).started() for folder in folders)
    wait_for(lambda: _sends(one) + _sends(two) == 2, what="both sending")
    now = time.time()
    for service in (one, two):
        ingest(service, 0, 5, now)  # both have these
    ingest(one, 5, 5)
    ingest(two, 10, 5)
    arrived = queues.arrivals[queue]
    wait_for(lambda: len(bodies(arrived, "trades", "btcusdt")) == 15, what="the trades of both")
    left_out = 'outlet_events_deduplicated_total{outlet="events"}'
    wait_for(lambda: one.metric(left_out) + two.metric(left_out) == 5, what="the trades of both to be settled")
    for service in (one, two):
        assert service.process.stop() == 0
    assert repeated(arrived) == 0
    ids = [int(body["id"]) for body in bodies(arrived, "trades", "btcusdt")]
    for own in (range(5, 10), range(10, 15)):
        assert [found for found in ids if found in own] == list(own)


def repeated(arrived: Sequence[Arrival]) -> int:
    """Return how many arrivals had a key that had arrived before."""
    return len(arrived) - len({one.key for one in arrived})


def _sends(service: Service) -> float:
    return service.metric('outlet_sending{outlet="events"}')
