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
from tests.parts.terraform import MOTO_S_OWN, missing, moto, plugins

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
    "github_repository": "some/where",
}
SECONDS = 2400
STATES = "some-states"


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

    @property
    def buckets(self) -> set[str]:
        """The names of all buckets."""
        return {one["Name"] for one in self.client("s3").list_buckets()["Buckets"]}


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Run moto, and copy scripts and terraform."""
    with moto(MOTO_S_OWN) as aws:
        yield Deployment(tmp_path_factory.mktemp("stages"), aws)


def test_stages_come_go_and_say_what_is_missing(deployment: Deployment) -> None:
    """Stages come up; each stays while another needs it; a deletion asks first.

    Without machines, for which foundation is applied twice: moto forgets the VPC of a zone, and refuses it again.
    """
    assert "needs the stage foundation, which is missing" in deployment.refused("up", "data-streaming")
    assert "there is no stage network" in deployment.refused("up", "network")
    deployment.done("up")
    lake = f"prices-production-lake-{MOTO_S_OWN}"
    assert {STATES, lake} <= deployment.buckets
    assert deployment.client("kinesis").list_streams()["StreamNames"] == ["prices-production-trades"]
    s3 = deployment.client("s3")
    s3.delete_bucket_policy(Bucket=lake)  # moto ignores conditions, so it denies calls with TLS, too
    for _ in range(2):  # two versions
        s3.put_object(Bucket=lake, Key="trades/year=2026/month=11/day=30/hour=09/00-05.parquet", Body=b"rows")

    assert "the stage analytics needs data-streaming" in deployment.refused("down", "data-streaming")
    assert "nothing is deleted" in deployment.refused("down", "analytics", CONFIRM="staging")
    assert "nothing is deleted" in deployment.refused("down", "analytics")  # nobody answers
    assert lake in deployment.buckets
