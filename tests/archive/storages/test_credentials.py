"""Credentials of an archive in S3 that expire."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aggregator.archive.storages.address import parse_archive_url
from aggregator.archive.storages.registry import open_storage
from tests.parts.site import reply, site

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")


async def test_they_are_renewed_also_at_an_endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call is signed with those that the chain of AWS has now."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", (datetime.now(UTC) + timedelta(minutes=5)).isoformat())
    async with site() as server:
        server.answers["/lake"] = reply(b"<ListBucketResult/>")
        storage = open_storage(parse_archive_url(f"s3://lake?endpoint={server.url('')}"), tmp_path)
        for key in ("FIRST", "SECOND"):
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
            await asyncio.to_thread(storage.open)
            assert f"Credential={key}/" in server.requests[-1][1]["authorization"]
        storage.close()
