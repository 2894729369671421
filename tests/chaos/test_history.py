"""History loses nothing: what Redis published is in the table, through outages, kills, throttling and full disks.

`CHAOS=full` takes a minute or so for each; without it each scenario runs in a few seconds.
"""

import os
import random
import re
import time
from collections.abc import Callable
from signal import SIGKILL

import pytest

from tests.chaos.parts import (
    NO_BACKLOG,
    Scene,
    Span,
    files_again,
    no_more_files,
    seconds_until_drained,
    steady,
    under_load,
)
from tests.parts.dynamodb_proxy import DynamoProxy
from tests.parts.process import wait_for
from tests.parts.service import Service

pytestmark = pytest.mark.real

FULL = os.environ.get("CHAOS") == "full"
SECONDS = 60 if FULL else 6
KILLS = 20 if FULL else 4
SURE = 0.1  # seconds before a kill, after which a published price must not be lost
DRAINED = 300 if FULL else 60  # seconds an outbox may take on a busy machine; a deadline, not a promise
RECOVERED = 10  # seconds

Say = Callable[[str], None]


def test_an_outage_of_dynamodb(scene: Scene, say: Say) -> None:
    """Killed under full refresh and started again: what was published meanwhile is in the table, each price once."""
    service = scene.service().filled()
    level = steady(service)
    before = len(scene.subscriber)
    scene.dynamodb.kill()
    most = under_load(service, SECONDS)
    meanwhile = len(scene.subscriber) - before
    scene.dynamodb.start()
    recovered = seconds_until_drained(service, level, DRAINED)
    tally = scene.settled(service, DRAINED)
    say(
        f"outage of {SECONDS} s: {tally}; {meanwhile} published meanwhile, at most {most:.0f} rows,"
        f" back at {level:.0f} after {recovered:.1f} s"
    )
    assert meanwhile > NO_BACKLOG  # it was an outage under load
    assert tally.sound, tally.lost[:5] + tally.wrong[:5]
    assert tally.unpublished == 0
    assert service.process.stop() == 0, service.process.output


def test_kill_9_at_random_moments(scene: Scene, proxy: DynamoProxy, say: Say) -> None:
    """What was published more than 100 ms before each kill is in the table in the end.

    Every other life DynamoDB takes nothing, so that the kill finds an outbox that is full and the next start drains it.
    """
    moments = random.Random(3)
    doubts: list[Span] = []
    rows = []
    for life in range(KILLS):
        proxy.faults(throttle_rate=life % 2)
        service = scene.service(proxy).started()
        rows.append(under_load(service, moments.uniform(0.5, 3)))
        now = time.time()
        service.process.stop(SIGKILL)
        doubts.append((now - SURE, now))
    proxy.faults()
    service = scene.service(proxy).started()
    tally = scene.settled(service, DRAINED, doubts)
    say(f"kill -9, {KILLS} times: {tally}; at most {max(rows):.0f} rows")
    assert tally.published > KILLS * NO_BACKLOG  # it was under load
    assert tally.sound, tally.lost[:5] + tally.wrong[:5]
    assert service.process.stop() == 0, service.process.output


def test_throttling(scene: Scene, proxy: DynamoProxy, say: Say) -> None:
    """With 30 % of the batches throttled and 10 % half-processed nothing is lost, and the backlog goes within 10 s."""
    service = scene.service(proxy).filled()
    level = steady(service)
    before = proxy.done("items")
    proxy.faults(throttle_rate=0.3, half_rate=0.1)
    most = under_load(service, SECONDS)
    rate = (proxy.done("items") - before) / SECONDS
    proxy.faults()
    recovered = seconds_until_drained(service, level, DRAINED)
    tally = scene.settled(service, DRAINED)
    say(
        f"throttling for {SECONDS} s: {tally};"
        f" {proxy.done('throttled')} batches throttled, {proxy.done('halved')} halved,"
        f" {rate:.0f} items/s meanwhile, at most {most:.0f} rows, back at {level:.0f} after {recovered:.1f} s"
    )
    assert proxy.done("throttled") > 0
    assert proxy.done("halved") > 0
    assert tally.sound, tally.lost[:5] + tally.wrong[:5]
    assert tally.unpublished == 0
    assert recovered <= RECOVERED
    assert service.process.stop() == 0, service.process.output


def test_an_outbox_that_cannot_be_written(scene: Scene, say: Say) -> None:
    """/ready and one line of the log say so, prices are refreshed and answered, and it heals by itself."""
    service = scene.service().filled()
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
    tally = scene.settled(service, DRAINED, [(failed - SURE, healed)])
    say(
        f"no writing for {SECONDS / 2:g} s: {tally}; {served} calls answered meanwhile,"
        f" ready after {recovered:.1f} s; /ready said {trouble!r}"
    )
    assert len(complaints) == 1, complaints
    assert re.search("outbox|history", complaints[0])
    assert tally.sound, tally.lost[:5] + tally.wrong[:5]
    assert service.process.stop() == 0, service.process.output


def serves_for(service: Service, seconds: float) -> int:
    """Read and refresh for so long, while /ready names the outbox; every call must be answered with 200."""
    deadline = time.monotonic() + seconds
    calls = 0
    while time.monotonic() < deadline:
        assert service.get("/prices/btcusdt").status == 200
        assert service.post("/refresh/ethusdt").status == 200
        assert outbox_troubles(service)
        calls += 2
    return calls


def outbox_troubles(service: Service) -> list[str]:
    """Return the reasons of a 503 from /ready that name the outbox or the history."""
    ready = service.get("/ready")
    return [] if ready.status == 200 else [one for one in ready.json["reasons"] if re.search("outbox|history", one)]
