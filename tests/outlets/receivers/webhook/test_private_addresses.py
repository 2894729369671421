"""A webhook connects to public addresses only, whatever its name resolves to, unless that is allowed."""

from collections.abc import AsyncIterator
from pathlib import Path
from socket import AddressFamily

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from aggregator.outlets.receivers.webhook.client import WebhookClient
from aggregator.outlets.receivers.webhook.target import WebhookTarget, webhook_target
from aggregator.settings.loader import SettingsError, load
from tests.outlets.receivers.webhook.receiving import status
from tests.parts.certificates import server_context
from tests.parts.site import Site, site

PRIVATE = ["127.0.0.1", "10.1.2.3", "100.100.100.200", "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255"]  # noqa: S104  # an address to refuse
PRIVATE += ["::1", "fd00:ec2::254", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1"]


class Answers(AbstractResolver):
    """A resolver without DNS: every name has the addresses of this test."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: AddressFamily = AddressFamily.AF_INET,  # noqa: ARG002  # aiohttp's
    ) -> list[ResolveResult]:
        """Return the addresses."""
        self.asked.append(host)
        kinds = [AddressFamily.AF_INET6 if ":" in one else AddressFamily.AF_INET for one in self.addresses]
        return [
            ResolveResult(hostname=host, host=one, port=port, family=kind, proto=0, flags=0)
            for one, kind in zip(self.addresses, kinds, strict=True)
        ]

    async def close(self) -> None:
        """Do nothing."""


@pytest.fixture
async def receiver() -> AsyncIterator[Site]:
    """Run a receiver that takes everything."""
    async with site() as here:
        here.answers["/hook"] = status("200 OK")
        yield here


def client(port: int, resolver: Answers | None, host: str = "hooks.example", *, private: bool = False) -> WebhookClient:
    """Return a client whose name the resolver knows."""
    target = WebhookTarget(f"http://{host}:{port}/hook", host, port)
    return WebhookClient(target, lambda: 0.0, allow_private=private, resolver=resolver, total=5)


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_with_a_private_address_is_not_connected_to(receiver: Site, address: str) -> None:
    """The address is refused at the connection, so an answer of DNS that changes has no effect."""
    resolver = Answers(address)
    one = client(receiver.port, resolver)
    posted = await one.post(b"[]", {})
    await one.close()
    assert resolver.asked == ["hooks.example"]
    assert posted.status == 0
    assert "OUTLETS_ALLOW_PRIVATE" in posted.trouble
    assert not posted.is_unsure
    assert receiver.requests == []


async def test_the_same_name_is_connected_to_if_that_is_allowed(receiver: Site) -> None:
    """With OUTLETS_ALLOW_PRIVATE the receiver on this machine gets the post."""
    one = client(receiver.port, Answers("127.0.0.1"), private=True)
    posted = await one.post(b"[]", {})
    await one.close()
    assert posted.status == 200
    assert receiver.requests[0][1]["host"] == f"hooks.example:{receiver.port}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_private_host_is_refused_at_the_connection_too(receiver: Site, host: str) -> None:
    """The check does not depend on the check of the URL."""
    one = client(receiver.port, None, host)
    posted = await one.post(b"[]", {})
    assert "OUTLETS_ALLOW_PRIVATE" in posted.trouble
    assert "OUTLETS_ALLOW_PRIVATE" in await one.connect()
    await one.close()
    assert receiver.requests == []


async def test_proxies_of_the_environment_are_not_used(receiver: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would resolve the name itself."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, receiver.url(""))
    one = client(1, Answers("127.0.0.1"), private=True)
    posted = await one.post(b"[]", {})
    await one.close()
    assert posted.trouble == "hooks.example: connection refused"
    assert receiver.requests == []


async def test_a_certificate_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """TLS is verified for the post and for the check of the doctor, which sends no request."""
    async with site(server_context(tmp_path)) as here:
        target = webhook_target(f"https://127.0.0.1:{here.port}/hook", allow_private=True)
        one = WebhookClient(target, lambda: 0.0, allow_private=True)
        posted, found = await one.post(b"[]", {}), await one.connect()
        await one.close()
    assert "the certificate is not valid" in posted.trouble
    assert "the certificate is not valid" in found
    assert here.requests == []


async def test_the_check_of_the_doctor_sends_no_request(receiver: Site) -> None:
    """It connects and closes."""
    one = client(receiver.port, None, "127.0.0.1", private=True)
    assert await one.connect() == ""
    receiver.server.close()
    assert await one.connect() == "127.0.0.1: connection refused"
    await one.close()
    assert receiver.requests == []


@pytest.mark.parametrize("outlet", ["http://hooks.example/s3cr3t", "https://127.0.0.1/s3cr3t", "https://[::1]/s3cr3t"])
def test_the_settings_refuse_private_receivers(outlet: str) -> None:
    """The service does not start with them; the message has no path of the address."""
    with pytest.raises(SettingsError) as caught:
        load({"outlets": outlet})
    assert caught.value.mistakes[0].startswith("--outlets: outlet 1: ")
    assert "AGGREGATOR_OUTLETS_ALLOW_PRIVATE" in caught.value.mistakes[0]
    assert "s3cr3t" not in caught.value.mistakes[0]
    assert load({"outlets": outlet, "outlets_allow_private": "true"}).outlet_addresses[0].url == outlet
