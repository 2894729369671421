"""The Prometheus and Grafana configuration of deploy/, parsed for tests, and a Prometheus that runs on it."""

import json
import re
import shutil
import urllib.parse
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency here
from prometheus_client import CollectorRegistry

from aggregator.observability.metrics import Metrics
from tests.parts.ports import free_port
from tests.parts.process import ROOT, Process
from tests.parts.service import call

DEPLOY = ROOT / "deploy"
CONFIG = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
BOARDS: dict[str, dict[str, Any]] = {
    file.name: json.loads(file.read_text()) for file in sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
}
RULES: dict[str, dict[str, Any]] = {
    name: yaml.safe_load((DEPLOY / name).read_text()) for name in ("recording.yml", "alerts.yml")
}
ALERTS: list[dict[str, Any]] = [rule for group in RULES["alerts.yml"]["groups"] for rule in group["rules"]]
RECORDS: list[dict[str, Any]] = [rule for group in RULES["recording.yml"]["groups"] for rule in group["rules"]]
_GROUPS: dict[str, set[str]] = {
    group["name"]: {rule["alert"] for rule in group["rules"]} for group in RULES["alerts.yml"]["groups"]
}
TRADE_ALERTS, SIGNAL_ALERTS = _GROUPS["trades"], _GROUPS["signals"]
OURS = ("price", "trades", "anomalies", "strategy", "news", "analytics", "alerts", "outlet")
"""The first words of the names of our metrics."""

PROMTOOL = shutil.which("promtool") or ""
PROMETHEUS = shutil.which("prometheus") or ""
needs_promtool = pytest.mark.skipif(not PROMTOOL, reason="no promtool here: Prometheus is not installed")
needs_prometheus = pytest.mark.skipif(not PROMETHEUS, reason="no prometheus here")

WINDOW = "5s"  # for rates, where a test cannot wait for minutes

_NO_METRICS = {"and", "or", "unless", "bool", "offset"}
_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
_OF_PROMETHEUS = {"up", "ALERTS"}


class Pace(NamedTuple):
    """Prometheus' times: between two scrapes, before an alert fires, and the range of rates."""

    every: str
    window: str


_USUAL, _HURRIED = Pace("1s", WINDOW), Pace("500ms", "2500ms")


class Target(NamedTuple):
    """One query of a dashboard panel."""

    board: str
    panel: str
    query: str
    legend: str

    @property
    def filled_in(self) -> str:
        """The query as Grafana sends it with every variable set to All."""
        return filled_in(self.query)


def panels(board: str) -> list[dict[str, Any]]:
    """Return a dashboard's panels without its rows."""
    return [panel for panel in BOARDS[board]["panels"] if panel["type"] != "row"]


TARGETS = [
    Target(board, panel["title"], target["expr"], target["legendFormat"])
    for board in BOARDS
    for panel in panels(board)
    for target in panel.get("targets", [])
    if "expr" in target  # of Prometheus
]


def filled_in(query: str, window: str = WINDOW) -> str:
    """Replace Grafana's variables by a match-all value, and the rate interval by `window`."""
    values = {"__rate_interval": window, "instance": ".*", "exchange": ".*", "asset": ".*"}
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], query)


def metric_names(query: str) -> set[str]:
    """Return the metrics that a PromQL query reads.

    They are the names left after strings, selectors, ranges and groupings are removed.
    """
    for noise in (r'"[^"]*"', r"\{[^}]*\}", r"\[[^\]]*\]", r"\b(by|without|on|ignoring|group_left)\s*\([^)]*\)"):
        query = re.sub(noise, " ", query)
    names = set(re.findall(r"(?<![\w.])[a-zA-Z_:][\w:]*\b(?!\s*\()", query))
    return names - _NO_METRICS - {"Inf"}


def known_metrics() -> set[str]:
    """Return all metric names that the service exports, Prometheus adds, or a recording rule creates."""
    families = Metrics(CollectorRegistry()).registry.collect()
    exported = {family.name + suffix for family in families for suffix in _SUFFIXES[family.type]}
    return exported | _OF_PROMETHEUS | {rule["record"] for rule in RECORDS}


class RunningPrometheus:
    """Prometheus on deploy/'s configuration, with this service as target and with times short enough for a test.

    It scrapes and evaluates every second; rule ranges are 5 s, an alert fires after 1 s, and the outbox' age limit of
    300 s becomes 3 s. With `hurried`, for metrics that a test sets, all but the last are half of that.
    """

    def __init__(self, folder: Path, service: str, *, hurried: bool = False) -> None:
        pace = _HURRIED if hurried else _USUAL
        self._port = free_port()
        where = {"aggregator": service.removeprefix("http://"), "prometheus": f"127.0.0.1:{self._port}"}
        config = json.loads(json.dumps(CONFIG))
        config["global"] = {"scrape_interval": pace.every, "evaluation_interval": pace.every}
        for job in config["scrape_configs"]:
            job.pop("dns_sd_configs", None)
            job |= {"scrape_interval": pace.every, "static_configs": [{"targets": [where[job["job_name"]]]}]}
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        for name, rules in RULES.items():
            (folder / name).write_text(yaml.safe_dump(_shortened(rules, pace)))
        self.process = Process(
            [
                PROMETHEUS,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{self._port}",
            ]
        )
        self.process.wait_for_line("ready to receive web requests")

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Return the series of a query's result, without those that are NaN."""
        answer = self._get("query", query=query)
        return [series for series in answer["result"] if series["value"][1] != "NaN"]

    def values_of(self, label: str, metric: str) -> list[str]:
        """Return what Grafana offers for `label_values(metric, label)`."""
        return list(self._get(f"label/{label}/values", **{"match[]": metric}))

    def active(self) -> set[str]:
        """Return the names of the alerts that fire or are pending now."""
        return {one["metric"]["alertname"] for one in self.ask("ALERTS")}

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        return {one["metric"]["alertname"] for one in self.ask('ALERTS{alertstate="firing"}')}

    def _get(self, what: str, **query: str) -> Any:
        answer = call("GET", f"http://127.0.0.1:{self._port}/api/v1/{what}?{urllib.parse.urlencode(query)}")
        assert answer.status == 200, f"{query}: {answer.text}"
        return answer.json["data"]


def _shortened(rules: dict[str, Any], pace: Pace) -> dict[str, Any]:
    shortened: dict[str, Any] = json.loads(json.dumps(rules))
    for rule in (rule for group in shortened["groups"] for rule in group["rules"]):
        rule["expr"] = re.sub(r"\[\d+m\]", f"[{pace.window}]", rule["expr"]).replace("> 300", "> 3")
        if "for" in rule:
            rule["for"] = pace.every
    return shortened
