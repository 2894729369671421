"""Two API workers and a refresher behind one port."""

import http.client
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from signal import SIGTERM
from urllib.parse import urlsplit

import psutil
import pytest

from tests.end_to_end.workers import Workers
from tests.parts import redis_server
from tests.parts.exchanges import NAMES, Market
from tests.parts.limits import allowed
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.short_list import CALLS, COLD, EVENLY, HOT, INTERVALS, timestamp

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """Share one Redis among the tests that leave it running."""
    with redis_server.alone() as server:
        yield server


@pytest.fixture(scope="module")
def workers(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, symbols_file: Path, shared_market: Market
) -> Iterator[Workers]:
    """Run two workers and a refresher; at the end SIGTERM to the parent must stop them all."""
    running = Workers(tmp_path_factory.mktemp("workers"), redis, symbols_file, exchanges=shared_market.setting).ready()
    yield running
    assert len(list(running.left.iterdir())) == 2  # the folders of the shared metrics, and of the fork server's socket
    running.process.signal(SIGTERM)
    running.ended_well()


def steady(read: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    """Return the counts once they have been stable for 0.3 s; workers publish theirs every 0.1 s."""
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
        """Both workers accept connections, the refresher and the parent none, and all requests are answered."""
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
            wait_for(lambda: takers() >= api, allowed(10), "both to have taken a connection")
            assert takers() == api

    def test_log_lines_tell_which_process_wrote_them(self, workers: Workers) -> None:
        """Log lines have the process' id and role."""
        pids = {str(child.pid) for child in workers.children}
        listening = re.findall(r"listening .*\bpid=(\d+) .*role=api\b", workers.process.output)
        filled = re.findall(r"tier_filled .*\bpid=(\d+) .*role=refresher\b", workers.process.output)
        assert len(set(listening)) == 2
        assert len(set(filled)) == 1
        assert {*listening, *filled} == pids

    def test_one_refresher_does_the_work(self, workers: Workers) -> None:
        """The exchanges are called once per due job: with two active refreshers there would be twice as many calls."""

        def calls_are_those_of_one() -> bool:
            before, started = workers.metric(CALLS), time.monotonic()
            wait_for(lambda: workers.metric(CALLS) >= before + 20, what="20 calls")
            calls = workers.metric(CALLS) - before
            due = EVENLY * (time.monotonic() - started)
            # Per tier, one job due before may be late, and another may fall on the edge of the measurement.
            return 0.6 * due < calls <= due + 2 * len(INTERVALS)

        wait_for(calls_are_those_of_one, what="the calls of one refresher")  # a busy machine is late at times

    def test_whoever_answers_knows_how_the_exchanges_do(self, workers: Workers) -> None:
        """Both workers know the exchanges' state from the refresher, which has no port."""

        def known() -> set[str]:
            return set(workers.get("/ready").json["exchanges"])

        wait_for(lambda: all(known() == set(NAMES) for _ in range(8)))

    def test_a_refresh_by_hand_goes_through_redis(self, workers: Workers, market: Market) -> None:
        """A refresh at any worker is done by the refresher, and from then on all workers serve the new price."""
        assert market
        series = 'price_refresh_total{tier="cold",trigger_type="manual"}'
        before = workers.metric(series)
        for _ in range(6):
            was = timestamp(workers, COLD[0])
            answer = workers.post(f"/refresh/{COLD[0]}")
            assert answer.status == 200
            assert answer.json["sources"] >= 2  # on a busy machine, an exchange may be late
            assert answer.json["timestamp"] > was
            assert all(timestamp(workers, COLD[0]) >= answer.json["timestamp"] for _ in range(4))
        # A refresh that finds the scheduled one under way shares it, and is counted as that one.
        wait_for(lambda: before < workers.metric(series) <= before + 6, what="the refresher to have done them")

    def test_an_exchange_s_refusal_comes_back_through_redis(self, workers: Workers, market: Market) -> None:
        """A failed refresh is 502 with each exchange's reason, as with a single process."""
        for exchange in market.exchanges.values():
            exchange.faults(rate_limit=0)

        def refused() -> dict[str, str]:
            """Return the reasons by exchange; none while the refresh shares a fetch that began before."""
            answer = workers.post(f"/refresh/{COLD[1]}")
            left_out = answer.json["left_out"] if answer.status == 502 else []
            return {one["exchange"]: one["reason"] for one in left_out}

        wait_for(lambda: refused() == dict.fromkeys(NAMES, "rate_limited"), what="three refusals")

    def test_requests_are_counted_once_whoever_answers(self, workers: Workers) -> None:
        """A hundred requests are counted as a hundred whichever worker answers, and every scrape agrees."""
        answered = 'price_api_requests_total{endpoint="/prices",status="200"}'
        asked = f'price_asset_access_total{{asset="{HOT[1]}",tier="hot"}}'
        before = steady(lambda: (workers.metric(answered), workers.metric(asked)))
        for _ in range(100):
            assert workers.get(f"/prices/{HOT[1]}").status == 200
        counts = (before[0] + 100, before[1] + 100)
        wait_for(lambda: (workers.metric(answered), workers.metric(asked)) == counts, allowed(2), "a hundred")
        for _ in range(10):
            assert (workers.metric(answered), workers.metric(asked)) == counts

    def test_the_refresher_s_metrics_are_among_them(self, workers: Workers, market: Market) -> None:
        """The refresher's metrics appear on the workers' port and keep growing."""
        assert market
        series = 'price_refresh_total{tier="hot",trigger_type="auto"}'
        before = workers.metric(series)
        wait_for(lambda: workers.metric(series) >= before + 2 * len(HOT))
        assert workers.metric('price_jobs_total{how="taken",tier="hot"}') > 0
        assert workers.metric('price_refresh_interval_seconds{tier="hot"}') == 0.5

    def test_process_metrics_are_those_of_all(self, workers: Workers) -> None:
        """Memory, CPU time and open files are those of parent and children together."""
        parent = psutil.Process(workers.process.child.pid)
        together = [parent, *parent.children(recursive=True)]
        assert set(workers.children) < set(together)

        def used() -> tuple[float, float, float]:
            memory = sum(process.memory_info().rss for process in together)
            seconds = sum(process.cpu_times().user + process.cpu_times().system for process in together)
            return memory, seconds, sum(process.num_fds() for process in together)

        def shown() -> list[float]:
            names = ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds")
            return [workers.metric(name) for name in names]

        wait_for(lambda: shown() == pytest.approx(used(), rel=0.1), what="the sum of all processes")

    def test_gauges_make_sense_together(self, workers: Workers) -> None:
        """On every worker, processes are summed, a tier's age is that worker's, and the feed is connected."""
        for _ in range(6):
            assert workers.metric('price_processes{role="api"}') == 2
            assert workers.metric('price_processes{role="refresher"}') == 1
            assert workers.metric('price_feed_connected{store="redis"}') == 1
            assert workers.metric('price_tier_assets{tier="hot"}') == len(HOT)
            assert workers.metric('price_tier_unpriced_assets{tier="hot"}') == 0
            assert 0 <= workers.metric('price_tier_age_seconds{tier="hot"}') < 60
        assert 'price_build_info{python="' in workers.get("/metrics").text

    def test_reads_by_any_worker_are_counted_with_their_age(self, workers: Workers) -> None:
        """Reads are counted with their age and where they were found, summed over all processes."""
        name = 'price_age_at_read_seconds_count{tier="hot"}'
        near = 'price_reads_total{found_in="near"}'
        before = steady(lambda: (workers.metric(name), workers.metric(near)))
        for _ in range(20):
            assert workers.get(f"/prices/{HOT[0]}").status == 200
        counts = (before[0] + 20, before[1] + 20)
        wait_for(lambda: (workers.metric(name), workers.metric(near)) == counts, allowed(2), "twenty reads")
