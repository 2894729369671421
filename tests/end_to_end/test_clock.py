"""Steps of the wall clock by an hour and back, for the service alone and for the exchanges too.

The suite runs the hardest: back for the service alone, whose history then looks fresh. The other three are `long`;
tests/cluster/jobs/test_clock_changes.py and tests/test_clock.py have steps of the clock without processes.
"""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from itertools import chain
from pathlib import Path

import pytest

from aggregator.models import Tier
from aggregator.stores.sqlite import SqliteHistory
from tests.parts import exchanges, faketime
from tests.parts.examples import price
from tests.parts.exchanges import Market
from tests.parts.faketime import FakeTime
from tests.parts.limits import allowed
from tests.parts.process import START_SECONDS, wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service
from tests.parts.short_list import HOT, SIZES, write_symbols

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(faketime.library() is None, reason="libfaketime is not installed; see the header"),
]

HOUR = 3600
INTERVAL = 4.0  # interval of a hot asset, in seconds
STALE_AFTER = 1.5 * INTERVAL
SEEDED = Decimal(1)  # the price in all history of an hour ago


class Watcher:
    """Reads hot prices all the time; keeps each answer with the true time of its request."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.told: list[tuple[float, dict[str, object]]] = []
        self.failed: list[str] = []

    @contextmanager
    def watching(self) -> Iterator["Watcher"]:
        """Read while the block runs."""
        self._thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.25):
            asked = time.time()
            answers = [self._service.get(f"/prices/{HOT[0]}"), self._service.get(f"/prices?assets={','.join(HOT)}")]
            self.failed += [f"{one.status} {one.text}" for one in answers if one.status not in (200, 503)]
            good = [one.json for one in answers if one.status == 200]
            bodies = chain.from_iterable(one.get("prices", [one]) for one in good)
            self.told += [(asked, body) for body in bodies]


def seed(file: Path) -> None:
    """Write prices of an hour ago into history, for a clock that is set back to that hour."""
    before = time.time() - HOUR
    prices = [price(asset, before + second, str(SEEDED), Tier.HOT) for asset in HOT for second in range(-60, 120)]

    async def write() -> None:
        history = SqliteHistory(file)
        await history.open()
        await history.write(prices)
        await history.close()

    asyncio.run(write())


def is_fresh(service: Service, since: float, ahead: float) -> bool:
    """Return whether every hot price is fresh and newer than `since`, on a clock that is `ahead` of the true one."""
    prices = service.get(f"/prices?assets={','.join(HOT)}").json["prices"]
    young = [one for one in prices if not one["stale"] and since < float(one["timestamp"]) - ahead < time.time() + 1]
    return len(young) == len(HOT)


def clock_reasons(service: Service) -> list[str]:
    """Return the reasons of /ready that name the clock."""
    return [reason for reason in service.get("/ready").json["reasons"] if reason.startswith("clock: ")]


def check(watcher: Watcher, step: int, *, everyone: bool) -> None:
    """Check that no fresh price is older than the limit; times from the stepped hour are corrected first."""
    assert watcher.failed == []
    assert len(watcher.told) > 20
    for asked, body in watcher.told:
        at = float(str(body["timestamp"]))
        if everyone and abs(at - step - asked) < HOUR / 2:
            at -= step
        if not body["stale"]:
            assert asked - at <= STALE_AFTER, body
            assert body["price"] != SEEDED, body
        assert str(body["time_ago"]).endswith(" ago"), body
        assert not str(body["time_ago"]).startswith("-"), body


@pytest.fixture
def redis_url() -> Iterator[str]:
    """Run a private Redis, whose clock is never stepped."""
    redis = RedisServer()
    yield redis.url
    redis.stop()


@pytest.fixture(scope="module")
def shared_clock(tmp_path_factory: pytest.TempPathFactory) -> FakeTime:
    """Return the wall clock of all processes here, which are forks of one that has the clock."""
    return FakeTime(tmp_path_factory.mktemp("clock"))


@pytest.fixture
def clock(shared_clock: FakeTime) -> FakeTime:
    """Return a wall clock without a step."""
    shared_clock.step(0)
    return shared_clock


@contextmanager
def running(folder: Path, clock: FakeTime, market: Market | None, **settings: object) -> Iterator[Service]:
    """Run the service on this clock, with history of an hour ago; without a market, exchanges use it too."""
    seed(folder / "prices.db")
    with ExitStack() as stack:
        with clock.inherited():
            service = Service(
                folder,
                exchanges=(market or stack.enter_context(exchanges.market())).setting,
                symbols_file=write_symbols(folder),
                hot_interval=INTERVAL,
                medium_interval=2 * INTERVAL,
                cold_interval=4 * INTERVAL,
                **SIZES,
                **settings,
            ).filled()
        wait_for(lambda: service.get("/ready").json["reasons"] == [], 2 * START_SECONDS)
        yield service
        assert service.process.stop() == 0, service.process.output


def step_and_put_right(service: Service, clock: FakeTime, step: int, *, everyone: bool) -> None:
    """Step the clock and back: /ready names it, no stale price is served as fresh, prices recover in an interval."""
    with Watcher(service).watching() as watcher:
        clock.step(step)
        stepped = time.time()
        wait_for(lambda: clock_reasons(service) != [], what="a reason that names the clock")
        wait_for(lambda: is_fresh(service, stepped, step if everyone else 0), what="fresh prices by the exchanges")
        wait_for(lambda: time.time() > stepped + STALE_AFTER + 1)
        assert f"{step:+d} s" in clock_reasons(service)[0]
        clock.step(0)
        righted = time.time()
        wait_for(lambda: is_fresh(service, righted, 0), allowed(INTERVAL + 1), "fresh prices once the clock is right")
        wait_for(lambda: service.get("/ready").json["reasons"] == [], what="a clock that is well")
        service.process.wait_for_line("(?s)clock_stepped.*clock_well")
    check(watcher, step, everyone=everyone)


@pytest.mark.long
def test_the_clock_of_the_service_is_set_ahead(tmp_path: Path, clock: FakeTime, market: Market) -> None:
    """The service's clock alone is an hour ahead: exchange timestamps and Redis tell the true time."""
    with running(tmp_path, clock, market) as service:
        step_and_put_right(service, clock, HOUR, everyone=False)


def test_the_clock_of_the_service_is_set_back(tmp_path: Path, clock: FakeTime, market: Market, redis_url: str) -> None:
    """The service's clock alone is set back to an hour that has history, whose prices would look fresh."""
    with running(tmp_path, clock, market, cache_url=redis_url) as service:
        step_and_put_right(service, clock, -HOUR, everyone=False)


@pytest.mark.long
def test_all_clocks_are_set_ahead(tmp_path: Path, clock: FakeTime, redis_url: str) -> None:
    """All clocks are an hour ahead and then right again: stored prices of the hour ahead do not hide newer ones."""
    with running(tmp_path, clock, None, cache_url=redis_url) as service:
        step_and_put_right(service, clock, HOUR, everyone=True)


@pytest.mark.long
def test_all_clocks_are_set_back(tmp_path: Path, clock: FakeTime) -> None:
    """All clocks are set back: stored prices are in the future then, and do not hide newer ones."""
    with running(tmp_path, clock, None) as service:
        step_and_put_right(service, clock, -HOUR, everyone=True)
