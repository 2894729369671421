"""Several processes on one port: what they do together, and how they begin and end."""

import ast
import http.client
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tests.parts import redis_server
from tests.parts.exchanges import NAMES, Market
from tests.parts.few import CALLS, COLD, EVENLY, HOT, INTERVALS, SIZES, timestamp
from tests.parts.ports import free_port
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service, refusal

pytestmark = pytest.mark.real

STOP_SECONDS = 5.0


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """Share one among the tests in which it stays."""
    with redis_server.alone() as server:
        yield server


class Workers(Service):
    """A parent with two workers and a refresher, and the folder in which they may leave something behind."""

    def __init__(self, folder: Path, redis: RedisServer, few: Path, *command: str, **settings: object) -> None:
        self.left = folder / "tmp"
        self.left.mkdir()
        settings = {"workers": 2, "cache_url": redis.url, "symbols_file": few, **SIZES, **INTERVALS, **settings}
        settings["refresh_cooldown"] = 0
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TMPDIR", str(self.left))
            super().__init__(folder, *command, **settings)
        self.children: list[psutil.Process] = []

    def born(self) -> "Workers":
        """Wait until all of them are there, though of no use yet."""
        pids = self.process.wait_for_line(r"workers .*pids=(\[[\d, ]+\])")[1]
        self.children = [psutil.Process(pid) for pid in ast.literal_eval(pids)]
        return self

    def ready(self) -> "Workers":
        """Wait until all of them are up: both workers listen, and every tier is filled."""
        self.born()
        self.process.wait_for_line(r"(?s)listening.*listening")
        self.filled()
        return self

    def gone(self) -> bool:
        """Tell whether no child is left, but for what nobody has reaped."""
        return all(not child.is_running() or child.status() == psutil.STATUS_ZOMBIE for child in self.children)

    def ended_well(self, processes: int = 4) -> None:
        """Check that it ends in good time with exit 0, having said so of all `processes`, and leaves nothing behind."""
        assert self.process.ended(STOP_SECONDS) == 0, self.process.output
        assert self.process.output.count(" stopped") == processes, self.process.output
        assert "Traceback" not in self.process.output
        assert self.gone()
        assert list(self.left.iterdir()) == []


@pytest.fixture(scope="module")
def workers(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, few: Path, shared_market: Market
) -> Iterator[Workers]:
    """Run two workers and a refresher; SIGTERM to their parent ends them well."""
    running = Workers(tmp_path_factory.mktemp("workers"), redis, few, exchanges=shared_market.setting).ready()
    yield running
    assert len(list(running.left.iterdir())) == 1  # where they count together
    running.process.signal(SIGTERM)
    running.ended_well()


def steady(read: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    """Return what is read once it has stayed the same for three of the tenths of a second in which workers hand on."""
    seen, since = read(), time.monotonic()

    def is_steady() -> bool:
        nonlocal seen, since
        now = read()
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > 0.3

    wait_for(is_steady, what="the counts to be handed on")
    return seen


class TestWorkers:
    """Two workers and a refresher behind one port."""

    def test_both_answer_on_one_port(self, workers: Workers) -> None:
        """Of many connections, each worker takes some and the refresher and the parent none; all are answered."""
        port = urlsplit(workers.url).port
        with ExitStack() as stack:

            def takers() -> set[int]:
                connection = http.client.HTTPConnection("127.0.0.1", port or 0, timeout=5)
                stack.callback(connection.close)
                connection.request("GET", "/health")
                assert connection.getresponse().read() == b"OK"
                processes = [psutil.Process(workers.process.child.pid), *workers.children]
                return {
                    process.pid
                    for process in processes
                    for one in process.net_connections("tcp")
                    if one.status == psutil.CONN_ESTABLISHED and one.laddr[1] == port
                }

            api = {child.pid for child in workers.children[:2]}
            wait_for(lambda: takers() >= api, 10, "both to have taken a connection")
            assert takers() == api

    def test_log_lines_tell_which_process_wrote_them(self, workers: Workers) -> None:
        """Its id, and what it does."""
        pids = {str(child.pid) for child in workers.children}
        listening = re.findall(r"listening .*\bpid=(\d+) .*role=api\b", workers.process.output)
        filled = re.findall(r"tier_filled .*\bpid=(\d+) .*role=refresher\b", workers.process.output)
        assert len(set(listening)) == 2
        assert len(set(filled)) == 1
        assert {*listening, *filled} == pids

    def test_one_refresher_does_the_work(self, workers: Workers) -> None:
        """The exchanges are called once per job that is due: two refreshers at work would need half the time."""
        before, started = workers.metric(CALLS), time.monotonic()
        wait_for(lambda: workers.metric(CALLS) >= before + 20, what="20 calls")
        calls = workers.metric(CALLS) - before
        due = EVENLY * (time.monotonic() - started)
        # Of each tier, a job due before may be late, and another one falls on the edge.
        assert 0.6 * due < calls <= due + 2 * len(INTERVALS)

    def test_whoever_answers_knows_how_the_exchanges_do(self, workers: Workers) -> None:
        """The refresher, which has no port, has told both."""

        def known() -> set[str]:
            return set(workers.get("/ready").json["exchanges"])

        wait_for(lambda: all(known() == set(NAMES) for _ in range(8)))

    def test_a_refresh_by_hand_goes_through_redis(self, workers: Workers, market: Market) -> None:
        """Whichever worker is asked, the refresher does it, and all show the new price from then on."""
        assert market
        series = 'price_refresh_total{tier="cold",trigger_type="manual"}'
        before = workers.metric(series)
        for number in range(1, 7):
            was = timestamp(workers, COLD[0])
            answer = workers.post(f"/refresh/{COLD[0]}")
            assert answer.status == 200
            assert answer.json["sources"] == 3
            assert answer.json["timestamp"] > was
            assert all(timestamp(workers, COLD[0]) >= answer.json["timestamp"] for _ in range(4))
            assert workers.metric(series) == before + number

    def test_an_exchange_s_refusal_comes_back_through_redis(self, workers: Workers, market: Market) -> None:
        """502 with each exchange's reason, as from a single process."""
        for exchange in market.exchanges.values():
            exchange.faults(rate_limit=0)
        answer = workers.post(f"/refresh/{COLD[1]}")
        assert answer.status == 502
        assert {(one["exchange"], one["reason"]) for one in answer.json["left_out"]} == {
            (name, "rate_limited") for name in NAMES
        }

    def test_requests_are_counted_once_whoever_answers(self, workers: Workers) -> None:
        """A hundred over a hundred connections are a hundred more, and every scrape says the same."""
        answered = 'price_api_requests_total{endpoint="/prices",status="200"}'
        asked = f'price_asset_access_total{{asset="{HOT[1]}",tier="hot"}}'
        before = steady(lambda: (workers.metric(answered), workers.metric(asked)))
        for _ in range(100):
            assert workers.get(f"/prices/{HOT[1]}").status == 200
        wait_for(lambda: workers.metric(answered) - before[0] == 100, 2)
        for _ in range(10):
            assert (workers.metric(answered) - before[0], workers.metric(asked) - before[1]) == (100, 100)

    def test_the_refresher_s_metrics_are_among_them(self, workers: Workers, market: Market) -> None:
        """It has no port of its own: what it counts is seen on theirs, and goes on."""
        assert market
        series = 'price_refresh_total{tier="hot",trigger_type="auto"}'
        before = workers.metric(series)
        wait_for(lambda: workers.metric(series) >= before + 2 * len(HOT))
        assert workers.metric('price_jobs_total{how="taken",tier="hot"}') > 0
        assert workers.metric('price_refresh_interval_seconds{tier="hot"}') == 0.5

    def test_process_metrics_are_those_of_all(self, workers: Workers) -> None:
        """Memory, processor time and files, parent and children together."""
        parent = psutil.Process(workers.process.child.pid)
        together = [parent, *parent.children(recursive=True)]
        assert set(workers.children) < set(together)
        memory = sum(process.memory_info().rss for process in together)
        assert workers.metric("process_resident_memory_bytes") == pytest.approx(memory, rel=0.05)
        seconds = sum(process.cpu_times().user + process.cpu_times().system for process in together)
        assert workers.metric("process_cpu_seconds_total") == pytest.approx(seconds, rel=0.1)
        files = sum(process.num_fds() for process in together)
        assert workers.metric("process_open_fds") == pytest.approx(files, rel=0.1)

    def test_gauges_make_sense_together(self, workers: Workers) -> None:
        """Whoever answers: processes are added up, a tier's age is what the one asked knows, the feed that of all."""
        for _ in range(6):
            assert workers.metric('price_processes{role="api"}') == 2
            assert workers.metric('price_processes{role="refresher"}') == 1
            assert workers.metric('price_feed_connected{store="redis"}') == 1
            assert workers.metric('price_tier_assets{tier="hot"}') == len(HOT)
            assert workers.metric('price_tier_unpriced_assets{tier="hot"}') == 0
            assert 0 <= workers.metric('price_tier_age_seconds{tier="hot"}') < 60
        assert 'price_build_info{python="' in workers.get("/metrics").text

    def test_reads_by_any_worker_are_counted_with_their_age(self, workers: Workers) -> None:
        """Each read has an age and a place it was found in; all processes' are added up."""
        name = 'price_age_at_read_seconds_count{tier="hot"}'
        near = 'price_reads_total{found_in="near"}'
        before = steady(lambda: (workers.metric(name), workers.metric(near)))
        for _ in range(20):
            assert workers.get(f"/prices/{HOT[0]}").status == 200
        wait_for(lambda: workers.metric(name) - before[0] == 20, 2)
        assert workers.metric(near) - before[1] == 20


def test_a_read_that_finds_nothing_asks_the_refresher(
    tmp_path: Path, redis_apart: RedisServer, few: Path, market: Market
) -> None:
    """Through Redis, and says who did not give a price; with nobody to ask, 503 in bounded time."""
    for exchange in market.exchanges.values():
        exchange.faults(rate_limit=0)
    rare = dict.fromkeys(INTERVALS, 600)
    workers = Workers(tmp_path, redis_apart, few, exchanges=market.setting, **rare).ready()
    assert workers.get(f"/prices/{COLD[0]}").status == 503
    # The first fill tries again after pauses of 1, 2 and 4 s: in the last of them nobody comes before us.
    workers.process.wait_for_line(r"(?s)(tier_filled.*?tier=cold.*?){3}")
    market.sound()
    # The exchanges have said Retry-After: 1, and nobody asks them until that is over.
    wait_for(lambda: workers.get(f"/prices/{COLD[1]}").status == 200, 3)
    assert workers.get(f"/prices/{COLD[1]}").json["sources"] == 3
    assert workers.metric('price_refresh_total{tier="cold",trigger_type="force"}') == 1
    workers.process.signal(SIGINT)
    workers.ended_well()


@pytest.fixture
def redis_apart() -> Iterator[RedisServer]:
    """Run an empty Redis that a test may end, or whose service is not that of the others."""
    with redis_server.alone() as server:
        yield server


def test_a_whole_group_told_to_stop_ends_well(
    tmp_path: Path, redis_apart: RedisServer, few: Path, market: Market
) -> None:
    """As a supervisor does it: every process gets SIGTERM, and the children another one from their parent."""
    workers = Workers(tmp_path, redis_apart, few, exchanges=market.setting).ready()
    workers.process.signal_group(SIGTERM)
    workers.ended_well()


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_told_to_stop_while_they_start(
    tmp_path: Path, redis_apart: RedisServer, few: Path, market: Market, number: Signals
) -> None:
    """Ctrl-C or its like before the children are up: exit 0, and nobody shows a traceback."""
    workers = Workers(tmp_path, redis_apart, few, exchanges=market.setting).born()
    workers.process.signal_group(number)
    workers.ended_well(1)


@pytest.mark.parametrize(("number", "name"), [(0, "api-1"), (2, "refresher-3")])
def test_one_killed_ends_all(
    tmp_path: Path, redis_apart: RedisServer, few: Path, market: Market, number: int, name: str
) -> None:
    """Non-zero, the last line saying which one it was and how it ended; nothing is left behind."""
    workers = Workers(tmp_path, redis_apart, few, exchanges=market.setting).ready()
    workers.children[number].send_signal(SIGKILL)
    assert workers.process.ended(STOP_SECONDS) == 1
    assert workers.process.output.splitlines()[-1] == f"aggregator: {name} has ended by itself, killed by SIGKILL"
    assert workers.gone()
    assert list(workers.left.iterdir()) == []


def test_no_child_outlives_its_parent(tmp_path: Path, redis_apart: RedisServer, few: Path, market: Market) -> None:
    """Killed, the parent can tell nobody: the children see it and stop by themselves, in order."""
    workers = Workers(tmp_path, redis_apart, few, exchanges=market.setting).ready()
    workers.process.signal(SIGKILL)
    wait_for(workers.gone, STOP_SECONDS, "the children to end")
    assert workers.process.ended(STOP_SECONDS) == -SIGKILL
    assert workers.process.output.count(" stopped") == 3
    assert "Traceback" not in workers.process.output


def test_the_demo_with_workers(tmp_path: Path, redis_apart: RedisServer) -> None:
    """It serves prices of its own exchanges, and Ctrl-C at the terminal ends it well."""
    options = ("--mock-port", "0", "--workers", "2", "--cache-url", redis_apart.url)
    demo = Workers(tmp_path, redis_apart, Path("symbols.csv"), "demo", *options, hot_size=20, medium_size=180).ready()
    assert demo.get("/prices/btcusdt").json["sources"] == 3
    assert demo.post("/refresh/btcusdt").status == 200
    demo.process.signal_group(SIGINT)
    demo.ended_well()


class TestWrongStart:
    """What cannot work is said in one line, however many processes would have said it."""

    def test_redis_away(self, tmp_path: Path) -> None:
        """With the setting to mend."""
        line = refusal(tmp_path, workers=2, cache_url=f"redis://127.0.0.1:{free_port()}/0")
        assert re.search(r"Redis.*AGGREGATOR_CACHE_URL", line)

    def test_a_port_in_use(self, tmp_path: Path, redis: RedisServer) -> None:
        """Which one, and how to choose another."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert re.search(rf":{port}.*in use.*--port", refusal(tmp_path, workers=2, cache_url=redis.url, port=port))

    def test_a_history_file_that_cannot_be(self, tmp_path: Path, redis: RedisServer) -> None:
        """With the setting to mend."""
        url = f"sqlite:///{tmp_path}/nowhere/prices.db"
        assert "AGGREGATOR_HISTORY_URL" in refusal(tmp_path, workers=2, cache_url=redis.url, history_url=url)

    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            ({"workers": 2}, r"workers=2 means several processes, and cache_url=memory://"),
            ({"role": "api"}, r"role=api means several processes, and cache_url=memory://"),
            ({"role": "refresher"}, r"role=refresher means several processes, and cache_url=memory://"),
            (
                {"role": "refresher", "workers": 2, "cache_url": "redis://127.0.0.1:6379/0"},
                r"workers answer requests, which role=refresher does not",
            ),
        ],
    )
    def test_settings_that_do_not_go_together(self, tmp_path: Path, settings: dict[str, Any], reason: str) -> None:
        """Exit code 2 and the reason."""
        assert re.search(reason, refusal(tmp_path, 2, **settings))
