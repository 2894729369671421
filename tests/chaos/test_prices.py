"""With any part around the service broken, prices stay true, fresh and in order, and recover soon after.

The load runs during each scenario, and truth.py judges every answer. `CHAOS=full` runs all scenarios; without it a few
representative ones run for some seconds.
"""

import math
import os
import socket
import time
from contextlib import ExitStack, suppress
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest
import redis

from tests.chaos.testbed import HOT, PriceTestbed
from tests.parts.limits import allowed
from tests.parts.process import wait_for

pytestmark = pytest.mark.real

FULL = os.environ.get("CHAOS") == "full"

BAD = "exchange2"
SECONDS = 5.0 if FULL else 3.0  # duration of a fault, in seconds
UNTIL_GONE = 6 * HOT + 2.0  # seconds; longer than a hot price is served without new tickers
OUTAGE = 60.0  # seconds; longer than a price is served without new tickers, also on a busy machine
AT_ONCE = allowed(HOT + 3.0)  # seconds; at the next refresh
REST = 30.0  # cool-down of an open breaker, in seconds
AFTER_REST = REST + 3 * HOT + 5  # seconds; two successful probes, one at a time
LORISES = 200
REQUEST = 10.0  # time limit of a client for a request, in seconds
RECONNECTED = allowed(10.0)  # seconds until a recovered store is used again and the hot prices are new

# These faults keep the breakers closed. Faults that open one cost its cool-down of 30 s, so they share scenarios below.
LIES = [
    pytest.param({"price_factor": 3}, id="three times the price"),
    pytest.param({"price": "-1"}, marks=pytest.mark.long, id="a price below zero"),
    pytest.param({"price": "0"}, marks=pytest.mark.long, id="a price of zero"),
    pytest.param({"price": "1e400"}, marks=pytest.mark.long, id="a price beyond all floats"),
    pytest.param({"clock_ahead": 3600}, marks=pytest.mark.long, id="a clock an hour ahead"),
    pytest.param({"rate_limit": 0}, marks=pytest.mark.long, id="429"),
]


@pytest.mark.parametrize("fault", LIES)
def test_an_exchange_that_says_nothing_of_use(testbed: PriceTestbed, fault: dict[str, object]) -> None:
    """An exchange with useless answers is left out, and contributes again at the next refresh."""
    with testbed.watched(f"one exchange: {fault}") as scenario:
        testbed.market.exchanges[BAD].faults(**fault)
        scenario.lasts(SECONDS, lambda: testbed.hot_sources() == {2})
        testbed.market.sound()
        scenario.recovers(lambda: testbed.hot_sources() == {3}, AT_ONCE)


@pytest.mark.long
def test_a_frozen_clock(testbed: PriceTestbed) -> None:
    """A frozen ticker counts for two intervals, because it was true at its timestamp, and is then left out."""
    with testbed.watched("one exchange: a frozen clock", together=math.inf) as scenario:
        testbed.market.exchanges[BAD].faults(freeze_clock=True)
        scenario.lasts(SECONDS, lambda: testbed.hot_sources() == {2})
        testbed.market.sound()
        scenario.recovers(lambda: testbed.hot_sources() == {3}, AT_ONCE)


@pytest.mark.long
def test_an_exchange_that_hangs(testbed: PriceTestbed) -> None:
    """The breaker of a hanging exchange opens; clients see fewer sources and nothing else."""
    with testbed.watched("one exchange: hanging") as scenario:
        testbed.market.exchanges[BAD].faults(hang_rate=1)
        scenario.lasts(SECONDS, lambda: testbed.hot_sources() == {2})
        testbed.market.sound()
        scenario.recovers(lambda: testbed.hot_sources() == {3}, AFTER_REST)


@pytest.mark.long
def test_an_exchange_killed_and_then_another(testbed: PriceTestbed) -> None:
    """A killed exchange comes back after its restart; while another one sends NaN as well, prices turn stale."""
    with testbed.watched("one exchange: killed, then another: NaN", may_refuse=True) as scenario:
        testbed.kill("exchange1")
        scenario.lasts(SECONDS, lambda: testbed.hot_sources() == {2})
        testbed.market.exchanges[BAD].faults(price="NaN")
        scenario.lasts(SECONDS, lambda: testbed.hot_sources() == {0})
        testbed.restart("exchange1")
        testbed.market.sound()
        scenario.recovers(lambda: testbed.hot_sources() == {3}, AFTER_REST)


@pytest.mark.long
def test_an_exchange_that_fails_and_then_another(testbed: PriceTestbed) -> None:
    """An exchange that answers 500 comes back; while another one sends garbage as well, prices turn stale."""
    with testbed.watched("one exchange: 500, then another: garbage", may_refuse=True) as scenario:
        testbed.market.exchanges["exchange1"].faults(error_rate=1)
        scenario.lasts(SECONDS, lambda: testbed.hot_sources() == {2})
        testbed.market.exchanges[BAD].faults(garbage_rate=1)
        scenario.lasts(SECONDS, lambda: testbed.hot_sources() == {0})
        testbed.market.sound()
        scenario.recovers(lambda: testbed.hot_sources() == {3}, AFTER_REST)


def test_all_three_refuse(testbed: PriceTestbed) -> None:
    """While all three exchanges refuse, prices turn stale and then disappear; one interval later they are back."""
    with testbed.watched("all exchanges: 429", may_refuse=True) as scenario:
        for exchange in testbed.market.exchanges.values():
            exchange.faults(rate_limit=0)
        scenario.lasts(UNTIL_GONE, lambda: testbed.service.get("/prices/btcusdt").status == 503)
        testbed.market.sound()
        scenario.recovers(lambda: testbed.hot_sources() == {3}, AT_ONCE)


@pytest.mark.long
def test_all_three_killed(testbed: PriceTestbed) -> None:
    """While all three exchanges are down, their breakers retry after half an interval."""
    with testbed.watched("all exchanges: killed", may_refuse=True) as scenario:
        for name in testbed.market.exchanges:
            testbed.kill(name)
        scenario.lasts(OUTAGE, lambda: testbed.service.get("/prices/btcusdt").status == 503)
        for name in list(testbed.market.exchanges):
            testbed.restart(name)
        scenario.recovers(lambda: 0 not in testbed.hot_sources(), AT_ONCE)
        # The other two were still down when the first came back; the cool-down of one among several is the usual one.
        wait_for(lambda: testbed.hot_sources() == {3}, AFTER_REST, "all three to be asked again")


def test_redis_killed(testbed: PriceTestbed) -> None:
    """With Redis killed, reads come from history; an empty Redis is filled again."""
    with testbed.watched("Redis: killed") as scenario:
        testbed.redis.process.stop(SIGKILL)
        scenario.lasts(SECONDS, lambda: testbed.reasons() != [])
        testbed.restart_redis()
        scenario.recovers(testbed.healthy_since(time.time()), RECONNECTED)


@pytest.mark.long
def test_redis_hanging(testbed: PriceTestbed) -> None:
    """After Redis hung, prices that it kept from before are not shown."""
    with testbed.watched("Redis: hanging") as scenario:
        testbed.redis.process.signal(SIGSTOP)
        scenario.lasts(SECONDS, lambda: testbed.reasons() != [])
        testbed.redis.process.signal(SIGCONT)
        scenario.recovers(testbed.healthy_since(time.time()), RECONNECTED)


@pytest.mark.long
def test_redis_flushed(testbed: PriceTestbed) -> None:
    """After a FLUSHALL, prices and jobs are written again."""
    with testbed.watched("Redis: flushed") as scenario, redis.Redis.from_url(testbed.redis.url) as client:
        client.flushall()
        scenario.recovers(testbed.healthy_since(time.time()), RECONNECTED)


@pytest.mark.long
def test_dynamodb_killed(testbed: PriceTestbed) -> None:
    """With DynamoDB killed, clients notice nothing: prices wait in the outbox."""
    with testbed.watched("DynamoDB: killed") as scenario:
        testbed.dynamodb.kill()
        scenario.lasts(SECONDS, lambda: testbed.service.metric("price_outbox_rows") > 0)
        testbed.dynamodb.start()
        scenario.recovers(testbed.is_healthy, RECONNECTED)


@pytest.mark.long
def test_dynamodb_hanging(testbed: PriceTestbed) -> None:
    """With DynamoDB hanging, clients notice nothing: prices wait in the outbox."""
    with testbed.watched("DynamoDB: hanging") as scenario:
        testbed.dynamodb.process.signal(SIGSTOP)
        scenario.lasts(SECONDS, lambda: testbed.service.metric("price_outbox_rows") > 0)
        testbed.dynamodb.process.signal(SIGCONT)
        scenario.recovers(testbed.is_healthy, RECONNECTED)


@pytest.mark.long
def test_a_burst(testbed: PriceTestbed) -> None:
    """Ten times the load for ten seconds: each request is answered, some with 503 and Retry-After."""
    with testbed.watched("a burst of 10 s", may_refuse=True, times=10) as scenario:
        scenario.lasts(10, lambda: True)
        scenario.recovers(testbed.is_healthy, RECONNECTED)


@pytest.mark.long
def test_slow_lorises(testbed: PriceTestbed) -> None:
    """Two hundred slow-loris connections are cut at the time limit, and other clients notice nothing."""
    cut = 'price_api_connections_cut_total{reason="slow"}'
    with testbed.watched(f"{LORISES} slow lorises") as scenario, ExitStack() as stack:
        before = testbed.service.metric(cut)
        lorises = [stack.enter_context(socket.create_connection(testbed.address)) for _ in range(LORISES)]
        for one in lorises:
            one.sendall(b"GET / HTTP/1.1\r\nX: ")

        def are_cut() -> bool:
            for one in lorises:
                with suppress(OSError):  # the server has cut the connection
                    one.sendall(b"x")
            return testbed.service.metric(cut) >= before + LORISES

        scenario.recovers(are_cut, REQUEST + 5)


@pytest.mark.long
def test_the_service_held_up(testbed: PriceTestbed) -> None:
    """After a stall of the whole process, the loop lag shows it, and prices that are too old are marked stale."""
    late = "price_event_loop_lag_seconds_count", 'price_event_loop_lag_seconds_bucket{le="1.0"}'

    def stalls() -> float:
        return testbed.service.metric(late[0]) - testbed.service.metric(late[1])

    with testbed.watched("the service: stopped for 2 s") as scenario:
        before = stalls()
        testbed.service.process.signal(SIGSTOP)
        scenario.lasts(2 * HOT, lambda: True)
        testbed.service.process.signal(SIGCONT)
        scenario.recovers(lambda: stalls() > before and testbed.is_healthy(), RECONNECTED)
