"""Several processes on one port: how they start, refuse to start, and stop."""

import re
import socket
from pathlib import Path
from signal import SIGINT, SIGKILL, SIGTERM, Signals
from typing import Any

import pytest
from psutil import Process

from tests.end_to_end.workers import STOP_SECONDS, Workers
from tests.parts.exchanges import Market
from tests.parts.limits import allowed
from tests.parts.ports import free_port
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import refusal
from tests.parts.short_list import COLD, INTERVALS

pytestmark = pytest.mark.real


def test_a_read_that_finds_nothing_asks_the_refresher(
    tmp_path: Path, redis_alone: RedisServer, symbols_file: Path, market: Market
) -> None:
    """A read without a price makes the refresher fetch it; the read is 503 while the exchanges refuse.

    At the end, SIGTERM to the whole group: children get a second one from the parent, and all end well.
    """
    for exchange in market.exchanges.values():
        exchange.faults(rate_limit=0)
    rare = dict.fromkeys(INTERVALS, 600)
    workers = Workers(tmp_path, redis_alone, symbols_file, exchanges=market.setting, **rare).ready()
    assert workers.get(f"/prices/{COLD[0]}").status == 503
    # The warm-up retries after 1, 2 and 4 s; during the last pause only our request calls the exchanges.
    workers.process.wait_for_line(r"(?s)(tier_filled.*?tier=cold.*?){3}")
    market.sound()
    # The exchanges sent Retry-After: 1 and are not called before that is over.
    wait_for(lambda: workers.get(f"/prices/{COLD[1]}").status == 200, allowed(3))
    assert workers.get(f"/prices/{COLD[1]}").json["sources"] == 3
    assert workers.metric('price_refresh_total{tier="cold",trigger_type="force"}') == 1
    workers.process.signal_group(SIGTERM)
    workers.ended_well()


@pytest.mark.parametrize("number", [pytest.param(SIGTERM, marks=pytest.mark.long), SIGINT])
def test_told_to_stop_while_they_start(
    tmp_path: Path, redis_alone: RedisServer, symbols_file: Path, market: Market, number: Signals
) -> None:
    """SIGTERM or Ctrl-C before the children are up: each stops in order once it is ready to, exit 0."""
    workers = Workers(tmp_path, redis_alone, symbols_file, exchanges=market.setting).born()
    workers.process.signal_group(number)
    workers.ended_well()


def test_a_long_temporary_folder(tmp_path: Path, redis_alone: RedisServer, symbols_file: Path, market: Market) -> None:
    """Where no socket can be in the temporary folder, the children start all the same."""

    class WithLongFolder(Workers):
        prefix = "long" * 20

    workers = WithLongFolder(tmp_path, redis_alone, symbols_file, exchanges=market.setting).ready()
    workers.process.signal(SIGTERM)
    workers.ended_well()


@pytest.mark.parametrize(("number", "name"), [pytest.param(0, "api-1", marks=pytest.mark.long), (2, "refresher-3")])
def test_one_killed_ends_all(
    tmp_path: Path, redis_alone: RedisServer, symbols_file: Path, market: Market, number: int, name: str
) -> None:
    """A killed child ends the group, non-zero; the last line names the child and the signal."""
    workers = Workers(tmp_path, redis_alone, symbols_file, exchanges=market.setting).ready()
    workers.children[number].send_signal(SIGKILL)
    assert workers.process.ended(STOP_SECONDS) == 1
    assert workers.process.output.splitlines()[-1] == f"aggregator: {name} has ended by itself, killed by SIGKILL"
    assert workers.gone()
    assert list(workers.left.iterdir()) == []


def test_no_child_outlives_its_parent(
    tmp_path: Path, redis_alone: RedisServer, symbols_file: Path, market: Market
) -> None:
    """When the parent is killed, the children notice it and stop in order."""
    workers = Workers(tmp_path, redis_alone, symbols_file, exchanges=market.setting).ready()
    workers.process.signal(SIGKILL)
    wait_for(workers.gone, STOP_SECONDS, "the children to end")
    assert workers.process.ended(STOP_SECONDS) == -SIGKILL
    assert workers.process.output.count(" stopped") == 3
    assert "Traceback" not in workers.process.output


@pytest.mark.long
def test_the_fork_server_is_killed(
    tmp_path: Path, redis_alone: RedisServer, symbols_file: Path, market: Market
) -> None:
    """The parent cannot learn any more how its children end: all end, non-zero, and none stays behind."""
    workers = Workers(tmp_path, redis_alone, symbols_file, exchanges=market.setting).ready()
    Process(workers.children[0].ppid()).send_signal(SIGKILL)
    assert workers.process.ended(STOP_SECONDS) == 1
    wait_for(workers.gone, STOP_SECONDS, "the children to end")
    assert workers.process.output.count(" stopped") == 3
    assert "Traceback" not in workers.process.output


@pytest.mark.long
def test_the_demo_with_workers(tmp_path: Path, redis_alone: RedisServer) -> None:
    """The demo with workers serves prices of its own exchanges, and Ctrl-C ends it well."""
    options = ("--mock-port", "0", "--workers", "2", "--cache-url", redis_alone.url)
    demo = Workers(tmp_path, redis_alone, Path("symbols.csv"), "demo", *options, hot_size=20, medium_size=180).ready()
    wait_for(lambda: demo.get("/prices/btcusdt").json["sources"] == 3, what="three sources")
    assert demo.post("/refresh/btcusdt").status == 200
    demo.process.signal_group(SIGINT)
    demo.ended_well()


class TestWrongStart:
    """A start that cannot work prints one line, however many processes there are."""

    def test_redis_away(self, tmp_path: Path) -> None:
        """An unreachable Redis ends the start with a line that names the setting."""
        line = refusal(tmp_path, workers=2, cache_url=f"redis://127.0.0.1:{free_port()}/0")
        assert re.search(r"Redis.*AGGREGATOR_CACHE_URL", line)

    def test_a_port_in_use(self, tmp_path: Path, redis_running: RedisServer) -> None:
        """A port in use: the line has the port and the flag."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert re.search(
                rf":{port}.*in use.*--port", refusal(tmp_path, workers=2, cache_url=redis_running.url, port=port)
            )

    def test_a_history_file_that_cannot_be(self, tmp_path: Path, redis_running: RedisServer) -> None:
        """A history file in a missing folder: the line has the setting."""
        url = f"sqlite:///{tmp_path}/nowhere/prices.db"
        assert "AGGREGATOR_HISTORY_URL" in refusal(tmp_path, workers=2, cache_url=redis_running.url, history_url=url)

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
        """Contradicting settings: exit code 2 and the reason."""
        assert re.search(reason, refusal(tmp_path, 2, **settings))
