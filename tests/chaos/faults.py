"""The faults of a chaos run, and their order: three tracks run side by side, each in an order drawn from the seed.

At any time, at most one exchange, one store and one process of the service have a fault.
"""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

import msgspec
import psutil
import redis

from tests.chaos.deployments import Deployment
from tests.chaos.members import Member

Active = Callable[[Deployment, float], AbstractContextManager[None]]

LIES: dict[str, dict[str, object]] = {
    "three times the price": {"price_factor": 3},
    "price 0": {"price": "0"},
    "hanging": {"hang_rate": 1},
    "errors": {"error_rate": 1},
    "clock frozen": {"freeze_clock": True},
    "clock ahead": {"clock_ahead": 3600},
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: its name, its part, and a context manager that keeps it active; a random number sets details."""

    track: str
    name: str
    part: str
    active: Active


class Step(msgspec.Struct, frozen=True):
    """One planned fault: seconds of rest before it, its duration in seconds, and its kind."""

    rest: float
    seconds: float
    kind: int  # index among the kinds of the track
    detail: float


@dataclass(frozen=True, slots=True)
class Pace:
    """Ranges for the duration of a fault and for the rest between two faults of a track, in seconds."""

    lasts: tuple[float, float] = (1.0, 5.0)
    rests: tuple[float, float] = (0.3, 3.0)
    up: tuple[float, float] = (4.0, 9.0)  # instead of `rests` for the service's processes, so that clients find them up

    def between(self, track: str) -> tuple[float, float]:
        """Return the range of rests of a track."""
        return self.up if track == "processes" else self.rests


def plan(choice: random.Random, kinds: int, lasts: tuple[float, float], rests: tuple[float, float]) -> Iterator[Step]:
    """Yield the faults of one track without end: every kind once in random order, then again in another order."""
    while True:
        for kind in choice.sample(range(kinds), kinds):
            yield Step(choice.uniform(*rests), choice.uniform(*lasts), kind, choice.random())


def kinds_for(deployment: Deployment) -> dict[str, list[Kind]]:
    """Return the kinds of faults that apply to a deployment, by track."""
    kinds = [
        *(
            Kind("exchanges", name, exchange, _lying(exchange, faults))
            for name, faults in LIES.items()
            for exchange in deployment.market.exchanges
        ),
        *(
            Kind("exchanges", "killed and restarted", exchange, _exchange_killed(exchange))
            for exchange in deployment.market.exchanges
        ),
        *(
            Kind("exchanges", "three times the price, alone", exchange, _lying_alone(exchange))
            for exchange in deployment.market.exchanges
        ),
        Kind("stores", "gone", "redis", _redis_killed),
        Kind("stores", "paused", "redis", _redis_paused),
        Kind("stores", "flushed", "redis", _redis_flushed),
        *(
            Kind("stores", "locked", str(path.relative_to(deployment.folder)), _locked(path))
            for path in deployment.files
        ),
    ]
    if deployment.dynamodb is not None:
        kinds += [
            Kind("stores", "gone", "dynamodb", _dynamodb_killed),
            Kind("stores", "paused", "dynamodb", _dynamodb_paused),
        ]
    for member in deployment.members:
        kinds += [
            Kind("processes", "killed", member.name, _killed(member)),
            Kind("processes", "restarted", member.name, _restarted(member)),
            *(Kind("processes", "stopped", name, _stopped(member, nth)) for nth, name in enumerate(member.names)),
        ]
        if member.workers > 1:
            kinds.append(Kind("processes", "killed", f"{member.name}: a child", _child_killed(member)))
    return {track: [kind for kind in kinds if kind.track == track] for track in ("exchanges", "stores", "processes")}


class FaultInjector:
    """Runs all tracks, each in its own thread."""

    def __init__(self, deployment: Deployment, seed: int, seconds: float, pace: Pace) -> None:
        self._deployment = deployment
        self._seconds = seconds
        self._errors: list[BaseException] = []
        self._until = 0.0
        self._threads = []
        for track, kinds in kinds_for(deployment).items():
            steps = plan(random.Random(f"{seed} {track}"), len(kinds), pace.lasts, pace.between(track))
            self._threads.append(threading.Thread(target=self._run, args=(kinds, steps)))

    def run(self) -> None:
        """Inject faults for the whole duration; raise the first error of a fault."""
        self._until = time.monotonic() + self._seconds
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _run(self, kinds: Sequence[Kind], steps: Iterator[Step]) -> None:
        """Run the steps one after the other; the last one is cut short at the deadline."""
        try:
            while not self._errors and (left := self._until - time.monotonic()) > 0:
                step = next(steps)
                time.sleep(min(step.rest, left))
                kind, seconds = kinds[step.kind], min(step.seconds, self._until - time.monotonic())
                if seconds <= 0:
                    return
                with self._deployment.record.fault(kind.name, kind.part), kind.active(self._deployment, step.detail):
                    time.sleep(seconds)
        except BaseException as error:  # noqa: BLE001  # raised again in the thread that waits
            self._errors.append(error)


def _lying(exchange: str, faults: dict[str, object]) -> Active:
    @contextmanager
    def active(deployment: Deployment, _: float) -> Iterator[None]:
        deployment.market.exchanges[exchange].faults(**faults)
        yield
        deployment.market.exchanges[exchange].faults()

    return active


def _lying_alone(exchange: str) -> Active:
    """Make one exchange lie while the others answer 429, which opens no breaker, so nothing outlasts the fault."""

    @contextmanager
    def active(deployment: Deployment, _: float) -> Iterator[None]:
        for name, one in deployment.market.exchanges.items():
            one.faults(**({"price_factor": 3} if name == exchange else {"rate_limit": 0}))
        yield
        deployment.market.sound()

    return active


def _exchange_killed(exchange: str) -> Active:
    @contextmanager
    def active(deployment: Deployment, _: float) -> Iterator[None]:
        deployment.market.exchanges[exchange].process.stop(SIGKILL)
        yield
        deployment.restart_exchange(exchange)

    return active


@contextmanager
def _redis_killed(deployment: Deployment, _: float) -> Iterator[None]:
    deployment.redis.process.stop(SIGKILL)
    yield
    deployment.restart_redis()


@contextmanager
def _redis_paused(deployment: Deployment, _: float) -> Iterator[None]:
    deployment.redis.process.signal(SIGSTOP)
    yield
    deployment.redis.process.signal(SIGCONT)


@contextmanager
def _redis_flushed(deployment: Deployment, _: float) -> Iterator[None]:
    with redis.Redis.from_url(deployment.redis.url) as client:
        client.flushall()
    yield


@contextmanager
def _dynamodb_killed(deployment: Deployment, _: float) -> Iterator[None]:
    assert deployment.dynamodb is not None
    deployment.dynamodb.kill()
    yield
    deployment.dynamodb.start()


@contextmanager
def _dynamodb_paused(deployment: Deployment, _: float) -> Iterator[None]:
    assert deployment.dynamodb is not None
    deployment.dynamodb.process.signal(SIGSTOP)
    yield
    deployment.dynamodb.process.signal(SIGCONT)


def _locked(path: Path) -> Active:
    """Lock the SQLite file against all writers, as a backup or an open shell does."""

    @contextmanager
    def active(_: Deployment, detail: float) -> Iterator[None]:
        with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as file:
            file.execute("BEGIN EXCLUSIVE" if detail < 0.5 else "BEGIN IMMEDIATE")
            yield
            file.execute("ROLLBACK")

    return active


def _killed(member: Member) -> Active:
    @contextmanager
    def active(_: Deployment, __: float) -> Iterator[None]:
        member.end(SIGKILL)
        yield
        member.start()

    return active


def _restarted(member: Member) -> Active:
    @contextmanager
    def active(_: Deployment, __: float) -> Iterator[None]:
        member.end(SIGTERM)
        member.start()
        yield

    return active


def _child_killed(member: Member) -> Active:
    @contextmanager
    def active(_: Deployment, detail: float) -> Iterator[None]:
        member.kill_child(detail)
        yield
        member.start()

    return active


def _stopped(member: Member, nth: int) -> Active:
    @contextmanager
    def active(_: Deployment, __: float) -> Iterator[None]:
        process = member.signal(SIGSTOP, nth)
        yield
        if process is not None:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(SIGCONT)

    return active
