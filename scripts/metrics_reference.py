#!/usr/bin/env python3
"""Write docs/metrics.md from the metrics of the program and from deploy/alerts.yml. Run it with .venv/bin/python."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # no stubs among the dependencies
from prometheus_client import CollectorRegistry

from aggregator.observability.metrics import Metrics

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs" / "metrics.md"

_HEAD = """# Metrics and alerts

`scripts/metrics_reference.py` makes this file from `aggregator/observability/metrics/` and `deploy/alerts.yml`. A test
checks it.

`GET /metrics` has the metrics in Prometheus' text format. A metric without a value so far may be missing. With
`--workers`, they count all processes of the port together. A histogram has the series `_bucket`,
`_sum` and `_count`. [Observe](operations.md#observe) tells how to look at them. The dashboards of `deploy/` show them.

## Metrics

| metric | type | |
| --- | --- | --- |
"""
_ALERTS = """
## Alerts

`deploy/alerts.yml` has their conditions. The link leads to the cause and to what can be done.

| alert | severity | after | condition |
| --- | --- | --- | --- |
"""


def reference() -> str:
    """Return the text of docs/metrics.md."""
    return _HEAD + "".join(_metrics()) + _ALERTS + "".join(_alerts())


def _metrics() -> Iterator[str]:
    registry = CollectorRegistry()
    Metrics(registry)
    for family in sorted(registry.collect(), key=lambda one: one.name):
        name = family.name + ("_total" if family.type == "counter" else "")
        yield f"| `{name}` | {family.type} | {_cell(family.documentation)} |\n"


def _alerts() -> Iterator[str]:
    groups: list[dict[str, Any]] = yaml.safe_load((ROOT / "deploy/alerts.yml").read_text(encoding="utf-8"))["groups"]
    for alert in (rule for group in groups for rule in group["rules"]):
        name = alert["alert"]
        condition = _cell(alert["expr"])
        yield (
            f"| [{name}](runbook.md#{name.lower()}) | {alert['labels']['severity']} | {alert.get('for', '0s')} "
            f"| `{condition}` |\n"
        )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    FILE.write_text(reference(), encoding="utf-8")
