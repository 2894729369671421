"""Traces of real processes, sent to a collector over OTLP/HTTP, and what happens without a collector or the extra."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.collector import Collector, Sent, collecting
from tests.parts import redis_server
from tests.parts.dynamodb import DynamoServer
from tests.parts.exchanges import Market
from tests.parts.ports import free_port
from tests.parts.process import wait_for
from tests.parts.service import Service, refusal
from tests.parts.short_list import COLD, HOT, INTERVALS, SIZES

pytestmark = pytest.mark.real

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
SERVER, CLIENT = 2, 3  # span kinds of OTLP


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """Run a collector to which every process of the test exports often."""
    with collecting() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.url)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield running


def of(collector: Collector, trace: str, name: str) -> list[Sent]:
    """Return the spans of one trace."""
    return [span for span in collector.named(name) if span.trace == trace]


def pages(collector: Collector) -> list[Sent]:
    """Return the spans of the requests for history that were answered with 200."""
    found = of(collector, TRACE, "GET /prices")
    return [span for span in found if span.attributes["http.response.status_code"] == 200]


def start(folder: Path, symbols_file: Path, market: Market, **settings: object) -> Service:
    """Start a process with tracing on."""
    settings = {
        "symbols_file": symbols_file,
        "exchanges": market.setting,
        "refresh_cooldown": 0,
        **SIZES,
        **INTERVALS,
    } | settings
    return Service(folder, traces="otlp", **settings)


def test_a_request_is_followed_through_two_processes(
    tmp_path: Path,
    symbols_file: Path,
    market: Market,
    collector: Collector,
    dynamodb_running: DynamoServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A trace goes from the caller to the API, through Redis to the refresher, its three calls and both stores."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-token=secret")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
    with redis_server.alone() as redis:
        shared = {"cache_url": redis.url, "history_url": dynamodb_running.url(f"traces-{time.time_ns()}")}
        patience = {"grace": 10, "exchange_timeout": 20}  # a busy machine must not leave a call out
        refresher = start(tmp_path, symbols_file, market, role="refresher", **shared, **patience).filled()
        api = start(tmp_path, symbols_file, market, role="api", **shared).started()
        assert api.post(f"/refresh/{COLD[0]}", CALLER).status == 200
        # On a busy machine, DynamoDB Local may be slower than the second that the service gives it.
        wait_for(lambda: api.get(f"/prices/{HOT[0]}/history", CALLER).status == 200, what="a page of history")
        wait_for(lambda: len(of(collector, TRACE, "exchange call")) == 3)
        wait_for(lambda: bool(pages(collector)))
        wait_for(lambda: bool(of(collector, TRACE, "cache write")))
        wait_for(lambda: bool(collector.named("dynamodb write")))
        assert api.process.stop() == 0
        assert refresher.process.stop() == 0
        for process in (api, refresher):
            assert "Traceback" not in process.process.output
            assert "secret" not in process.process.output
    (request,) = of(collector, TRACE, "POST /refresh")
    (asked,) = of(collector, TRACE, "refresh asked for")
    (refresh,) = of(collector, TRACE, "refresh")
    assert (request.parent, request.kind, request.attributes["http.response.status_code"]) == (
        "00f067aa0ba902b7",
        SERVER,
        200,
    )
    assert (asked.parent, refresh.parent) == (request.id, asked.id)
    calls = of(collector, TRACE, "exchange call")
    assert {call.attributes["aggregator.exchange"] for call in calls} == set(market.exchanges)
    assert {(call.parent, call.kind, call.failed) for call in calls} == {(refresh.id, CLIENT, False)}
    for name in ("history write", "cache write"):
        assert [span.parent for span in of(collector, TRACE, name)] == [refresh.id]
    (page,) = pages(collector)
    (read,) = [span for span in of(collector, TRACE, "history read") if span.parent == page.id]
    assert [span.parent for span in of(collector, TRACE, "dynamodb read")].count(read.id) == 1
    assert {span.service["aggregator.role"] for span in collector.spans} == {"api", "refresher"}
    assert {span.service["service.name"] for span in collector.spans} == {"aggregator"}
    assert {span.service["deployment.environment.name"] for span in collector.spans} == {"test"}
    assert {headers["x-token"] for headers in collector.headers} == {"secret"}


def test_the_quick_way_is_traced_too(tmp_path: Path, symbols_file: Path, market: Market, collector: Collector) -> None:
    """The fast path is traced too: a cached price and a 304 are spans with their status."""
    service = start(tmp_path, symbols_file, market).filled()
    answer = service.get(f"/prices/{HOT[0]}", CALLER)
    assert service.get(f"/prices/{HOT[0]}", CALLER | {"If-None-Match": answer.headers["etag"]}).status in (200, 304)
    wait_for(lambda: len(of(collector, TRACE, "GET /prices")) == 2)
    assert of(collector, TRACE, "GET /prices")[0].attributes == {
        "http.request.method": "GET",
        "url.path": f"/prices/{HOT[0]}",
        "http.response.status_code": 200,
    }
    assert service.process.stop() == 0, service.process.output


def test_an_exchange_that_fails_is_seen(
    tmp_path: Path, symbols_file: Path, market: Market, collector: Collector
) -> None:
    """The calls to a failing exchange are failed spans, those to the others are not."""
    service = start(tmp_path, symbols_file, market).filled()
    market.exchanges["exchange2"].faults(error_rate=1)

    def failed() -> set[object]:
        return {span.attributes["aggregator.exchange"] for span in collector.named("exchange call") if span.failed}

    wait_for(lambda: failed() == {"exchange2"})
    assert service.process.stop() == 0, service.process.output


def test_a_collector_away(tmp_path: Path, symbols_file: Path, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unreachable collector is one log line, and affects neither requests nor shutdown."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    service = start(tmp_path, symbols_file, market).filled()
    service.process.wait_for_line("traces_not_sent")
    assert service.get(f"/prices/{HOT[0]}").status == 200
    assert service.process.stop() == 0, service.process.output
    assert service.process.output.count("traces_not_sent") == 1
    assert "opentelemetry" not in service.process.output


def test_a_collector_that_comes_back(tmp_path: Path, symbols_file: Path, market: Market, collector: Collector) -> None:
    """A collector that comes back is logged once, as was its absence."""
    collector.refusing = True
    service = start(tmp_path, symbols_file, market).filled()
    service.process.wait_for_line("traces_not_sent")
    wait_for(lambda: collector.refused >= 3)
    collector.refusing = False
    service.process.wait_for_line("traces_sent_again")
    wait_for(lambda: bool(collector.spans))
    assert service.process.stop() == 0, service.process.output
    assert service.process.output.count("traces_not_sent") == 1


@pytest.fixture
def without_opentelemetry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the opentelemetry package from child processes, behind an empty package of that name."""
    hiding = tmp_path / "hiding" / "opentelemetry"
    hiding.mkdir(parents=True)
    (hiding / "__init__.py").write_text("raise ImportError('nobody asked for traces')\n")
    monkeypatch.setenv("PYTHONPATH", str(hiding.parent))


@pytest.mark.usefixtures("without_opentelemetry")
def test_without_the_extra_nothing_is_missed(tmp_path: Path, symbols_file: Path, market: Market) -> None:
    """Without tracing, the service does not import the extra."""
    service = Service(tmp_path, symbols_file=symbols_file, exchanges=market.setting, **SIZES, **INTERVALS).filled()
    assert service.get(f"/prices/{HOT[0]}", CALLER).status == 200
    assert service.process.stop() == 0, service.process.output


@pytest.mark.usefixtures("without_opentelemetry")
def test_traces_without_the_extra(tmp_path: Path) -> None:
    """Tracing without the extra is one line that says what to install, exit code 2."""
    service = Service(tmp_path, traces="otlp")  # a new interpreter, which finds the empty package
    assert service.process.ended() == 2
    assert service.process.output == (
        "aggregator: AGGREGATOR_TRACES=otlp: OpenTelemetry is not installed;"
        " in a clone: .venv/bin/pip install -e '.[otel]'; of a wheel: pip install 'FILE.whl[otel]'\n"
    )


def test_variables_that_make_no_sense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid OTEL variable is one line that names it, exit code 1."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "0")
    assert refusal(tmp_path, traces="otlp") == (
        "aggregator: cannot send traces: max_queue_size must be a positive integer.; check the OTEL_ variables"
    )
