"""The first boot of a machine, in a container: `./test.sh terraform`, with a Docker engine.

A plain run does not collect this file: building the container downloads packages.
"""

import re
import subprocess
from pathlib import Path

import pytest

from tests.parts.containers import run
from tests.parts.process import ROOT
from tests.parts.terraform import Plan

pytestmark = pytest.mark.real

IMAGE = "machine-check"
CONTAINERS = {
    'main["api"]': ["aggregator"],
    'main["refresher"]': ["aggregator"],
    'main["processor"]': ["aggregator"],
    'exchange["exchange1"]': ["exchange"],
    "monitoring[0]": ["grafana", "prometheus"],
}
OWNERS = {'main["api"]': 10001, 'main["refresher"]': 10001, 'main["processor"]': 10001, "monitoring[0]": 65534}
# A file as a disk with a file system on it; loop devices have the major number 7.
MAY_MOUNT = (
    *("--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined"),
    *("--device", "/dev/loop-control", "--device-cgroup-rule", "b 7:* rmw"),
)


@pytest.fixture(scope="module")
def image() -> str:
    """Build an image of a machine before its first boot."""
    try:
        run("docker", "info")
    except (AssertionError, OSError):
        pytest.skip("no Docker engine here")
    run("docker", "build", "--tag", IMAGE, str(ROOT / "tests/terraform/container"), seconds=600)
    return IMAGE


@pytest.mark.parametrize("machine", CONTAINERS)
def test_a_machine_starts_and_ends(plan: Plan, image: str, tmp_path: Path, machine: str) -> None:
    """Cloud-init ends well, the disk is formatted once and kept, every unit's commands run, and SIGTERM arrives."""
    (tmp_path / "user-data.yaml").write_text(plan.cloud_init()[machine], encoding="utf-8")
    command = ["docker", "run", "--rm", "--network", "none", "--volume", f"{tmp_path}:/user-data:ro", *MAY_MOUNT]
    done = subprocess.run(
        [*command, image, "/user-data/user-data.yaml"], capture_output=True, text=True, check=False, timeout=120
    )
    said = done.stdout
    assert done.returncode == 0, said + done.stderr
    assert re.search(r"^Valid (cloud-config|schema)", said, re.MULTILINE), said  # cloud-init's wording, old and new
    if machine in OWNERS:
        assert re.search(rf"^== the disk: ext4 .*, {OWNERS[machine]} 700$", said, re.MULTILINE), said
    played = said.partition("== what was asked of the others\n")[2].splitlines()
    assert played[0] == "dnf install --assumeyes --quiet docker amazon-cloudwatch-agent"
    assert "agent -a fetch-config -m ec2 -s -c file:/etc/containers/metrics.json" in played
    started = [line.removeprefix("docker run ") for line in played if line.startswith("docker run ")]
    assert [re.findall(r"--name (\w+)", line)[0] for line in started] == CONTAINERS[machine]
    for bound in ("--read-only", "--cap-drop ALL", "--security-opt no-new-privileges", "--pids-limit 256"):
        assert all(bound in line for line in started), bound
    assert all(re.search(r"@sha256:[0-9a-f]{64}", line) for line in started)
    assert played.count("container ended by SIGTERM") == len(started)
