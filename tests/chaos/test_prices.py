"""Prices stay true, in time and in order, whatever is broken around the service, and are whole again soon after.

Steady readers ask all the while, and every one of their answers is judged: see truth.py. `CHAOS=full` plays all
scenarios; without it a few that stand for the rest are played for a few seconds.
"""

import math
import os
import socket
import time
from contextlib import ExitStack, suppress
from signal import SIGCONT, SIGKILL, SIGSTOP

import pytest
import redis

from tests.chaos.stage import HOT, Stage
from tests.parts.process import wait_for

pytestmark = pytest.mark.real

FULL = os.environ.get("CHAOS") == "full"
full = pytest.mark.skipif(not FULL, reason="with CHAOS=full only")

BAD = "exchange2"
SECONDS = 5.0 if FULL else 3.0  # a fault lasts
UNTIL_GONE = 6 * HOT + 2.0  # seconds: all three are away for longer than a hot price is served
OUTAGE = 60.0  # seconds, likewise
AT_ONCE = HOT + 3.0  # seconds: at the next refresh, on a machine that has other things to do
REST = 30.0  # seconds for which an open breaker asks nobody
AFTER_REST = REST + 3 * HOT + 5  # seconds: then two good probes, one at a time
LORISES = 200
REQUEST = 10.0  # seconds a client has for a request
RECONNECTED = 10.0  # seconds until a store that is back is in use, and the hot prices are new

# These leave the breakers closed. What opens one costs half a minute of rest, so that those share it below.
LIES = [
    pytest.param({"price_factor": 3}, id="three times the price"),
    pytest.param({"price": "-1"}, marks=full, id="a price below zero"),
    pytest.param({"price": "0"}, marks=full, id="a price of zero"),
    pytest.param({"price": "1e400"}, marks=full, id="a price beyond all floats"),
    pytest.param({"clock_ahead": 3600}, marks=full, id="a clock an hour ahead"),
    pytest.param({"rate_limit": 0}, marks=full, id="429"),
]


@pytest.mark.parametrize("fault", LIES)
def test_an_exchange_that_says_nothing_of_use(stage: Stage, fault: dict[str, object]) -> None:
    """It is left out, and is back at the next refresh."""
    with stage.watched(f"one exchange: {fault}") as scenario:
        stage.market.exchanges[BAD].faults(**fault)
        scenario.lasts(SECONDS, lambda: stage.hot_sources() == {2})
        stage.market.sound()
        scenario.recovers(lambda: stage.hot_sources() == {3}, AT_ONCE)


@full
def test_a_frozen_clock(stage: Stage) -> None:
    """Its last ticker counts for two intervals, being true of its time, and no longer."""
    with stage.watched("one exchange: a frozen clock", together=math.inf) as scenario:
        stage.market.exchanges[BAD].faults(freeze_clock=True)
        scenario.lasts(SECONDS, lambda: stage.hot_sources() == {2})
        stage.market.sound()
        scenario.recovers(lambda: stage.hot_sources() == {3}, AT_ONCE)


@full
def test_an_exchange_that_hangs(stage: Stage) -> None:
    """Its breaker opens; readers notice nothing but the sources."""
    with stage.watched("one exchange: hanging") as scenario:
        stage.market.exchanges[BAD].faults(hang_rate=1)
        scenario.lasts(SECONDS, lambda: stage.hot_sources() == {2})
        stage.market.sound()
        scenario.recovers(lambda: stage.hot_sources() == {3}, AFTER_REST)


@full
def test_an_exchange_killed_and_then_another(stage: Stage) -> None:
    """Started again at its address. The other, meanwhile, says NaN: the third alone is no price, so all turn stale."""
    with stage.watched("one exchange: killed, then another: NaN", may_refuse=True) as scenario:
        stage.kill("exchange1")
        scenario.lasts(SECONDS, lambda: stage.hot_sources() == {2})
        stage.market.exchanges[BAD].faults(price="NaN")
        scenario.lasts(SECONDS, lambda: stage.hot_sources() == {0})
        stage.restart("exchange1")
        stage.market.sound()
        scenario.recovers(lambda: stage.hot_sources() == {3}, AFTER_REST)


@full
def test_an_exchange_that_fails_and_then_another(stage: Stage) -> None:
    """Likewise with 500, and then garbage from another."""
    with stage.watched("one exchange: 500, then another: garbage", may_refuse=True) as scenario:
        stage.market.exchanges["exchange1"].faults(error_rate=1)
        scenario.lasts(SECONDS, lambda: stage.hot_sources() == {2})
        stage.market.exchanges[BAD].faults(garbage_rate=1)
        scenario.lasts(SECONDS, lambda: stage.hot_sources() == {0})
        stage.market.sound()
        scenario.recovers(lambda: stage.hot_sources() == {3}, AFTER_REST)


def test_all_three_refuse(stage: Stage) -> None:
    """Prices turn stale, then there are none; one interval after the last refusal they are back."""
    with stage.watched("all exchanges: 429", may_refuse=True) as scenario:
        for exchange in stage.market.exchanges.values():
            exchange.faults(rate_limit=0)
        scenario.lasts(UNTIL_GONE, lambda: stage.service.get("/prices/btcusdt").status == 503)
        stage.market.sound()
        scenario.recovers(lambda: stage.hot_sources() == {3}, AT_ONCE)


@full
def test_all_three_killed(stage: Stage) -> None:
    """As above: while nobody is left to ask, their breakers rest for half an interval."""
    with stage.watched("all exchanges: killed", may_refuse=True) as scenario:
        for name in stage.market.exchanges:
            stage.kill(name)
        scenario.lasts(OUTAGE, lambda: stage.service.get("/prices/btcusdt").status == 503)
        for name in list(stage.market.exchanges):
            stage.restart(name)
        scenario.recovers(lambda: 0 not in stage.hot_sources(), AT_ONCE)
        # The others were still away when the first was back, and one of several rests for its usual time.
        wait_for(lambda: stage.hot_sources() == {3}, AFTER_REST, "all three to be asked again")


def test_redis_killed(stage: Stage) -> None:
    """Each price is read from history meanwhile; a Redis without a memory is filled again."""
    with stage.watched("Redis: killed") as scenario:
        stage.redis.process.stop(SIGKILL)
        scenario.lasts(SECONDS, lambda: stage.complaints() != [])
        stage.restart_redis()
        scenario.recovers(stage.sound_since(time.time()), RECONNECTED)


@full
def test_redis_hanging(stage: Stage) -> None:
    """What it still knows when it goes on is from before: nobody may be shown that."""
    with stage.watched("Redis: hanging") as scenario:
        stage.redis.process.signal(SIGSTOP)
        scenario.lasts(SECONDS, lambda: stage.complaints() != [])
        stage.redis.process.signal(SIGCONT)
        scenario.recovers(stage.sound_since(time.time()), RECONNECTED)


@full
def test_redis_flushed(stage: Stage) -> None:
    """Prices, jobs and all."""
    with stage.watched("Redis: flushed") as scenario, redis.Redis.from_url(stage.redis.url) as client:
        client.flushall()
        scenario.recovers(stage.sound_since(time.time()), RECONNECTED)


@full
def test_dynamodb_killed(stage: Stage) -> None:
    """Nobody notices: prices wait in the outbox."""
    with stage.watched("DynamoDB: killed") as scenario:
        stage.dynamodb.kill()
        scenario.lasts(SECONDS, lambda: stage.service.metric("price_outbox_rows") > 0)
        stage.dynamodb.start()
        scenario.recovers(stage.is_sound, RECONNECTED)


@full
def test_dynamodb_hanging(stage: Stage) -> None:
    """Likewise."""
    with stage.watched("DynamoDB: hanging") as scenario:
        stage.dynamodb.process.signal(SIGSTOP)
        scenario.lasts(SECONDS, lambda: stage.service.metric("price_outbox_rows") > 0)
        stage.dynamodb.process.signal(SIGCONT)
        scenario.recovers(stage.is_sound, RECONNECTED)


@full
def test_a_burst(stage: Stage) -> None:
    """Ten times as many requests for ten seconds: an answer to each, be it 503 with Retry-After."""
    with stage.watched("a burst of 10 s", may_refuse=True, times=10) as scenario:
        scenario.lasts(10, lambda: True)
        scenario.recovers(stage.is_sound, RECONNECTED)


@full
def test_slow_lorises(stage: Stage) -> None:
    """Two hundred who never come to the end of their request: cut off after their time, and nobody else notices."""
    cut = 'price_api_connections_cut_total{reason="slow"}'
    with stage.watched(f"{LORISES} slow lorises") as scenario, ExitStack() as stack:
        before = stage.service.metric(cut)
        lorises = [stack.enter_context(socket.create_connection(stage.address)) for _ in range(LORISES)]
        for one in lorises:
            one.sendall(b"GET / HTTP/1.1\r\nX: ")

        def are_cut() -> bool:
            for one in lorises:
                with suppress(OSError):  # it has been cut off
                    one.sendall(b"x")
            return stage.service.metric(cut) >= before + LORISES

        scenario.recovers(are_cut, REQUEST + 5)


@full
def test_the_service_held_up(stage: Stage) -> None:
    """As by a machine that sleeps: the event loop's lag shows it, and what is old by now says so."""
    late = "price_event_loop_lag_seconds_count", 'price_event_loop_lag_seconds_bucket{le="1.0"}'

    def stalls() -> float:
        return stage.service.metric(late[0]) - stage.service.metric(late[1])

    with stage.watched("the service: stopped for 2 s") as scenario:
        before = stalls()
        stage.service.process.signal(SIGSTOP)
        scenario.lasts(2 * HOT, lambda: True)
        stage.service.process.signal(SIGCONT)
        scenario.recovers(lambda: stalls() > before and stage.is_sound(), RECONNECTED)
