"""One plan with every option on, shared by all tests. Skipped without Terraform or its AWS provider."""

from collections.abc import Iterator
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
}


@pytest.fixture(scope="session")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    """Initialise a copy of the terraform folder."""
    if why := missing():
        pytest.skip(f"{why}; see the header")
    with moto() as aws:
        yield Terraform(tmp_path_factory.mktemp("terraform"), aws)


@pytest.fixture(scope="session")
def plan(terraform: Terraform) -> Plan:
    """Plan with every option on."""
    return terraform.plan(EVERYTHING)
