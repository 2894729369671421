"""The metrics' names and labels, which existing dashboards query."""

import asyncio
import platform
import shutil
import subprocess
import threading
from importlib.metadata import version
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from aggregator.observability.metrics import BREAKER_STATES, Metrics

# As the dashboards of the replaced system query them: name -> labels.
EXPECTED = {
    "price_api_requests_total": {"endpoint", "status"},
    "price_api_request_duration_seconds": {"endpoint"},
    "price_cache_hits_total": set(),
    "price_cache_misses_total": set(),
    "price_exchange_requests_total": {"exchange"},
    "price_exchange_errors_total": {"exchange", "error_type"},
    "price_exchange_request_duration_seconds": {"exchange"},
    "price_circuit_breaker_state": {"exchange"},
    "price_refresh_total": {"tier", "trigger_type"},
    "price_refresh_errors_total": {"tier"},
    "price_asset_access_total": {"asset", "tier"},
    "price_system_cpu_usage_percent": set(),
    "price_system_memory_usage_percent": set(),
    "price_system_disk_usage_percent": {"path"},
    "price_dynamodb_read_latency_seconds": set(),
    "price_dynamodb_write_latency_seconds": set(),
    "price_dynamodb_read_units_total": set(),
    "price_dynamodb_write_units_total": set(),
    "price_dynamodb_errors_total": set(),
}


@pytest.fixture
def metrics() -> Metrics:
    """Return metrics with one series of each."""
    metrics = Metrics(CollectorRegistry())
    for name, metric in vars(metrics).items():
        labels = getattr(metric, "_labelnames", ())
        if labels and name != "registry":
            metric.labels(*("x" for _ in labels))
    return metrics


@pytest.mark.parametrize("name", EXPECTED)
def test_the_names_and_labels_of_dashboards(metrics: Metrics, name: str) -> None:
    """Each exists, with exactly these labels."""
    found = [
        sample
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name in (name, f"{name}_count")
    ]
    assert found, name
    assert set(found[0].labels) == EXPECTED[name]


@pytest.mark.parametrize(
    "name", ["price_outbox_refused_total", "price_refresh_errors_total", "price_history_lost_total"]
)
def test_losses_begin_at_zero(name: str) -> None:
    """The series of an alert exists before the first loss; otherwise the alert would not see it."""
    registry = Metrics(CollectorRegistry()).registry
    samples = [one for family in registry.collect() for one in family.samples if one.name == name]
    assert [one.value for one in samples] == [0.0] * (1 if name == "price_history_lost_total" else 3)


def test_the_build_is_a_metric() -> None:
    """The package's version and Python's, as labels of a 1."""
    registry = Metrics(CollectorRegistry()).registry
    labels = {"version": version("rt-price-aggregator"), "python": platform.python_version()}
    assert registry.get_sample_value("price_build_info", labels) == 1


def test_the_disks_with_files_of_the_service(tmp_path: Path) -> None:
    """Each disk is measured once: in a container, the volume of the outbox is another one than the current folder's."""
    metrics, shared = Metrics(CollectorRegistry()), Path("/dev")  # a file system of its own
    metrics.watch_disks([Path(), shared, shared, tmp_path / "missing"])
    metrics.watch_disks([shared])
    samples = [
        (one.labels["path"], 0 <= one.value <= 100)
        for family in metrics.registry.collect()
        for one in family.samples
        if one.name == "price_system_disk_usage_percent"
    ]
    assert samples == [(".", True), (str(shared), True)]


def test_two_services_in_one_process_do_not_share_numbers() -> None:
    """All metrics are on the registry that is passed in; there is no global one."""
    one, other = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    one.cache_hits.inc()
    assert other.registry.get_sample_value("price_cache_hits_total") == 0


def test_the_states_of_a_breaker() -> None:
    """The numbers that the dashboards show."""
    assert BREAKER_STATES == {"closed": 0, "open": 1, "half-open": 2}


PROMTOOL = shutil.which("promtool") or ""


@pytest.mark.skipif(not PROMTOOL, reason="Prometheus is not installed; see the header")
def test_promtool_accepts_the_metrics(metrics: Metrics) -> None:
    """`promtool check metrics` on the text of /metrics."""
    text = asyncio.run(metrics.scrape())
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, check=False, timeout=300)
    complaints = [line for line in checked.stderr.decode().splitlines() if "price_" in line]
    assert complaints == []
    assert checked.returncode in (0, 3)


async def test_a_scrape_is_written_beside_the_event_loop(metrics: Metrics) -> None:
    """Another thread writes the text, with what was buffered in the loop, which goes on meanwhile."""
    writers: list[int] = []
    buffered = iter((1, 2))

    class Watched(Collector):
        def collect(self) -> list[Metric]:
            writers.append(threading.get_ident())
            return []

    metrics.registry.register(Watched())
    writers.clear()  # a new collector is asked once for its names
    metrics.before_text(lambda: metrics.cache_hits.inc(next(buffered)))
    first, second = await asyncio.gather(metrics.scrape(), metrics.scrape())
    assert b"price_cache_hits_total 1.0" in first
    assert b"price_cache_hits_total 3.0" in second
    assert len(writers) == 2
    assert threading.get_ident() not in writers
