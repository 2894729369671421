"""History loses nothing: every published price is in the table, despite outages, kills, throttling and full disks.

`CHAOS=full` takes about a minute for each scenario; without it each takes some seconds. tests/stores/ has throttled and
half processed batches, without load.
"""

import random
import re
import time
from collections.abc import Callable, Sized
from functools import partial
from signal import SIGKILL

import pytest

from tests.chaos.parts import (
    FULL,
    NO_BACKLOG,
    HistoryTestbed,
    Span,
    files_again,
    no_more_files,
    seconds_until_drained,
    steady,
    under_load,
)
from tests.parts.dynamodb_proxy import DynamoProxy
from tests.parts.limits import STRICT, allowed
from tests.parts.process import wait_for
from tests.parts.service import Service

pytestmark = pytest.mark.real

SECONDS = 60 if FULL else 6
KILLS = 20 if FULL else 2  # the second while DynamoDB refuses all writes
SURE = 0.1  # a price published longer than this before a kill must not be lost, in seconds
DRAIN_SECONDS = 300  # time limit for an outbox on a loaded machine, in seconds; not a promise
RECOVERED = 10  # seconds
SLOW_TABLE = 2  # seconds

Report = Callable[[str], None]


def has_more(things: Sized, than: int) -> bool:
    """Whether there are more things than that."""
    return len(things) > than


def test_an_outage_of_dynamodb(history_testbed: HistoryTestbed, report: Report) -> None:
    """DynamoDB is killed under load and restarted: each price published meanwhile is in the table exactly once."""
    service = history_testbed.service().filled()
    level = steady(service)
    before = len(history_testbed.subscriber)
    history_testbed.dynamodb.kill()
    most = under_load(service, SECONDS)
    meanwhile = len(history_testbed.subscriber) - before
    history_testbed.dynamodb.start()
    recovered = seconds_until_drained(service, level, DRAIN_SECONDS)
    comparison = history_testbed.settled(service, DRAIN_SECONDS)
    report(
        f"outage of {SECONDS} s: {comparison}; {meanwhile} published meanwhile, at most {most:.0f} rows,"
        f" back at {level:.0f} after {recovered:.1f} s"
    )
    assert meanwhile > NO_BACKLOG  # there was load during the outage
    assert comparison.is_complete, comparison.lost[:5] + comparison.wrong[:5]
    assert comparison.unpublished == 0
    assert service.process.stop() == 0, service.process.output


def test_kill_9_at_random_moments(history_testbed: HistoryTestbed, proxy: DynamoProxy, report: Report) -> None:
    """After kill -9 at random moments, every price published more than 100 ms before a kill is in the table.

    Every other run, DynamoDB refuses all writes, so that the kill meets a full outbox and the next start drains it.
    """
    moments = random.Random(3)
    doubts: list[Span] = []
    rows = []
    for life in range(KILLS):
        proxy.faults(throttle_rate=life % 2)
        before = len(history_testbed.subscriber)
        service = history_testbed.service(proxy).started()
        wait_for(partial(has_more, history_testbed.subscriber, before + NO_BACKLOG), what="load")
        rows.append(under_load(service, moments.uniform(0.5, 3)))
        now = time.time()
        service.process.stop(SIGKILL)
        doubts.append((now - SURE, now))
    proxy.faults()
    service = history_testbed.service(proxy).started()
    comparison = history_testbed.settled(service, DRAIN_SECONDS, doubts)
    report(f"kill -9, {KILLS} times: {comparison}; at most {max(rows):.0f} rows")
    assert comparison.published > KILLS * NO_BACKLOG  # there was load
    assert comparison.is_complete, comparison.lost[:5] + comparison.wrong[:5]
    assert service.process.stop() == 0, service.process.output


@pytest.mark.long
def test_throttling(history_testbed: HistoryTestbed, proxy: DynamoProxy, report: Report) -> None:
    """With 30 % of batches throttled and 10 % half processed, nothing is lost, and the backlog drains within 10 s."""
    service = history_testbed.service(proxy).filled()
    level = steady(service)
    before = proxy.done("items")
    proxy.faults(throttle_rate=0.3, half_rate=0.1)
    most = under_load(service, SECONDS)
    wait_for(lambda: proxy.done("throttled") > 0 < proxy.done("halved"), what="a throttled batch and a halved one")
    rate = (proxy.done("items") - before) / SECONDS
    proxy.faults()
    recovered = seconds_until_drained(service, level, DRAIN_SECONDS)
    comparison = history_testbed.settled(service, DRAIN_SECONDS)
    report(
        f"throttling for {SECONDS} s: {comparison};"
        f" {proxy.done('throttled')} batches throttled, {proxy.done('halved')} halved,"
        f" {rate:.0f} items/s meanwhile, at most {most:.0f} rows, back at {level:.0f} after {recovered:.1f} s"
    )
    assert comparison.is_complete, comparison.lost[:5] + comparison.wrong[:5]
    assert comparison.unpublished == 0
    assert recovered <= allowed(RECOVERED)
    assert service.process.stop() == 0, service.process.output


def test_an_outbox_that_cannot_be_written(history_testbed: HistoryTestbed, report: Report) -> None:
    """While the outbox cannot be written, /ready and one log line say so, prices go on, and it recovers by itself."""
    service = history_testbed.service().filled()
    wait_for(lambda: service.get("/ready").status == 200, what="ready")
    said = len(service.process.output)
    failed = time.time()
    no_more_files(service)
    wait_for(lambda: bool(outbox_troubles(service)), what="/ready to name the outbox")
    trouble, served = outbox_troubles(service)[0], serves_for(service, SECONDS / 2)
    complaints = re.findall(r".*\[(?:warning|error|critical) *\].*", service.process.output[said:])
    files_again(service)
    lifted = time.monotonic()
    wait_for(lambda: service.get("/ready").status == 200, what="ready again")
    recovered = time.monotonic() - lifted
    healed = time.time()
    under_load(service, 1)
    comparison = history_testbed.settled(service, DRAIN_SECONDS, [(failed - SURE, healed)])
    report(
        f"no writing for {SECONDS / 2:g} s: {comparison}; {served} calls answered meanwhile,"
        f" ready after {recovered:.1f} s; /ready said {trouble!r}"
    )
    about_outbox = [line for line in complaints if "outbox_failing" in line]
    assert len(about_outbox) == 1, complaints
    # Past the file, the table has a second for each price; a slow one makes the history fail, which is another line.
    rest = [line for line in complaints if line not in about_outbox]
    assert not rest if STRICT else all("store_failing" in line for line in rest), complaints
    assert comparison.is_complete, comparison.lost[:5] + comparison.wrong[:5]
    assert service.process.stop() == 0, service.process.output


def serves_for(service: Service, seconds: float) -> int:
    """Read and refresh for `seconds` while /ready names the outbox; return the number of calls.

    Every read is 200. A refresh goes past the file to the table, which has a second to take the price: it is 200, or
    503 because of the history where the table is slower. At least one must be 200.
    """
    ends = time.monotonic() + seconds
    last_moment = ends + allowed(SLOW_TABLE)
    calls = refreshed = 0
    while time.monotonic() < ends or (not refreshed and time.monotonic() < last_moment):
        assert service.get("/prices/btcusdt").status == 200
        refresh = service.post("/refresh/ethusdt")
        assert refresh.status == 200 or refresh.json["code"] == "history_unavailable", refresh.text
        assert outbox_troubles(service)
        refreshed += refresh.status == 200
        calls += 2
    assert refreshed
    return calls


def outbox_troubles(service: Service) -> list[str]:
    """Return the reasons of a 503 from /ready that name the outbox or the history."""
    ready = service.get("/ready")
    return [] if ready.status == 200 else [one for one in ready.json["reasons"] if re.search("outbox|history", one)]
