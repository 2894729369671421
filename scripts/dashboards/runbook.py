"""The dashboard Runbook: docs/runbook.md with a panel for each section, which the links of other panels open."""

from scripts.dashboards.board import Row, dashboard
from scripts.dashboards.panels import Json
from scripts.dashboards.sections import sections


class _Section:
    """A panel of text."""

    width, height = 12, 13

    def __init__(self, title: str, text: str) -> None:
        self._title = title
        self._text = text

    def drawn(self, _: object) -> Json:
        """Return Grafana's JSON without the position."""
        return {"type": "text", "title": self._title, "options": {"mode": "markdown", "content": self._text}}


def board() -> Json:
    """Return the dashboard."""
    texts = [_Section(title, text) for title, text in sections().items()]
    about = "docs/runbook.md: what each alert means, how to look, what to do."
    return dashboard("price-runbook", "Prices: runbook", about, [], [Row("Alerts", texts)])
