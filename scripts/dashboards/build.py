"""Which dashboards there are."""

from scripts.dashboards import exchange, overview, runbook
from scripts.dashboards.panels import Json


def boards() -> dict[str, Json]:
    """Return each by the name of its file."""
    return {"overview.json": overview.board(), "exchange.json": exchange.board(), "runbook.json": runbook.board()}
