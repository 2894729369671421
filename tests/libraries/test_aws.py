"""Sessions and clients of AWS's services."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import SSLError
from botocore.loaders import JSONFileLoader

from aggregator.libraries.aws import descriptions, new_client, new_session
from tests.parts.certificates import server_context
from tests.parts.site import reply, site


async def client(name: str) -> None:
    """Create a client and close it."""
    async with await new_client(name, "us-east-1", "http://127.0.0.1:1", connect=1, read=1, connections=1):
        pass


async def tables_at(scheme: str, tls: ssl.SSLContext | None) -> Mapping[str, Any]:
    """Return what a client reads from a server of this test that has no tables."""
    async with site(tls) as here:
        here.answers["/"] = reply(b'{"TableNames":[]}')
        endpoint = f"{scheme}://127.0.0.1:{here.port}"
        made = await new_client("dynamodb", "us-east-1", endpoint, connect=5, read=5, connections=1)
        async with made as connected:
            found: Mapping[str, Any] = await connected.list_tables()
            return found


async def test_the_certificate_of_an_endpoint_is_verified(tmp_path: Path) -> None:
    """An https endpoint whose certificate nobody vouches for gets no request; one without TLS needs no certificate."""
    with pytest.raises(SSLError):
        await tables_at("https", server_context(tmp_path))
    assert (await tables_at("http", None))["TableNames"] == []


async def test_a_second_client_reads_no_description(monkeypatch: pytest.MonkeyPatch) -> None:
    """The description of a service is read once by a process, whatever session asks for it."""
    descriptions.cache_clear()
    read: list[str] = []
    load = JSONFileLoader.load_file

    def noting(self: JSONFileLoader, path: str) -> Any:
        read.append(path)
        return load(self, path)

    monkeypatch.setattr(JSONFileLoader, "load_file", noting)
    await client("dynamodb")
    assert any("dynamodb" in path for path in read)
    read.clear()
    await client("dynamodb")
    assert read == []


async def test_each_session_has_credentials_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session finds the credentials of its time, whatever an earlier one has found."""
    found = []
    for key in ("first", "second"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        credentials = await new_session().get_credentials()
        found.append(credentials.access_key)
    assert found == ["first", "second"]
