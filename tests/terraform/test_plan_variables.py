"""Variables of the deployment: allowed combinations, and the errors for wrong ones."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping

import pytest

from tests.parts.terraform import FOLDER, Terraform, missing
from tests.terraform import test_plan_stream as stream
from tests.terraform.conftest import EVERYTHING

pytestmark = pytest.mark.real

KAFKA = {
    "streaming": {"shards": 1, "msk_serverless": True},
    "settings": {
        "TRADES_LOG": "kafka://boot-1a2b.c1.kafka-serverless.eu-west-1.amazonaws.com:9098/trades?security=tls",
        "KAFKA_SASL": "AWS_MSK_IAM",
    },
}


@pytest.fixture(scope="module")
def refused_by_variables(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Mapping[str, object]], str]:
    """Return what Terraform says of wrong variables: a plan of these files alone, which loads no provider."""
    if why := missing():
        pytest.skip(f"{why}; see the header")
    folder = tmp_path_factory.mktemp("variables")
    for name in ("variables.tf", "variables_stream.tf", "switches.tf"):
        shutil.copy(FOLDER / name, folder)

    def plan(variables: Mapping[str, object]) -> str:
        (folder / "terraform.tfvars.json").write_text(json.dumps(variables), encoding="utf-8")
        command = [
            str(shutil.which("terraform")),
            f"-chdir={folder}",
            "plan",
            "-lock=false",
            "-input=false",
            "-no-color",
        ]
        made = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=600
        )
        assert made.returncode == 1, made.stdout
        return re.sub(r"\s*\n│? *", " ", made.stdout)

    return plan


@pytest.fixture(scope="module")
def refused(refused_by_variables: Callable[[Mapping[str, object]], str]) -> str:
    """Return what Terraform says of variables that do not fit together."""
    return refused_by_variables(
        EVERYTHING
        | {"hostnames": [], "exchanges": "binance,kraken", "nat_gateways": "none", "streaming": None}
        | {"fanout": {"topics": ["sentiment"]}}
    )


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
    assert not re.findall(r"module\.(?:streaming|fanout|lake|processors)", " ".join(plan.unknown))
    assert plan.of("aws_lb_listener")["http"]["default_action"][0]["type"] == "forward"
    assert "No certificate_arn" in plan.said


def test_wrong_variables_are_told_before_anything_happens(
    refused_by_variables: Callable[[Mapping[str, object]], str],
) -> None:
    """All wrong variables are reported at once, each with what it should be."""
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
        "fanout": {"topics": ["features"]},
        "lake": {"scan_gb": 0},
    }
    assert refused_by_variables(wrong).count("Invalid value for variable") >= len(wrong)


def test_variables_that_fit_are_not_refused(refused_by_variables: Callable[[Mapping[str, object]], str]) -> None:
    """The variables of the other tests pass, so the refusals above have their reasons."""
    with pytest.raises(AssertionError, match="Changes to Outputs"):
        refused_by_variables(EVERYTHING)


def test_real_exchanges_need_a_way_out(refused: str) -> None:
    """Real exchanges without NAT are an error, because machines could not reach them."""
    assert "Real exchanges are on the internet" in refused


def test_parts_of_the_stream_need_each_other(refused: str) -> None:
    """Processors and Firehose without a stream are an error, and a topic of events without what makes them."""
    assert "The topic sentiment needs settings.NEWS" in refused
    assert "Processors read a stream and write to tables" in refused
    assert "Firehose reads the stream" in refused


@pytest.mark.parametrize(
    "wrong",
    [
        {"streaming": {}},
        {"settings": {"TRADES_LOG": "kafka://b-1.example.com:9098/other?security=tls"}},
        {"settings": {"TRADES_LOG": "kafka://b-1.example.com:9098/trades?security=tls&group=mine"}},
    ],
    ids=["no-msk", "topic", "group"],
)
def test_kafka_as_the_log_is_msk(
    refused_by_variables: Callable[[Mapping[str, object]], str], wrong: Mapping[str, object]
) -> None:
    """A log on Kafka is refused without MSK, on another topic, and for another group: roles have no right on these."""
    assert "kafka:// is MSK's topic" in refused_by_variables({**EVERYTHING, **KAFKA, **wrong})


@pytest.mark.long
def test_with_msk_as_the_log_processors_scale_by_its_lag(terraform: Terraform) -> None:
    """A plan with the topic as the log scales and alarms by MSK's lag, and allows more processors than shards."""
    plan = terraform.plan(EVERYTHING | KAFKA)
    stream.test_processors_scale_by_the_lag_of_their_log(plan)
    assert plan.of("aws_autoscaling_group")['module.processors[0].main["processor"]']["max_size"] == 6


def test_it_is_formatted(terraform: Terraform) -> None:
    """`terraform fmt -check` passes. It is valid as well, which each plan here checks first."""
    assert terraform.run("fmt", "-check", "-recursive", "-diff").stdout == ""
