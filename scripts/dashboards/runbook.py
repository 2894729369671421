"""docs/runbook.md where Grafana's links can reach it: a panel for each section."""

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
        """Return it as Grafana has it, but for its place."""
        return {"type": "text", "title": self._title, "options": {"mode": "markdown", "content": self._text}}


def board() -> Json:
    """Return the dashboard."""
    texts = [_Section(title, text) for title, text in sections().items()]
    about = "docs/runbook.md: what each alert means, how to look, what to do."
    return dashboard("price-runbook", "Prices: runbook", about, [], [Row("Alerts", texts)])
