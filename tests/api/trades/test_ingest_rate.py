"""POST /ingest: the rate of each key or address."""

from pathlib import Path

import pytest

from aggregator.api.access.policy import Policy
from aggregator.api.access.throttle import ClientRates
from aggregator.api.trades import ingest
from tests.parts.clock import Clock
from tests.parts.ingest_api import KEYS, array, ingesting


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Let the rate of requests go by a clock that stands still."""
    found = Clock()
    monkeypatch.setattr(ingest, "ClientRates", lambda rate: ClientRates(rate, found))
    return found


async def test_the_101st_request(tmp_path: Path, clock: Clock) -> None:
    """With 100 requests a second, the 101st is refused, and served again after a while; each key has its own rate."""
    async with ingesting(tmp_path, Policy(keys=KEYS), rate=100) as api:
        for _ in range(100):
            assert (await api.post(array(1), x_api_key="all")).status == 200
        refused = await api.post(array(1), x_api_key="all")
        assert (refused.status, refused.json["code"]) == (429, "ingested_too_often")
        assert refused.headers["retry-after"] == "1"
        assert (await api.post(array(1), x_api_key="other")).status == 200
        clock.now += 0.0101
        assert (await api.post(array(1), x_api_key="all")).status == 200
        assert (await api.post(array(1), x_api_key="all")).status == 429


async def test_requests_without_a_key_have_the_rate_of_their_address(tmp_path: Path, clock: Clock) -> None:
    """Where no keys are set, a client is its address; refused requests store nothing."""
    async with ingesting(tmp_path, rate=1) as api:
        assert (await api.post(array(1))).status == 200
        assert (await api.post(array(3))).status == 429
        assert len(await api.store.ids()) == 1
        clock.now += 1
        assert (await api.post(array(3))).status == 200


async def test_an_invented_key_is_no_other_client(tmp_path: Path, clock: Clock) -> None:
    """Where no keys are set, nothing checks the one that is sent: the rate is that of the address."""
    async with ingesting(tmp_path, rate=1) as api:
        assert (await api.post(array(1), x_api_key="first")).status == 200
        assert (await api.post(array(3), x_api_key="second")).status == 429
        assert (await api.post(array(3), authorization="Bearer third")).status == 429
        assert len(await api.store.ids()) == 1
        clock.now += 1
        assert (await api.post(array(3), x_api_key="first")).status == 200
