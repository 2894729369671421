"""The dashboard of the tables in PostgreSQL: queries in SQL, for the profile `sql` of docker-compose.yml."""

from collections.abc import Callable
from typing import NamedTuple

from scripts.dashboards.board import Row, dashboard
from scripts.dashboards.panels import Json

SOURCE: Json = {"type": "grafana-postgresql-datasource", "uid": "timescale"}  # as provisioned
_ASSETS = (
    "SELECT asset FROM trades WHERE timestamp > now() - interval '5 minutes'"
    " GROUP BY asset ORDER BY count(*) DESC LIMIT 50"
)
_TICKS = """
SELECT timestamp AS time, venue, price, volume, side, id FROM trades
WHERE asset = ${asset:sqlstring} AND $__timeFilter(timestamp)
ORDER BY timestamp DESC LIMIT 50
"""
_COUNTS = """
SELECT date_trunc('minute', timestamp) AS time, asset AS metric, count(*) AS trades FROM trades
WHERE $__timeFilter(timestamp) AND asset IN (
    SELECT asset FROM trades WHERE $__timeFilter(timestamp) GROUP BY asset ORDER BY count(*) DESC LIMIT 10
)
GROUP BY 1, 2 ORDER BY 1
"""
_LATENCY = """
SELECT date_trunc('minute', timestamp) AS time, avg(updated_at - unix_time) AS mean,
    percentile_cont(0.99) WITHIN GROUP (ORDER BY updated_at - unix_time) AS p99
FROM prices WHERE $__timeFilter(timestamp) GROUP BY 1 ORDER BY 1
"""
_CANDLES = """
SELECT date_trunc('minute', timestamp) AS time,
    (array_agg(price ORDER BY timestamp, venue, id))[1] AS open, max(price) AS high, min(price) AS low,
    (array_agg(price ORDER BY timestamp DESC, venue DESC, id DESC))[1] AS close, sum(volume) AS volume
FROM trades WHERE asset = ${asset:sqlstring} AND $__timeFilter(timestamp) GROUP BY 1 ORDER BY 1
"""


class SqlPanel(NamedTuple):
    """A panel of one query in SQL."""

    kind: str
    title: str
    about: str
    query: str
    unit: str
    width: int = 12
    height: int = 9

    def drawn(self, fill_in: Callable[[str], str]) -> Json:  # noqa: ARG002  # Drawn's signature
        """Return Grafana's JSON without the position."""
        form = "time_series" if self.kind == "timeseries" else "table"
        target = {"refId": "A", "datasource": SOURCE, "editorMode": "code", "rawQuery": True, "format": form}
        return {
            "type": self.kind,
            "title": self.title,
            "description": self.about,
            "datasource": SOURCE,
            "links": [],
            "targets": [{**target, "rawSql": self.query.strip()}],
            "fieldConfig": {"defaults": {"unit": self.unit, "noValue": "-"}, "overrides": []},
            "options": {},
        }


def board() -> Json:
    """Return the dashboard."""
    rows = [
        Row(
            "Trades",
            [
                SqlPanel("candlestick", "Candles", "Open, high, low and close of each minute.", _CANDLES, "none"),
                SqlPanel("table", "Recent trades", "The newest 50 trades of the asset.", _TICKS, "none"),
                SqlPanel("timeseries", "Trades a minute", "Of the ten assets with the most trades.", _COUNTS, "short"),
                SqlPanel(
                    "timeseries",
                    "Latency of prices",
                    "From the newest ticker of a price to our computing it: mean and 99th percentile.",
                    _LATENCY,
                    "s",
                ),
            ],
        )
    ]
    made = dashboard("price-sql", "SQL", "Trades and prices in PostgreSQL, with --profile sql.", [], rows)
    made["templating"]["list"] = [
        {
            "type": "query",
            "name": "asset",
            "label": "asset",
            "datasource": SOURCE,
            "definition": _ASSETS,
            "query": _ASSETS,
            "refresh": 2,  # with the time range, as assets come and go
            "sort": 0,
            "multi": False,
            "includeAll": False,
        }
    ]
    return made
