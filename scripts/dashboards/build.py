"""The list of dashboards."""

from scripts.dashboards import exchange, overview, runbook
from scripts.dashboards.panels import Json


def boards() -> dict[str, Json]:
    """Return each dashboard by its file name."""
    return {"overview.json": overview.board(), "exchange.json": exchange.board(), "runbook.json": runbook.board()}
