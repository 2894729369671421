"""The configuration of Prometheus and Alertmanager agrees with itself, the code and the runbook."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency here

from tests.parts.monitoring import (
    ALERTS,
    CONFIG,
    DEPLOY,
    OURS,
    PROMTOOL,
    RECORDS,
    known_metrics,
    metric_names,
    needs_promtool,
)
from tests.parts.process import ROOT

SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
ALERTMANAGER = yaml.safe_load((DEPLOY / "alertmanager.yml").read_text())
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
AMTOOL = shutil.which("amtool") or ""


def run(*command: str) -> None:
    """Run a command in the repository's root; it must succeed."""
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@needs_promtool
def test_prometheus_accepts_its_configuration() -> None:
    """Promtool accepts the configuration and the rules that it names."""
    run(PROMTOOL, "check", "config", str(DEPLOY / "prometheus.yml"))


@needs_promtool
@pytest.mark.parametrize("file", ["alerts_test.yml", "recording_test.yml"])
def test_rules_do_what_they_should(file: str) -> None:
    """Promtool's own tests pass: each alert's fault and its absence, and the sums of each recording rule."""
    run(PROMTOOL, "test", "rules", f"tests/deploy/{file}")


@pytest.mark.parametrize("rule", [*ALERTS, *RECORDS], ids=lambda rule: str(rule.get("alert", rule.get("record"))))
def test_each_rule_is_played_to(rule: dict[str, Any]) -> None:
    """Promtool's tests cover every rule; for each alert, one test expects it to fire and one expects it not to."""
    if "record" in rule:
        assert any(one["expr"].startswith(rule["record"]) for one in played("recording_test.yml", "promql_expr_test"))
        return
    moments = [one for one in played("alerts_test.yml", "alert_rule_test") if one["alertname"] == rule["alert"]]
    assert {bool(one.get("exp_alerts")) for one in moments} == {True, False}


def played(file: str, kind: str) -> list[dict[str, Any]]:
    """Return the expectations of one kind in a file for `promtool test rules`."""
    tests = yaml.safe_load((ROOT / "tests/deploy" / file).read_text())["tests"]
    return [one for test in tests for one in test.get(kind, [])]


def test_rules_read_metrics_that_exist() -> None:
    """Every metric in a rule is exported or recorded by another rule; Prometheus' container has the files."""
    asked = {name for rule in (*ALERTS, *RECORDS) for name in metric_names(rule["expr"])}
    assert asked - known_metrics() == set()
    mounts = SERVICES["prometheus"]["volumes"]
    for name in CONFIG["rule_files"]:
        assert f"./deploy/{name}:/etc/prometheus/{name}:ro" in mounts


def test_the_image_for_aws_has_every_rule() -> None:
    """The AWS image has both rule files, because alerts read recorded metrics."""
    dockerfile = (ROOT / "terraform/images/Dockerfile.prometheus").read_text()
    (copied,) = re.findall(r"^COPY (.*) /etc/prometheus/rules/$", dockerfile, re.MULTILINE)
    assert copied.split() == CONFIG["rule_files"]
    assert "rule_files: [/etc/prometheus/rules/*.yml]" in (ROOT / "terraform/files/prometheus.yml.tftpl").read_text()


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_aws_runs_what_the_containers_run(name: str) -> None:
    """AWS runs the same versions as the containers."""
    dockerfile = (ROOT / f"terraform/images/Dockerfile.{name}").read_text()
    assert re.findall(r"^FROM (.*)", dockerfile, re.MULTILINE) == [SERVICES[name]["image"]]


def test_prometheus_scrapes_the_service() -> None:
    """Prometheus scrapes each of our containers by name and port, under the job that dashboards and alerts use."""
    jobs = {job["job_name"]: job for job in CONFIG["scrape_configs"]}
    (found,) = jobs["aggregator"]["dns_sd_configs"]
    scraped = [name for name, one in SERVICES.items() if one.get("environment", {}).get("AGGREGATOR_CACHE_URL")]
    assert sorted(found["names"]) == sorted(scraped)
    assert f"\nEXPOSE {found['port']}\n" in (ROOT / "deploy/Dockerfile").read_text()
    named = {job for rule in ALERTS for job in re.findall(r'job="([^"]*)"', rule["expr"])}
    assert named <= jobs.keys()


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: str(rule["alert"]))
def test_each_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """Each alert has a severity, a description, and a link to its runbook section with the three required parts."""
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert {"summary", "description", "runbook_url"} == rule["annotations"].keys()
    file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert file == "docs/runbook.md"
    assert anchor == rule["alert"].lower()
    section = RUNBOOK.partition(f"\n## {rule['alert']}\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\*\*(\w+)\.\*\*", section, re.MULTILINE) == ["Means", "Look", "Do"]


def test_the_runbook_speaks_of_nothing_else() -> None:
    """Each runbook section belongs to an alert; other sections, metrics and panels named in it exist."""
    sections = re.findall(r"^## (\w+)$", RUNBOOK, re.MULTILINE)
    assert sections == list(dict.fromkeys(sections))
    assert set(sections) == {rule["alert"] for rule in ALERTS}
    assert set(re.findall(rf"\b(?:{'|'.join(OURS)})_\w+", RUNBOOK)) <= known_metrics()
    assert set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", RUNBOOK)) - set(sections) <= {
        "DynamoDB",
        "PostgreSQL",
        "ValidationException",
    }


@pytest.mark.skipif(not AMTOOL, reason="no amtool here: Alertmanager is not installed")
def test_alertmanager_accepts_the_example() -> None:
    """Amtool accepts the example."""
    run(AMTOOL, "check-config", str(DEPLOY / "alertmanager.yml"))


def test_the_example_names_alerts_and_receivers_that_exist() -> None:
    """Every route of the example has an existing receiver, and inhibition and grouping use our alerts and labels."""
    routes = [ALERTMANAGER["route"], *ALERTMANAGER["route"]["routes"]]
    assert {route["receiver"] for route in routes} == {one["name"] for one in ALERTMANAGER["receivers"]}
    rules = ALERTMANAGER["inhibit_rules"]
    matchers = [one for rule in rules for one in (*rule["source_matchers"], *rule["target_matchers"])]
    named = [re.search(r'alertname=~?"([\w|]+)"', one) for one in matchers]
    assert {name for match in named if match for name in match[1].split("|")} <= {rule["alert"] for rule in ALERTS}


def test_the_example_holds_no_secret() -> None:
    """The example's secrets are in files of their own."""
    ways = [way for one in ALERTMANAGER["receivers"] for name, way in one.items() if name != "name"]
    secrets = {key for way in ways for hook in way for key in hook if re.search(r"url|key|password|token|secret", key)}
    assert secrets == {"api_url_file", "routing_key_file"}
