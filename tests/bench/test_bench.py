"""The benches still run: every part that needs no minutes, once and briefly. The figures are not judged here.

They are `long`: the suite runs those of test_trades.py and test_archive.py.
"""

import json
import shutil
from pathlib import Path

import pytest

from tests.bench import bars, page, push, reads, stream
from tests.bench.report import Figure, median_ratio, save, table
from tests.bench.scene import scene
from tests.parts import browser, redis_server
from tests.parts.dynamodb import DynamoServer


@pytest.mark.long
@pytest.mark.real
def test_reads_are_measured(dynamodb_running: DynamoServer) -> None:
    """The read bench runs all contenders and reports each figure."""
    if shutil.which("wrk") is None or redis_server.binary() is None:
        pytest.skip("no wrk, or no redis-server; see the header")
    figures = {one.of.strip(): one for one in reads.run(rounds=1, seconds=1, dynamodb=dynamodb_running)}
    assert figures["answers that were none"].value == 0
    assert all(one.value > 0 for name, one in figures.items() if name != "answers that were none")


@pytest.mark.long
@pytest.mark.real
def test_the_page_is_measured() -> None:
    """The page bench opens, scrolls and keeps the page open, and reports each figure."""
    if browser.binary() is None or redis_server.binary() is None:
        pytest.skip("no Chromium, or no redis-server; see the header")
    figures = {one.of.strip(): one for one in page.run(minutes=0.02, opened=1, scrolled=0.5)}
    assert figures["first price on screen, median"].value > 0
    # A 503 is not the page's error: on a loaded machine the exchanges may be slower than the timeout of the service.
    complaints = figures["complaints of the browser"]
    assert complaints.value == complaints.unit.count("status of 503"), complaints.unit
    assert figures["longest frame"].value > 0


@pytest.mark.long
@pytest.mark.real
def test_streams_are_measured(dynamodb_running: DynamoServer) -> None:
    """The stream bench delivers prices to all clients and reports each figure."""
    if redis_server.binary() is None:
        pytest.skip("no redis-server; see the header")
    figures = {one.of.strip(): one for one in stream.run(readers=20, stopped=2, seconds=5, dynamodb=dynamodb_running)}
    assert figures["prices that did not reach one of them"].value == 0
    assert figures["prices to each of 20 readers"].value > 0
    assert figures["p99"].value > 0


@pytest.mark.long
@pytest.mark.real
def test_pushed_prices_are_measured(tmp_path: Path, dynamodb_running: DynamoServer) -> None:
    """The bench of pushed prices finds a delay for frames of a small load."""
    with scene(dynamodb_running) as parts:
        measured = push.Measured(push.Load(parts, 5, 3, 100), tmp_path / "seen", 4)
    assert measured.frames > 0
    assert measured.prices > 0
    assert measured.delays
    assert measured.percentile(0.5) > 0


@pytest.mark.long
@pytest.mark.real
def test_bars_are_measured(dynamodb_running: DynamoServer) -> None:
    """The bench of bars asks both histories and reports each figure."""
    figures = bars.run(bars=20, requests=3, dynamodb=dynamodb_running)
    assert len(figures) == 10
    assert all(one.value > 0 for one in figures)


@pytest.mark.parametrize(
    ("bound", "value", "verdict"),
    [("", 1, ""), (">= 0.80", 0.8, "held"), (">= 0.80", 0.79, "MISSED"), ("<= 5", 5, "held"), ("<= 5", 5.1, "MISSED")],
)
def test_a_bound_is_held_or_missed(bound: str, value: float, verdict: str) -> None:
    """A bound is met or missed according to its operator."""
    assert Figure("x", value, bound=bound).verdict == verdict


def test_the_ratio_is_that_of_each_round() -> None:
    """The ratio is taken within each round, so a round that is slow as a whole does not count."""
    assert median_ratio([8, 4, 80], [10, 5, 100]) == 0.8


def test_figures_are_kept_by_name(tmp_path: Path) -> None:
    """Figures are saved by name; a second run of one bench replaces its own figures only."""
    path = tmp_path / "bench.json"
    save(path, "one", [Figure("x", 1, "s", ">= 2")])
    save(path, "two", [Figure("y", 2)])
    save(path, "one", [Figure("x", 3, "s", ">= 2")])
    held = json.loads(path.read_text())
    assert [(name, bench["figures"][0]["value"]) for name, bench in held.items()] == [("one", 3), ("two", 2)]
    assert held["one"]["figures"][0]["verdict"] == "held"
    assert "MISSED" in table("one", [Figure("x", 1, "s", ">= 2")])
