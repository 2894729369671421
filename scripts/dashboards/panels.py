"""Panels: a title, what it means, what is asked, and how the answer is shown."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from scripts.dashboards.sections import place_of

Json = dict[str, Any]
RUNBOOK = "/d/price-runbook"  # where the runbook is to be read; a panel's link goes to its section there
SOURCE: Json = {"type": "prometheus", "uid": "prometheus"}  # as provisioned

Query = tuple[str, str]  # PromQL, and the name of each of its lines
Steps = Sequence[tuple[float | None, str]]  # from which value on which colour; None for the lowest

GOOD_TO_BAD = ("green", "orange", "red")


class Drawn(Protocol):
    """What has a size and can be drawn."""

    @property
    def width(self) -> int:
        """Columns, of 24."""

    @property
    def height(self) -> int:
        """Rows, of some 30 pixels."""

    def drawn(self, fill_in: Callable[[str], str]) -> Json:
        """Return it as Grafana has it, but for its place; `fill_in` makes a query of ours one of Grafana's."""


class Panel(NamedTuple):
    """One panel. `steps` colour a number and are lines among lines; `alert` is the one that speaks of the same."""

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
    values: Sequence[tuple[str, str, str]] = ()  # instead of numbers: number, text, colour
    instant: bool = False

    def drawn(self, fill_in: Callable[[str], str]) -> Json:
        """Return it as Grafana has it, but for its place."""
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
            "noValue": "-",
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


def stat(title: str, about: str, query: str, unit: str, steps: Steps = (), alert: str = "", width: int = 3) -> Panel:
    """One number, now."""
    return Panel("stat", title, about, [(query, "")], unit, width, 4, steps, alert, lowest=None)


def lines(title: str, about: str, queries: Sequence[Query], unit: str, **more: Any) -> Panel:
    """Numbers over time."""
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
