"""Panels of Grafana: title, description, queries and display options."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from scripts.dashboards.sections import place_of

Json = dict[str, Any]
RUNBOOK = "/d/price-runbook"  # the dashboard with the runbook; a panel links to its section there
SOURCE: Json = {"type": "prometheus", "uid": "prometheus"}  # as provisioned

Query = tuple[str, str]  # PromQL, and the legend of its lines
Steps = Sequence[tuple[float | None, str]]  # lowest value of each colour; None for the first

GOOD_TO_BAD = ("green", "orange", "red")


class Drawn(Protocol):
    """A panel that has a size and a JSON form."""

    @property
    def width(self) -> int:
        """Columns, at most 24."""

    @property
    def height(self) -> int:
        """Rows of about 30 pixels."""

    def drawn(self, fill_in: Callable[[str], str]) -> Json:
        """Return Grafana's JSON without the position. `fill_in` replaces the placeholders of a query."""


class Panel(NamedTuple):
    """One panel. `steps` are colours of a number, or lines in a graph. `alert` names the related alert."""

    kind: str
    title: str
    about: str
    queries: Sequence[Query]
    unit: str
    width: int = 8
    height: int = 8
    steps: Steps = ()
    alert: str = ""
    lowest: float | None = 0
    highest: float | None = None
    values: Sequence[tuple[str, str, str]] = ()  # shown instead of a number: number, text, colour
    instant: bool = False
    empty: str = ""  # shown instead of a value or of lines where there is nothing to show

    def drawn(self, fill_in: Callable[[str], str]) -> Json:
        """Return Grafana's JSON without the position."""
        return {
            "type": self.kind,
            "title": self.title,
            "description": self.about,
            "datasource": SOURCE,
            "links": _links(self.alert),
            "targets": [
                _target(fill_in(expr), legend, letter, instant=self.instant)
                for letter, (expr, legend) in zip("ABCDEFGH", self.queries, strict=False)
            ],
            "fieldConfig": {"defaults": self._field(), "overrides": []},
            "options": _OPTIONS[self.kind],
        }

    def _field(self) -> Json:
        steps = self.steps or ((None, "green" if self.kind == "stat" else "text"),)
        field: Json = {
            "unit": self.unit,
            "noValue": self.empty or "-",
            "color": {"mode": "palette-classic" if self.kind == "timeseries" else "thresholds"},
            "thresholds": {"mode": "absolute", "steps": [{"color": colour, "value": at} for at, colour in steps]},
        }
        if self.lowest is not None:
            field["min"] = self.lowest
        if self.highest is not None:
            field["max"] = self.highest
        if self.kind == "timeseries":
            field["custom"] = _LINES | {"thresholdsStyle": {"mode": "line" if self.steps else "off"}}
        if self.values:
            shown = {
                number: {"text": text, "color": colour, "index": at}
                for at, (number, text, colour) in enumerate(self.values)
            }
            field["mappings"] = [{"type": "value", "options": shown}]
        return field


def stat(
    title: str, about: str, query: str, unit: str, steps: Steps = (), alert: str = "", width: int = 3, empty: str = ""
) -> Panel:
    """Return a panel with one current number."""
    return Panel("stat", title, about, [(query, "")], unit, width, 4, steps, alert, lowest=None, empty=empty)


def lines(title: str, about: str, queries: Sequence[Query], unit: str, **more: Any) -> Panel:
    """Return a panel with numbers over time."""
    return Panel("timeseries", title, about, queries, unit, **more)


def from_goal(*limits: float) -> Steps:
    """Return green up to the first limit, orange up to the second, then red; of one limit, green and red."""
    colours = GOOD_TO_BAD if len(limits) > 1 else ("green", "red")
    return list(zip((None, *limits), colours, strict=True))


def _links(alert: str) -> list[Json]:
    if not alert:
        return []
    return [{"title": f"Runbook: {alert}", "url": f"{RUNBOOK}?viewPanel={place_of(alert)}", "targetBlank": True}]


def _target(expr: str, legend: str, letter: str, *, instant: bool) -> Json:
    return {
        "refId": letter,
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": expr,
        "legendFormat": legend,
        **({"instant": True, "range": False} if instant else {"range": True}),
    }


_LINES: Json = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "spanNulls": 30_000}
_LAST: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[str, Json] = {
    "stat": {"reduceOptions": _LAST, "colorMode": "value", "graphMode": "area", "textMode": "value"},
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "bargauge": {"reduceOptions": _LAST, "orientation": "horizontal", "displayMode": "basic"},
    "state-timeline": {
        "showValue": "never",
        "mergeValues": True,
        "legend": {"displayMode": "list", "placement": "bottom"},
    },
    "table": {"showHeader": True, "cellHeight": "sm"},
}
