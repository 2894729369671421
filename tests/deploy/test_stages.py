"""The order of the stages (scripts/stages.sh), with states from files and a Terraform that records its calls.

tests/terraform/stages.py runs the same against moto.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.parts.process import ROOT

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which("jq") is None, reason="deploy.sh needs jq"),
]

BUCKET, QUEUE, ZONE = "aws_s3_bucket", "aws_sqs_queue", "aws_route53_zone"


class Stages:
    """Functions of scripts/stages.sh; `up` has the stages that exist, with one resource each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = folder / "calls"
        self.calls.touch()

    def up(self, stage: str, kind: str = QUEUE, **attributes: object) -> None:
        """Make the state of a stage."""
        resource = {"mode": "managed", "type": kind, "name": "x", "instances": [{"attributes": attributes}]}
        outputs = {"switches": {"value": {"lake": {"firehose": True}}}} if stage == "foundation" else {}
        state = {"resources": [resource], "outputs": outputs}
        (self.folder / f"{stage}.json").write_text(json.dumps(state), encoding="utf-8")

    def run(self, words: str, **facts: str) -> subprocess.CompletedProcess[str]:
        """Run a function. Terraform empties the state of a stage that it destroys."""
        script = f"""
            set -euo pipefail
            . "{ROOT}/scripts/stages.sh"
            cd "{self.folder}"
            state_of() {{ cat "$1.json" 2>/dev/null || true; }}
            init_stage() {{ :; }}
            stage() {{ echo "$@" >>calls; if [ "$2" = destroy ]; then rm "$1.json"; fi; }}
            {words}
        """
        told = {"PATH": os.environ["PATH"], "ENVIRONMENT": "production", "STATE_BUCKET": "x", "AWS_REGION": "x"}
        return subprocess.run(
            ["bash", "-c", script],  # noqa: S607  # of the PATH, like the script itself
            env=told | facts,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture
def stages(tmp_path: Path) -> Stages:
    """Return stages of which none is up."""
    return Stages(tmp_path)


@pytest.mark.parametrize(
    ("kind", "attributes", "protected"),
    [
        (BUCKET, {"force_destroy": False}, True),
        (BUCKET, {"force_destroy": True}, False),
        (ZONE, {"force_destroy": False}, False),
        ("aws_dynamodb_table", {"deletion_protection_enabled": True}, True),
        ("aws_lb", {"enable_deletion_protection": True}, True),
        ("aws_ecr_repository", {"force_delete": False}, True),
        ("aws_autoscaling_group", {"force_delete": False}, False),
    ],
)
def test_the_protection_is_taken_off_where_the_state_has_it(
    stages: Stages, kind: str, attributes: dict[str, object], *, protected: bool
) -> None:
    """A stage with something protected is applied without the protection first; another is destroyed at once."""
    stages.up("foundation")
    stages.up("data-streaming", kind, **attributes)
    done = stages.run("down data-streaming", CONFIRM="production")
    assert done.returncode == 0, done.stderr
    applied = ["data-streaming apply -auto-approve"] if protected else []
    assert stages.calls.read_text().splitlines() == [*applied, "data-streaming destroy -auto-approve"]


@pytest.mark.parametrize(
    ("there", "words", "says"),
    [
        ((), "up data-streaming", "data-streaming needs the stage foundation, which is missing"),
        (("foundation",), "up processors", "processors needs the stage data-streaming, which is missing"),
        (
            ("foundation", "data-streaming", "processors"),
            "down data-streaming",
            "stage processors needs data-streaming",
        ),
        (("foundation", "data-streaming", "analytics"), "down data-streaming", "stage analytics needs data-streaming"),
        (("foundation", "analytics"), "down foundation", "the stage analytics needs foundation"),
        (("processors", "foundation"), "down processors", "reads the outputs of data-streaming, which is missing"),
        (("foundation",), "down network", "there is no stage network"),
        (("foundation",), "CONFIRM=staging down foundation", "nothing is deleted"),
        (("foundation",), "CONFIRM= down foundation", "nothing is deleted"),
    ],
)
def test_out_of_order_nothing_happens_and_the_reason_is_told(
    stages: Stages, there: tuple[str, ...], words: str, says: str
) -> None:
    """A stage that needs another, or that another needs, is refused before Terraform runs."""
    for stage in ("0-bootstrap", *there):
        stages.up(stage)
    done = stages.run(words, CONFIRM="production")
    assert done.returncode == 1
    assert says in done.stderr
    assert stages.calls.read_text() == ""


@pytest.mark.parametrize(("resources", "refused"), [('[{"mode": "managed"}]', True), ("[]", False)])
def test_the_bucket_of_states_stays_while_an_environment_exists(
    stages: Stages, resources: str, *, refused: bool
) -> None:
    """The bucket has the states of all environments: one with resources, of another environment, is named."""
    stages.up("0-bootstrap")
    other = "price-aggregator/staging/foundation.tfstate"
    answers = f"""
        aws() {{
          case "$*" in
            *list-objects-v2*) echo "price-aggregator/bootstrap.tfstate {other} {other}.tflock" ;;
            *"s3://x/{other} -") echo '{{"resources": {resources}}}' ;;
            *) return 1 ;;
          esac
        }}
        down 0-bootstrap
    """
    done = stages.run(answers, CONFIRM="production")
    assert (done.returncode == 1) is refused
    assert (f"x has the state {other} of something that exists" in done.stderr) is refused
    assert ("0-bootstrap destroy -auto-approve" in stages.calls.read_text()) is not refused


def test_all_go_in_the_reverse_order_and_again_is_nothing(stages: Stages) -> None:
    """`down` ends the last stage first and leaves the bucket of states; a second `down` finds nothing to do."""
    for stage in ("0-bootstrap", "foundation", "data-streaming", "analytics", "processors"):
        stages.up(stage)
    for _ in range(2):
        done = stages.run("down", CONFIRM="production")
        assert done.returncode == 0, done.stderr
    assert done.stdout.count(" is not there") == 4
    gone = ["processors", "analytics", "data-streaming", "foundation"]
    assert stages.calls.read_text().splitlines() == [f"{stage} destroy -auto-approve" for stage in gone]


def test_a_state_is_read_once_until_its_stage_changes(tmp_path: Path) -> None:
    """A run reads each state once, and again after an apply or a destroy; a reading that failed is not kept."""
    script = f"""
        set -euo pipefail
        . "{ROOT}/scripts/stages.sh"
        cd "{tmp_path}"
        read_state() {{ echo "$1" >>reads; cat "$1.json"; }}
        terraform() {{ :; }}
        is_up foundation || echo "not readable"
        echo '{{"resources": [{{"mode": "managed"}}]}}' >foundation.json
        is_up foundation
        is_up foundation
        stage foundation init
        is_up foundation
        stage foundation apply -auto-approve
        is_up foundation
        echo "$READ_STATES"
    """
    command = ["bash", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 1  # a state that cannot be read ends the run
    assert "cannot read the state of foundation" in done.stderr
    command[-1] = script.replace('is_up foundation || echo "not readable"', "state_of foundation || true")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "reads").read_text().split() == ["foundation"] * 4  # one and one that fail, then two
    assert not Path(done.stdout.strip()).exists()
