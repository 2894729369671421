"""Variables of the deployment: allowed combinations, and the errors for wrong ones.

A plan takes 15 s of CPU, most of it for the provider's schema: the tests that need more plans than the one that all
tests share are `long`. Wrong values are found without a provider.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.parts.terraform import FOLDER, Terraform
from tests.terraform.conftest import EVERYTHING

pytestmark = pytest.mark.real
needs_terraform = pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")


@pytest.fixture(scope="module")
def refused(terraform: Terraform) -> str:
    """Return what Terraform says of a plan with mistakes in several resources."""
    mistakes: dict[str, object] = {
        "hostnames": [],
        "exchanges": "binance,kraken",
        "nat_gateways": "none",
        "streaming": None,
    }
    with pytest.raises(AssertionError) as said:
        terraform.plan(EVERYTHING | mistakes)
    return str(said.value)


@pytest.mark.long
def test_a_certificate_needs_the_names_it_is_for(refused: str) -> None:
    """A certificate needs its host names, because the service refuses hosts that it does not know."""
    assert "Put the names of the certificate into hostnames" in refused


@pytest.mark.long
def test_without_an_image_there_is_all_but_machines(terraform: Terraform) -> None:
    """Without an image, a first apply makes the repository, no machine and no trade stream, and warns of no TLS."""
    plan = terraform.plan({})
    assert plan.of("aws_ecr_repository")
    assert not {"aws_instance", "aws_launch_template", "aws_autoscaling_group"} & {
        one["type"] for one in plan.resources
    }
    assert not [one["address"] for one in plan.resources if one["address"].startswith("module.")]
    assert plan.of("aws_lb_listener")["http"]["default_action"][0]["type"] == "forward"
    assert "No certificate_arn" in plan.said


@needs_terraform
def test_wrong_variables_are_told_before_anything_happens(tmp_path: Path) -> None:
    """All wrong variables are reported at once, each with what it should be."""
    for file in FOLDER.glob("variables*.tf"):  # they suffice, and need no provider
        shutil.copy(file, tmp_path)
    wrong = {
        "name": "Bad_Name",
        "image_digest": "latest",
        "vpc_cidr": "10.0.0.0/28",
        "nat_gateways": "two",
        "settings": {"API_KEYS": "secret"},
        "certificate_arn": "my-certificate",
        "alarm_email": "nobody",
        "hostnames": ["https://prices.example.com"],
        "allowed_cidrs": ["everywhere"],
        "log_days": 31,
        "api": {"min": 3, "max": 2},
        "streaming": {"shards": 0},
        "processors": {"runs_on": "lambda"},
        "fanout": {"topics": ["news"]},
        "lake": {"scan_gb": 0},
    }
    arguments = [
        f"-var={name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in wrong.items()
    ]
    said = alone(tmp_path, "plan", "-lock=false", "-no-color", *arguments)
    assert said.returncode == 1, said.stdout
    assert said.stdout.count("Invalid value for variable") >= len(wrong), said.stdout


@pytest.mark.long
def test_real_exchanges_need_a_way_out(refused: str) -> None:
    """Real exchanges without NAT are an error, because machines could not reach them."""
    assert "Real exchanges are on the internet" in refused


@pytest.mark.long
def test_parts_of_the_stream_need_each_other(refused: str) -> None:
    """Processors and Firehose without a stream are an error."""
    assert "Processors read a stream and write to tables" in refused
    assert "Firehose reads the stream" in refused


@needs_terraform
def test_it_is_formatted() -> None:
    """`terraform fmt -check` passes. It is valid as well, which each plan checks first."""
    assert alone(FOLDER, "fmt", "-check", "-recursive", "-diff").stdout == ""


def alone(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of Terraform that needs no provider; `stdout` has both output streams."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    return subprocess.run(
        [str(shutil.which("terraform")), f"-chdir={folder}", *arguments],
        env=environment | {"TF_INPUT": "0", "TF_CLI_CONFIG_FILE": os.devnull},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
