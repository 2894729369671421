"""Apply the whole configuration to moto with the real AWS provider: `./test.sh terraform`.

A plain run does not collect this file: it takes two minutes.
"""

from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.parts.terraform import MOTO_S_OWN, Plan, Terraform, missing, moto
from tests.terraform.conftest import EVERYTHING

pytestmark = pytest.mark.real

# Changes that a second plan wants only because moto returns other values than it got; see terraform/README.md.
EXPLAINED = {
    "aws_autoscaling_group": {"default_instance_warmup", "launch_template", "capacity_reservation_specification"},
    "aws_autoscaling_policy": {"enabled", "predictive_scaling_configuration"},
    "aws_kinesis_stream": {"tags_all"},
    "aws_launch_template": {"tag_specifications"},
    "aws_sqs_queue": {"redrive_policy"},
    "aws_vpc_security_group_egress_rule": {"description"},
    "aws_vpc_security_group_ingress_rule": {"description"},
}
# Resources that a second plan replaces, with the causing attributes: the machines, and what depends on them.
MADE_AGAIN = {"aws_instance": [["associate_public_ip_address"]], "aws_volume_attachment": [["instance_id"]]}
HANGS_ON_MACHINES = {"aws_route53_record"}


def client(service: str, aws: str) -> Any:
    """Return a client of moto."""
    return boto3.client(
        service,
        "eu-west-1",
        endpoint_url=aws,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106  # moto accepts any
    )


def certificate(aws: str) -> str:
    """Return a certificate in moto, so that the HTTPS listener is created too."""
    arn: str = client("acm", aws).request_certificate(DomainName="prices.example.com")["CertificateArn"]
    return arn


def zones_of_interfaces(aws: str) -> dict[str, int]:
    """Return the number of zones of each interface endpoint, which no plan knows."""
    return {
        one["ServiceName"].removeprefix("com.amazonaws.eu-west-1."): len(one["SubnetIds"])
        for one in client("ec2", aws).describe_vpc_endpoints()["VpcEndpoints"]
        if one["VpcEndpointType"] == "Interface"
    }


def unexplained(plan: Plan) -> dict[str, Any]:
    """Return the changes of a plan that the tables above do not explain, by address."""
    found: dict[str, Any] = {}
    for address, one in plan.changes.items():
        kind, change = one["type"], one["change"]
        if change["actions"] == ["update"]:
            later = {name for name, unknown in change["after_unknown"].items() if unknown is True}
            before, after = change["before"], change["after"]
            changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} - later
            if changed - EXPLAINED.get(kind, set()) or not (changed or kind in HANGS_ON_MACHINES):
                found[address] = changed
        elif "replace_paths" not in change or change["replace_paths"] != MADE_AGAIN.get(kind):
            found[address] = change["actions"], change.get("replace_paths")
    return found


@pytest.mark.skipif(bool(missing()), reason="no terraform, or no AWS provider; see the header")
def test_it_applies_changes_nothing_the_second_time_and_goes(tmp_path: Path) -> None:
    """Apply creates every resource, a second plan has no unexplained change, and destroy removes all."""
    with moto(MOTO_S_OWN) as aws:
        terraform = Terraform(tmp_path, aws)
        variables = EVERYTHING | {"certificate_arn": certificate(aws)}
        made = terraform.plan(variables)
        terraform.apply()
        zones = zones_of_interfaces(aws)
        again = terraform.plan(variables)
        left = terraform.destroy()
    assert len(made.resources) > 150
    assert unexplained(again) == {}
    assert left == []
    running, starting = ("logs", "kinesis-streams", "sqs"), ("ecr.api", "ecr.dkr", "ssm", "ssmmessages")
    assert zones == dict.fromkeys(running, 2) | dict.fromkeys(starting, 1)
