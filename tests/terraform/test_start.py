"""The machines' cloud-init configuration from a plan, checked with cloud-init and Prometheus' own tools."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not worth a dependency here

from tests.parts.monitoring import known_metrics
from tests.parts.terraform import Plan

pytestmark = pytest.mark.real

MOST_BYTES = 16_384  # EC2's limit in bytes, as sent


@pytest.fixture(scope="module")
def told(plan: Plan) -> dict[str, dict[str, Any]]:
    """Return each machine's cloud-config, parsed."""
    return {machine: yaml.safe_load(text) for machine, text in plan.cloud_init().items()}


def file(config: dict[str, Any], path: str) -> str:
    """Return the content of one of its files."""
    (found,) = [one["content"] for one in config["write_files"] if one["path"] == path]
    return str(found)


def test_every_machine_is_told_something_that_fits(plan: Plan) -> None:
    """There are three groups, three exchanges and monitoring; compressed, each user data is below EC2's limit."""
    assert len(plan.cloud_init()) == 7
    for text in plan.cloud_init().values():
        assert text.startswith("#cloud-config\n")
    sent = [one["user_data"] for one in plan.of("aws_launch_template").values()]
    sent += [one["user_data_base64"] for one in plan.of("aws_instance").values()]
    assert max(len(text) * 3 / 4 for text in sent) < MOST_BYTES


@pytest.mark.skipif(shutil.which("cloud-init") is None, reason="no cloud-init here; see the header")
def test_cloud_init_understands_it(plan: Plan, tmp_path: Path) -> None:
    """Every cloud-config passes cloud-init's own schema."""
    for number, text in enumerate(plan.cloud_init().values()):
        config = tmp_path / f"{number}.yaml"
        config.write_text(text, encoding="utf-8")
        subprocess.run([str(shutil.which("cloud-init")), "schema", "--config-file", config], check=True, timeout=300)


def test_enabled_containers_have_their_files(told: dict[str, dict[str, Any]]) -> None:
    """Every enabled container has its file, every unit its script."""
    for config in told.values():
        written = {one["path"] for one in config["write_files"]}
        started = [unit for command in config["runcmd"] if command[0] == "systemctl" for unit in command[3:]]
        containers = {unit.split("@")[1].removesuffix(".service") for unit in started if unit.startswith("container@")}
        assert containers
        assert {f"/etc/containers/{name}.conf" for name in containers} <= written
        for unit in [path for path in written if path.startswith("/etc/systemd/system/")]:
            for word in file(config, unit).replace("ExecStart", " ExecStart").replace("=", " ").split():
                assert not word.startswith("/usr/local/lib/containers/") or word in written
        permissions = {one["path"]: one["permissions"] for one in config["write_files"]}
        assert {mode for path, mode in permissions.items() if "/lib/containers/" in path} == {"0755"}


def test_machines_with_an_outbox_drain(told: dict[str, dict[str, Any]]) -> None:
    """Refreshers and processors drain, because their outboxes grow."""
    drains = [machine for machine, config in told.items() if "container-drain.service" in str(config["runcmd"])]
    assert sorted(drains) == ['main["processor"]', 'main["refresher"]']


def test_the_agent_s_file_is_read(told: dict[str, dict[str, Any]]) -> None:
    """The CloudWatch agent's file is JSON; every machine sends logs, and those of the service send metrics."""
    for machine, config in told.items():
        agent = json.loads(file(config, "/etc/containers/metrics.json"))
        assert agent["logs"]["logs_collected"]["files"]["collect_list"]
        assert ("metrics_collected" in agent["logs"]) == machine.startswith("main"), machine


def test_alarms_are_on_figures_that_are_sent(plan: Plan, told: dict[str, dict[str, Any]]) -> None:
    """Each alarm in our namespace uses a metric of the service, with the labels that the agent sends."""
    agent = json.loads(file(told['main["processor"]'], "/etc/containers/metrics.json"))
    sent = agent["logs"]["metrics_collected"]["prometheus"]["emf_processor"]
    ours = [
        one for one in plan.of("aws_cloudwatch_metric_alarm").values() if one["namespace"] == sent["metric_namespace"]
    ]
    assert len(ours) >= 9
    for alarm in ours:
        assert alarm["metric_name"] in known_metrics()
        fitting = [
            one
            for one in sent["metric_declaration"]
            if [sorted(alarm["dimensions"])] == [sorted(names) for names in one["dimensions"]]
        ]
        assert any(_matches(pattern, alarm["metric_name"]) for one in fitting for pattern in one["metric_selectors"]), (
            alarm
        )


def _matches(pattern: str, name: str) -> bool:
    return re.search(pattern, name) is not None


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Prometheus is not installed; see the header")
@pytest.mark.parametrize(
    ("machine", "path"),
    [("monitoring[0]", "/etc/containers/prometheus.yml"), ('main["processor"]', "/etc/containers/scrape.yml")],
)
def test_prometheus_understands_its_file(
    told: dict[str, dict[str, Any]], tmp_path: Path, machine: str, path: str
) -> None:
    """Prometheus accepts both its files: with EC2 discovery, and the one inside the agent."""
    config = tmp_path / "prometheus.yml"
    config.write_text(file(told[machine], path), encoding="utf-8")
    subprocess.run([str(shutil.which("promtool")), "check", "config", config], check=True, timeout=300)
