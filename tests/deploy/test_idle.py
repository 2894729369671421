"""Dashboards of a service that nobody asks: no panel is blank without a reason."""

from pathlib import Path

import pytest

from tests.deploy.watched import wait_for_data
from tests.parts.exchanges import Market
from tests.parts.monitoring import TARGETS, RunningPrometheus, Target, needs_prometheus, panels
from tests.parts.service import Service

pytestmark = [pytest.mark.real, needs_prometheus]


def says_why(target: Target) -> bool:
    """Return whether the panel of this query has words for the case that it has nothing to show."""
    drawn = [one for one in panels(target.board) if target.query in {asked["expr"] for asked in one["targets"]}]
    return all(panel["fieldConfig"]["defaults"]["noValue"] != "-" for panel in drawn)


def test_every_panel_of_an_idle_service_has_a_value_or_says_why_not(tmp_path: Path, shared_market: Market) -> None:
    """Without requests, trades, feeds, news and outlets a number that is zero is shown as zero."""
    shared_market.sound()
    service = Service(tmp_path, exchanges=shared_market.setting)
    service.filled()
    prometheus = RunningPrometheus(tmp_path, service.url)
    try:
        shown = [target for target in TARGETS if not says_why(target)]
        assert len(shown) > len(TARGETS) / 2
        wait_for_data(shown, lambda target: bool(prometheus.ask(target.filled_in)))
    finally:
        prometheus.process.stop()
        service.process.stop()
