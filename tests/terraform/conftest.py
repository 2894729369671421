"""One plan with every option on, shared by all tests. Skipped without Terraform or its AWS provider."""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parts.terraform import DIGESTS, Plan, Terraform, missing, moto

EVERYTHING: dict[str, Any] = {
    "image_digest": DIGESTS["aggregator"],
    "monitoring": {"prometheus_digest": DIGESTS["prometheus"], "grafana_digest": DIGESTS["grafana"]},
    "certificate_arn": "arn:aws:acm:eu-west-1:210987654321:certificate/00000000-0000-0000-0000-000000000000",
    "hostnames": ["prices.example.com"],
    "nat_gateways": "one",
    "waf": True,
    "alarm_email": "somebody@example.com",
    "settings": {"HOT_SIZE": "50", "HOT_INTERVAL": "8"},
    "streaming": {"shards": 8, "msk_serverless": True},
    "processors": {},
    "fanout": {"fifo": True, "table_streams": True},
    "lake": {"firehose": True},
}


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    """Initialise a copy of the terraform folder."""
    if why := missing():
        pytest.skip(f"{why}; see the header")
    with moto() as aws:
        yield Terraform(tmp_path_factory.mktemp("terraform"), aws)


@pytest.fixture(scope="session")
def plan(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Plan with every option on, in the first process of pytest-xdist that needs it, and read it in the others."""
    if why := missing():
        pytest.skip(f"{why}; see the header")
    kept = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        kept = kept.parent  # shared by the processes of this run
    with (kept / "plan.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _plan(kept / "plan.json", request)


def _plan(kept: Path, request: pytest.FixtureRequest) -> Plan:
    if kept.exists():
        return Plan(**json.loads(kept.read_text()))
    terraform: Terraform = request.getfixturevalue("terraform")
    plan = terraform.plan(EVERYTHING)
    kept.write_text(json.dumps({"shown": plan.shown, "said": plan.said}))
    return plan
