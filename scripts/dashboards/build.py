"""The list of dashboards."""

from scripts.dashboards import exchange, overview, prices, runbook, signals, sql, trades
from scripts.dashboards.panels import Json


def boards() -> dict[str, Json]:
    """Return each dashboard by its file name."""
    return {
        "overview.json": overview.board(),
        "prices.json": prices.board(),
        "exchange.json": exchange.board(),
        "trades.json": trades.board(),
        "signals.json": signals.board(),
        "sql.json": sql.board(),
        "runbook.json": runbook.board(),
    }
