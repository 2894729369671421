"""The stages of the deployment, by scripts/deploy.sh, against moto: `./test.sh terraform`.

A plain run does not collect this file: it takes some minutes.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.parts.process import ROOT
from tests.parts.terraform import DIGESTS, MOTO_S_OWN, missing, moto, plugins

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(bool(missing()), reason="no terraform, or no AWS provider; see the header"),
    pytest.mark.skipif(shutil.which("jq") is None, reason="deploy.sh needs jq"),
]

REGION = "eu-west-1"
TFVARS = {
    "streaming": {"shards": 4},
    "fanout": {},
    "lake": {"firehose": True},
    "processors": {"runs_on": "fargate", "max": 4},
    "github_repository": "some/where",
    # Moto returns machines other than they were made, so that each apply would replace those of the mock exchanges.
    "mock_exchanges": False,
    "exchanges": "binance,kraken",
    "nat_gateways": "one",
}
SECONDS = 2400
STATES = "some-states"
KEYS = {
    "price-aggregator/bootstrap.tfstate": "0-bootstrap",
    "price-aggregator/production.tfstate": "foundation",
    **{
        f"price-aggregator/production/{stage}.tfstate": stage for stage in ("data-streaming", "analytics", "processors")
    },
}


class Deployment:
    """A checkout with scripts and terraform, whose AWS is moto."""

    def __init__(self, folder: Path, aws: str) -> None:
        self.folder = folder
        self.aws = aws
        ignore = shutil.ignore_patterns(".terraform*", "*.tfstate*", "*.tfvars*", "backend.tf", "dashboards")
        for part in ("scripts", "terraform"):
            shutil.copytree(ROOT / part, folder / part, ignore=ignore)
        (folder / "terraformrc").touch()

    def run(self, *words: str, **facts: str) -> subprocess.CompletedProcess[str]:
        """Run scripts/deploy.sh; `stdout` has both output streams. Nobody answers its questions."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "AWS_"))}
        mirror = {"TF_CLI_ARGS_init": f"-plugin-dir={plugins()}"} if plugins() else {}
        told = {
            "TF_CLI_CONFIG_FILE": str(self.folder / "terraformrc"),
            "AWS_ENDPOINT_URL": self.aws,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_S3_USE_PATH_STYLE": "true",
            "STATE_PATH_STYLE": "true",
            "ENVIRONMENT": "production",
            "AWS_REGION": REGION,
            "STATE_BUCKET": STATES,
            "TFVARS": json.dumps(TFVARS),
            "GOGC": "400",
            "TF_CLI_ARGS": "-no-color",
        }
        return subprocess.run(
            [str(self.folder / "scripts/deploy.sh"), *words],
            env=kept | told | mirror | facts,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS,
        )

    def done(self, *words: str, **facts: str) -> str:
        """Run it, and return what it says; it must succeed."""
        made = self.run(*words, **facts)
        assert made.returncode == 0, made.stdout
        return made.stdout

    def refused(self, *words: str, **facts: str) -> str:
        """Run it, and return what it says; it must fail, and not by Terraform."""
        made = self.run(*words, **facts)
        assert made.returncode == 1, made.stdout
        return made.stdout

    def client(self, service: str) -> Any:
        """Return a client of moto."""
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, REGION, endpoint_url=self.aws, **keys)

    def made(self) -> dict[str, dict[str, str]]:
        """Return the ids of all resources by address, by stage, from the states in the bucket."""
        found: dict[str, dict[str, str]] = {}
        s3 = self.client("s3")
        for one in s3.list_objects_v2(Bucket=STATES)["Contents"]:
            if not one["Key"].endswith(".tfstate"):
                continue
            state = json.loads(s3.get_object(Bucket=STATES, Key=one["Key"])["Body"].read())
            found[KEYS[one["Key"]]] = {
                ".".join(
                    filter(None, (made.get("module"), made["type"], made["name"], str(each.get("index_key", ""))))
                ): str(each["attributes"].get("id"))
                for made in state["resources"]
                if made["mode"] == "managed"
                for each in made["instances"]
            }
        return found

    def left(self) -> list[str]:
        """Return the names of what costs money and is still there; moto lists clusters and endpoints that are gone."""
        kinesis, dynamodb, sqs = self.client("kinesis"), self.client("dynamodb"), self.client("sqs")
        firehose, ecs, machines = self.client("firehose"), self.client("ecs"), self.client("autoscaling")
        clusters = ecs.describe_clusters(clusters=ecs.list_clusters()["clusterArns"])["clusters"]
        endpoints = self.client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
        return [
            *kinesis.list_streams()["StreamNames"],
            *dynamodb.list_tables()["TableNames"],
            *sqs.list_queues().get("QueueUrls", ()),
            *firehose.list_delivery_streams()["DeliveryStreamNames"],
            *(one["clusterArn"] for one in clusters if one["status"] == "ACTIVE"),
            *(group["AutoScalingGroupName"] for group in machines.describe_auto_scaling_groups()["AutoScalingGroups"]),
            *(one["LoadBalancerArn"] for one in self.client("elbv2").describe_load_balancers()["LoadBalancers"]),
            *(one["VpcEndpointId"] for one in endpoints if one["State"] != "deleted"),
        ]

    def denied(self, role: str) -> dict[str, str]:
        """Return the calls that a role of the workflows may not have made for it, and the service that would."""
        found = self.client("iam").get_role_policy(RoleName=f"prices-workflow-{role}", PolicyName="what-it-calls")
        return {
            one["Action"]: one["Condition"]["StringLike"]["kms:ViaService"]
            for one in found["PolicyDocument"]["Statement"]
            if one["Effect"] == "Deny" and "Condition" in one
        }

    @property
    def buckets(self) -> set[str]:
        """The names of all buckets."""
        return {one["Name"] for one in self.client("s3").list_buckets()["Buckets"]}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Run moto, and copy scripts and terraform."""
    with moto(MOTO_S_OWN) as aws:
        yield Deployment(tmp_path_factory.mktemp("stages"), aws)


def versions(s3: Any, bucket: str, key: str) -> None:
    """Write an object twice, so that the bucket has two versions of it."""
    s3.delete_bucket_policy(Bucket=bucket)  # moto ignores conditions, so the policy denies calls with TLS, too
    for _ in range(2):
        s3.put_object(Bucket=bucket, Key=key, Body=b"rows")
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 2


def test_stages_come_up_repeat_and_go(deployment: Deployment) -> None:
    """Stages come up with processors on Fargate, keep every resource when repeated, refuse the wrong order, and go."""
    assert "needs the stage foundation, which is missing" in deployment.refused("up", "data-streaming")
    assert "there is no stage network" in deployment.refused("up", "network")
    deployment.done("up", DIGEST=DIGESTS["aggregator"])
    made = deployment.made()
    assert set(made) == {"0-bootstrap", "foundation", "data-streaming", "analytics", "processors"}
    assert all(made.values())
    assert deployment.client("kinesis").list_streams()["StreamNames"] == ["prices-production-trades"]
    (service,) = deployment.client("ecs").list_services(cluster="prices-production")["serviceArns"]
    assert service.endswith("/processor")

    assert deployment.denied("plan") == deployment.denied("deploy") == {"kms:Decrypt": "ssm.*"}

    deployment.done("up")  # without DIGEST: the image stays
    assert deployment.made() == made

    s3, lake, rescue = deployment.client("s3"), *(f"prices-production-{of}-{MOTO_S_OWN}" for of in ("lake", "rescue"))
    deployment.done("up", "analytics", TF_VAR_deletion_protection="true")
    versions(s3, lake, "trades/year=2026/month=11/day=30/hour=09/00-05.parquet")
    versions(s3, rescue, "i-0123/outbox.db")
    assert "the stage analytics needs data-streaming" in deployment.refused("down", "data-streaming")
    assert "the stage data-streaming needs foundation" in deployment.refused("down", "foundation")
    assert "nothing is deleted" in deployment.refused("down", "analytics", CONFIRM="staging")
    assert "nothing is deleted" in deployment.refused("down", "analytics")  # nobody answers
    assert "the stage foundation needs 0-bootstrap" in deployment.refused("down", "0-bootstrap", CONFIRM="production")
    assert {lake, rescue} <= deployment.buckets

    deployment.done("down", CONFIRM="production")
    assert deployment.buckets == {STATES}
    assert deployment.left() == []
    again = deployment.done("down", CONFIRM="production")
    assert again.count(" is not there") == 4
    deployment.done("down", "0-bootstrap", CONFIRM="production")
    assert deployment.buckets == set()
