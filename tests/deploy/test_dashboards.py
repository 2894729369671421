"""The Grafana dashboards, checked without Grafana: layout, names, units, links and queries."""

import itertools
import re
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency here

from scripts.dashboards.board import text_of
from scripts.dashboards.build import boards
from tests.deploy.test_rules import SERVICES, run
from tests.parts.monitoring import (
    ALERTS,
    BOARDS,
    CONFIG,
    DEPLOY,
    OURS,
    PROMTOOL,
    RECORDS,
    TARGETS,
    known_metrics,
    metric_names,
    needs_promtool,
    panels,
)

QUERIED = ["overview.json", "prices.json", "exchange.json", "trades.json", "signals.json"]
# Metrics without a panel: counters behind a gauge that has one, and what changes at most once in five minutes.
NOT_SHOWN = {"price_dead_letters_added_total", "price_tier_changes_total"}
PROVISIONING = DEPLOY / "grafana/provisioning"
(SOURCE,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yml").read_text())["datasources"]


def test_the_files_are_what_is_written_from_the_source() -> None:
    """The JSON files are what `python -m scripts.dashboards` writes."""
    made = boards()
    assert made.keys() == BOARDS.keys()
    for name, board in made.items():
        assert (DEPLOY / "grafana/dashboards" / name).read_text() == text_of(board), f"{name}: write it again"


def test_grafana_finds_them() -> None:
    """The folder that Grafana reads, and its home dashboard, are mounted from the repository."""
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards/files.yml").read_text())["providers"]
    folder = provider["options"]["path"]
    assert f"./deploy/grafana/dashboards:{folder}:ro" in SERVICES["grafana"]["volumes"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{folder}/overview.json"
    assert len({board["uid"] for board in BOARDS.values()}) == len({board["title"] for board in BOARDS.values()}) == 7


def test_all_ask_the_prometheus_that_is_provisioned() -> None:
    """Panels, queries, variables and annotations use the provisioned Prometheus by uid, and its address is right."""
    assert source_port(SOURCE["url"]) in SERVICES["prometheus"]["ports"][0]
    asked: list[Any] = []
    for name in QUERIED:
        board = BOARDS[name]
        asked += [panel["datasource"] for panel in panels(name)]
        asked += [target["datasource"] for panel in panels(name) for target in panel["targets"]]
        asked += [one["datasource"] for one in (*board["templating"]["list"], *board["annotations"]["list"])]
    assert all(one == {"type": SOURCE["type"], "uid": SOURCE["uid"]} for one in asked)


def source_port(url: str) -> str:
    """Return the port of an address whose host is Prometheus' container."""
    split = urllib.parse.urlsplit(url)
    assert split.hostname == "prometheus"
    return str(split.port)


@pytest.mark.parametrize("name", BOARDS)
def test_panels_can_be_told_apart_and_do_not_overlap(name: str) -> None:
    """Panel ids are unique, titles are unique within a row, and panels do not overlap in the 24 columns."""
    every = BOARDS[name]["panels"]
    assert [panel["id"] for panel in every] == list(range(1, len(every) + 1))
    taken: set[tuple[int, int]] = set()
    for panel in every:
        place = panel["gridPos"]
        columns, rows = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells = set(itertools.product(columns, rows))
        assert columns.stop <= 24, panel["title"]
        assert cells, panel["title"]
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("name", QUERIED)
def test_panels_say_what_they_show(name: str) -> None:
    """Each panel has a description and a unit; several lines of one panel have different legends."""
    for panel in panels(name):
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        legends = [target["legendFormat"] for target in panel["targets"]]
        assert legends, panel["title"]
        assert len(set(legends)) == len(legends), panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(legends), panel["title"]
        assert all(legends) or panel["type"] == "stat", panel["title"]


@pytest.mark.parametrize("name", QUERIED)
def test_limits_rise_and_begin_below_everything(name: str) -> None:
    """Thresholds have the form that Grafana needs: the first has no value, and the others increase."""
    for panel in panels(name):
        first, *rest = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert first is None, panel["title"]
        assert rest == sorted(set(rest)), panel["title"]


@pytest.mark.parametrize("name", QUERIED)
def test_links_lead_to_the_runbook(name: str) -> None:
    """Each link ends at the runbook's panel, with the section it names; at least one exists."""
    sections = {panel["id"]: panel["title"] for panel in panels("runbook.json")}
    links = [link for panel in panels(name) for link in panel["links"]]
    assert links
    for link in links:
        found = re.fullmatch(r"/d/([\w-]+)\?viewPanel=(\d+)", link["url"])
        assert found, link
        assert found[1] == BOARDS["runbook.json"]["uid"]
        assert link["title"] == f"Runbook: {sections[int(found[2])]}"


@pytest.mark.parametrize("name", QUERIED)
def test_queries_are_of_what_is_chosen(name: str) -> None:
    """Every selector uses the dashboard's variables; only Prometheus' own ALERTS has no instance."""
    variables = {one["name"] for one in BOARDS[name]["templating"]["list"]}
    assert "instance" in variables
    for target in (one for one in TARGETS if one.board == name):
        used = set(re.findall(r"\$(\w+)", target.query)) - {"__rate_interval"}
        assert used <= variables, target
        free = re.findall(rf"\b(?:process|{'|'.join(OURS)})_\w+(?![\w:])(?!{{instance=~)(?=[\[{{) ]|$)", target.query)
        assert [name for name in free if not target.query.startswith("ALERTS")] == [], target


def test_queries_read_metrics_that_exist() -> None:
    """Every metric in a query is exported by the service, added by Prometheus, or recorded by a rule."""
    asked = {name for target in TARGETS for name in metric_names(target.filled_in)}
    assert len(asked) > 50
    assert asked - known_metrics() == set()
    named = {job for target in TARGETS for job in re.findall(r'job="([^"]*)"', target.query)}
    assert named <= {job["job_name"] for job in CONFIG["scrape_configs"]}


def test_every_metric_is_shown_or_watched() -> None:
    """Every exported metric is in a panel or a rule, except equivalents and the histograms' sums and counts."""
    asked = {name for target in TARGETS for name in metric_names(target.filled_in)}
    asked |= {name for rule in (*ALERTS, *RECORDS) for name in metric_names(rule["expr"])}
    ours = {
        name
        for name in known_metrics()
        if name.startswith(tuple(f"{first}_" for first in OURS)) and not name.endswith(("_sum", "_count"))
    }
    assert ours - asked == NOT_SHOWN


@needs_promtool
def test_queries_parse(tmp_path: Path) -> None:
    """Promtool parses every query."""
    rules = [{"record": f"query:{at}", "expr": one.filled_in} for at, one in enumerate(TARGETS)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    run(PROMTOOL, "check", "rules", str(file))
