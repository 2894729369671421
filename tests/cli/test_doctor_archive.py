"""`aggregator doctor` on the archive."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from aggregator.cli.doctor.archive import archive_check
from aggregator.cli.doctor.checks import Finding, Level
from aggregator.settings.loader import load
from tests.parts.ports import free_port
from tests.parts.site import reply, site


def findings(address: str) -> Sequence[Finding]:
    """Return what the check finds about an archive."""
    return asyncio.run(archive_check(load({"archive_url": address})))


def test_a_folder(tmp_path: Path) -> None:
    """A missing folder can be written, and nothing is left of the check."""
    (found,) = findings(f"file://{tmp_path}/new/lake")
    assert (found.level, found.says) == (Level.OK, f"{tmp_path}/new/lake can be written")
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_service(tmp_path: Path) -> None:
    """The check leaves the files of the service alone."""
    (tmp_path / "dataset=prices").mkdir()
    (found,) = findings(f"file://{tmp_path}")
    assert found.level is Level.OK
    assert [one.name for one in tmp_path.iterdir()] == ["dataset=prices"]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    """The failure has the path, the reason and the setting."""
    (tmp_path / "lake").touch()
    (found,) = findings(f"file://{tmp_path}/lake")
    assert (found.level, found.says) == (Level.FAIL, f"cannot write to {tmp_path}/lake: Not a directory")
    assert "AGGREGATOR_ARCHIVE_URL" in found.mend
    assert [one.name for one in tmp_path.iterdir()] == ["lake"]


def test_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure has the address of the server, without the parameters of the call."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    (found,) = findings(f"s3://lake/x?region=us-east-1&endpoint=http://127.0.0.1:{free_port()}")
    assert found.says.startswith('S3: Could not connect to the endpoint URL: "http://127.0.0.1:')
    assert found.says.endswith('/lake"')
    assert found.mend == "check the endpoint, the region and the network (AGGREGATOR_ARCHIVE_URL)"


@pytest.mark.parametrize(
    ("code", "mend"),
    [
        ("ExpiredToken", "renew the credentials"),
        ("InvalidToken", "renew the credentials"),
        ("RequestTimeTooSkewed", "synchronise the clock"),
        ("AccessDenied", "check the bucket, the credentials"),
        ("InternalError", "check the endpoint, the region and the network"),
    ],
)
async def test_the_advice_follows_the_code_of_s3(monkeypatch: pytest.MonkeyPatch, code: str, mend: str) -> None:
    """Credentials that have expired, or a wrong clock, are no trouble of the network."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with site() as server:
        server.answers["/lake"] = reply(f"<Error><Code>{code}</Code></Error>".encode(), "400 Bad Request")
        (found,) = await asyncio.to_thread(findings, f"s3://lake?endpoint={server.url('')}")
    assert found.level is Level.FAIL
    assert code in found.says
    assert found.mend.startswith(mend)
