"""Sessions of AWS's clients."""

from typing import Any

import pytest
from botocore.loaders import JSONFileLoader

from aggregator.libraries.aws import descriptions, new_session


async def client(name: str) -> None:
    """Create a client and close it."""
    async with new_session().client(name, region_name="us-east-1", endpoint_url="http://127.0.0.1:1"):
        pass


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
