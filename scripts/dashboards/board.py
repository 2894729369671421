"""A dashboard of Grafana: variables, and rows of panels with computed positions."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.dashboards.panels import SOURCE, Drawn, Json

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/grafana/dashboards"
COLUMNS = 24

_SCHEMA = 39  # of Grafana 11; later ones read it as well
_WINDOW = "$__rate_interval"


class Row(NamedTuple):
    """A heading and its panels, from left to right, wrapped at 24 columns."""

    title: str
    panels: Sequence[Drawn]


class Variable(NamedTuple):
    """A choice in the dashboard: values of a label of a metric, several or all of them; or a single one."""

    name: str
    metric: str
    single: bool = False


INSTANCES = Variable("instance", "price_build_info")
EXCHANGES = Variable("exchange", "price_circuit_breaker_state")
ASSET = Variable("asset", "price_exchange_price", single=True)  # prices of several assets have no common scale


def dashboard(uid: str, title: str, about: str, variables: Sequence[Variable], rows: Sequence[Row]) -> Json:
    """Return the dashboard. In queries, `{@` begins a selector of the chosen values, `[@]` is Grafana's window."""
    return {
        "uid": uid,
        "title": title,
        "description": about,
        "tags": ["prices"],
        "schemaVersion": _SCHEMA,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "utc",
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "links": [_LINKS],
        "annotations": {"list": [_ALERTS] if variables else []},
        "templating": {"list": [_variable(variable) for variable in variables]},
        "panels": _placed(rows, variables),
    }


def text_of(board: Json) -> str:
    """Return the text of the file: one value per line, so that a diff is readable."""
    return json.dumps(board, indent=2, ensure_ascii=False) + "\n"


def _placed(rows: Sequence[Row], variables: Sequence[Variable]) -> list[Json]:
    chosen = ", ".join(f'{one.name}=~"${one.name}"' for one in variables)
    placed: list[Json] = []
    top = 0

    def place(panel: Json, width: int, height: int, left: int) -> None:
        grid = {"h": height, "w": width, "x": left, "y": top}
        placed.append({"id": len(placed) + 1, **panel, "gridPos": grid})

    for row in rows:
        place({"type": "row", "title": row.title, "collapsed": False, "panels": []}, COLUMNS, 1, 0)
        top += 1
        left = height = 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                top, left, height = top + height, 0, 0
            place(panel.drawn(lambda query: _filled_in(query, chosen)), panel.width, panel.height, left)
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return placed


def _filled_in(query: str, chosen: str) -> str:
    return query.replace("{@", "{" + chosen).replace("[@]", f"[{_WINDOW}]")


def _variable(variable: Variable) -> Json:
    query = f"label_values({variable.metric}, {variable.name})"
    several: Json = {"includeAll": True, "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}}
    return {
        "type": "query",
        "name": variable.name,
        "label": variable.name,
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": variable.name},
        "refresh": 2,  # with the time range, as instances come and go
        "sort": 1,
        "multi": not variable.single,
        **({"includeAll": False} if variable.single else several),
    }


_LINKS: dict[str, Any] = {
    "type": "dashboards",
    "title": "Prices",
    "tags": ["prices"],
    "asDropdown": False,
    "keepTime": True,
}
_ALERTS: Json = {
    "name": "Alerts",
    "datasource": SOURCE,
    "enable": True,
    "iconColor": "red",
    "expr": 'ALERTS{alertstate="firing", alertname!=""}',
    "titleFormat": "{{alertname}}",
    "textFormat": "{{severity}} {{instance}} {{exchange}} {{tier}}",
    "step": "15s",
}
