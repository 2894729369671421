"""Three processors on one topic lose nothing and make nothing twice, whatever fails: they, the broker or the store.

`CHAOS=full` sends 10,000 trades a second through long faults; CHAOS_RATE and CHAOS_KILLS are other numbers, for a
machine that is too slow for them. The suite has one short fault at 500 trades a second;
end_to_end/test_processors.py has short kills and takeovers, trades/event_log/ poison.
"""

import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGUSR1, SIGUSR2

import pytest

from tests.chaos import kafka_testbed
from tests.chaos.kafka_testbed import PARTITIONS, PROCESSORS, SESSION_SECONDS, TOPIC, KafkaTestbed
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer

pytestmark = pytest.mark.real

FULL = os.environ.get("CHAOS") == "full"
RATE = int(os.environ.get("CHAOS_RATE") or (10_000 if FULL else 500))
SPEED = 10 if FULL else 50  # event time passes so much faster, so that windows end within the run
KILLS = int(os.environ.get("CHAOS_KILLS") or (20 if FULL else 3))
PAUSES = 3
RESTARTS, DOWN_SECONDS = (3, 10.0) if FULL else (1, 2.0)
ROUNDS, ROUND_SECONDS = 12, 5.0
AWAY_SECONDS = 30.0 if FULL else 3.0
POISON, POISON_SECONDS = 0.01, 60.0 if FULL else 2.0

Report = Callable[[str], None]
Run = Callable[..., AbstractContextManager[KafkaTestbed]]


@pytest.fixture
def run(tmp_path: Path, redis_alone: RedisServer) -> Run:
    """Return the function that starts the processors and the load."""
    return partial(kafka_testbed.running, tmp_path, redis_alone, RATE, SPEED)


@pytest.mark.long
def test_kill_9(run: Run, report: Report) -> None:
    """Processors are killed again and again and start anew, with and without an owner of their partitions meanwhile."""
    moments = random.Random(11)
    with run() as testbed:
        for life in range(KILLS):
            time.sleep(moments.uniform(1, 7) if FULL else moments.uniform(0.2, 1))
            number = life % PROCESSORS
            testbed.services[number].process.stop(SIGKILL)
            testbed.services[number] = testbed.start(number)
        testbed.finish()
        report(f"kill -9 of processors, {KILLS} times: {testbed.figures()}")


@pytest.mark.long
def test_a_zombie_wakes_up(run: Run, report: Report) -> None:
    """A processor that is suspended for longer than a session does no harm when it goes on."""
    with run() as testbed:
        for number in range(PAUSES):
            asleep = testbed.services[number % PROCESSORS]
            others = [one for one in testbed.services if one is not asleep]
            asleep.process.signal(SIGSTOP)
            time.sleep(SESSION_SECONDS)
            wait_for(lambda: sum(testbed.owned(others)) == PARTITIONS, what="the others to take the partitions")  # noqa: B023
            asleep.process.signal(SIGCONT)
            testbed.recovered()
        testbed.finish()
        report(f"SIGSTOP past the session, {PAUSES} times: {testbed.figures()}")


def test_the_broker_restarts(run: Run, report: Report) -> None:
    """The broker is away; producers and processors go on by themselves."""
    with run() as testbed:
        for _ in range(RESTARTS):
            time.sleep(1)
            testbed.broker.signal(SIGUSR1)
            time.sleep(DOWN_SECONDS)
            testbed.broker.signal(SIGUSR2)
            testbed.recovered()
        testbed.finish()
        report(f"broker away for {DOWN_SECONDS:g} s, {RESTARTS} times: {testbed.figures()}")


@pytest.mark.long
def test_a_rebalance_storm(run: Run, report: Report) -> None:
    """A processor comes and goes again and again."""
    with run() as testbed:
        for number in range(ROUNDS):
            began = time.monotonic()
            passing = testbed.start(PROCESSORS + number)
            time.sleep(max(0.0, began + ROUND_SECONDS / 2 - time.monotonic()))
            assert passing.process.stop() == 0, passing.process.output
            time.sleep(max(0.0, began + ROUND_SECONDS - time.monotonic()))
        testbed.finish()
        report(f"a processor came and went {ROUNDS} times: {testbed.figures()}")


@pytest.mark.long
def test_the_store_is_away(run: Run, report: Report) -> None:
    """Another program holds the lock of the SQLite file; the trades wait in the topic."""
    with run() as testbed:
        time.sleep(1)
        other = sqlite3.connect(testbed.folder / "trades.db", isolation_level=None, timeout=60)
        other.execute("BEGIN IMMEDIATE")
        time.sleep(AWAY_SECONDS)
        other.execute("ROLLBACK")
        other.close()
        testbed.finish()
        report(f"store locked for {AWAY_SECONDS:g} s: {testbed.figures()}")


@pytest.mark.long
def test_poison_records(run: Run, report: Report) -> None:
    """Each record that is no trade becomes one dead letter with its place, and the partition goes on."""
    with run(poison=POISON) as testbed:
        time.sleep(POISON_SECONDS)
        testbed.finish()
        poisoned = Counter(f"kafka:{TOPIC}/{partition}/{offset}" for partition, offset in testbed.load.poisoned)
        assert len(poisoned) >= POISON * testbed.load.sent
        assert Counter(testbed.letters()) == poisoned
        report(f"{POISON:.0%} poison, {len(poisoned)} dead letters: {testbed.figures()}")
