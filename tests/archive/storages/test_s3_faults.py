"""The archive on an S3 server that is away, refuses, is full or slow, or whose answers are lost; and SQL over it."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")
pytest.importorskip("duckdb_extension_httpfs", reason="the extra `archive` is not installed")

from aggregator.archive.storages.address import S3Address, parse_archive_url
from aggregator.cli.main import main
from aggregator.errors import StoreError
from aggregator.stores.trades.memory import MemoryTrades
from tests.archive.parts import archiving, ids_at, problems, trade_at
from tests.archive.storages.s3_proxy import Fault, S3Proxy, s3_proxy
from tests.parts.s3 import S3Server, s3_running

pytestmark = pytest.mark.real

FAULTS: tuple[Fault, ...] = ("away", "refuse", "full", "slow", "lost answer")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run a server for this module."""
    with s3_running(tmp_path_factory.mktemp("s3")) as one:
        yield one


@pytest.fixture(scope="module")
def proxy(server: S3Server) -> Iterator[S3Proxy]:
    """Run a proxy in front of it."""
    with s3_proxy(server.endpoint) as one:
        yield one


@pytest.fixture
def url(server: S3Server, proxy: S3Proxy) -> str:
    """Return the address of an archive in a new bucket, behind the proxy."""
    proxy.fault = ""
    return server.url(server.bucket()).replace(server.endpoint, proxy.endpoint)


def address_of(url: str) -> S3Address:
    """Return the address."""
    found = parse_archive_url(url)
    assert isinstance(found, S3Address)
    return found


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_trade_is_there_once_afterwards(url: str, proxy: S3Proxy, tmp_path: Path, fault: Fault) -> None:
    """While it lasts, marks remain and nothing gathers on the disk; trades go on. Store, files and manifests agree."""
    address, trades = address_of(url), [trade_at(at) for at in (1, 2, 301, 3599, 3601)]
    async with archiving(MemoryTrades(1e9), address, tmp_path) as archive:
        await archive.store.add(trades[:1])
        await archive.archive_at(400)
        proxy.fault, before = fault, proxy.calls
        await archive.store.add(trades[1:])
        for at in (4000, 4001, 4002):
            if fault == "slow":
                await archive.archive_at(at)
                continue
            with pytest.raises(StoreError):
                await archive.archive_at(at)
            assert (0, 300) in [(start - 1795003200, end - 1795003200) for start, end in archive.marker.pending]
        assert proxy.calls > before
        assert [one for one in (tmp_path / "archive.tmp").rglob("*") if one.is_file()] == []
        proxy.fault = ""
        await archive.archive_at(5000)
        archive.clock.at = 3600 + 1000
        await archive.archiver.compact_due()
        assert not archive.marker.pending
        assert ids_at(address) == sorted(one.id for one in trades)
        assert await problems(address, tmp_path, archive.store, archive.marks) == []


async def test_compaction_goes_on_after_a_fault(url: str, proxy: S3Proxy, tmp_path: Path) -> None:
    """Of an hour's joined file whose answer was lost, no row is there twice by the manifest."""
    address = address_of(url)
    async with archiving(MemoryTrades(1e9), address, tmp_path) as archive:
        await archive.store.add([trade_at(at) for at in (1, 301, 601)])
        await archive.archive_at(1000)
        archive.clock.at = 3600 + 1000
        for fault in FAULTS:
            proxy.fault = fault
            if fault != "slow":
                with pytest.raises(StoreError):
                    await archive.archiver.compact_due()
        proxy.fault = ""
        await archive.archiver.compact_due()
        assert len(ids_at(address)) == 3
        assert await problems(address, tmp_path, archive.store, archive.marks) == []


def test_sql_reads_a_bucket(url: str, proxy: S3Proxy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Views and files of the bucket can be read, and nothing beside it; a server that is away is named."""

    async def archived() -> None:
        async with archiving(MemoryTrades(1e9), address_of(url), tmp_path) as archive:
            await archive.store.add([trade_at(1), trade_at(301)])
            await archive.archive_at(700)

    asyncio.run(archived())
    capsys.readouterr()
    query = "SELECT asset, count(*) AS n, sum(price * volume) AS turnover FROM trades GROUP BY asset"
    assert main(["sql", query, "--from", url, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"asset": "btcusdt", "n": 2, "turnover": 100.25}]
    for target in ("s3://other/x.parquet", "http://127.0.0.1:1/x.parquet", "/etc/passwd"):
        assert main(["sql", f"FROM read_parquet('{target}')", "--from", url]) == 1
        assert "a query may only read the archive" in capsys.readouterr().err
    proxy.fault = "refuse"
    assert main(["sql", query, "--from", url]) == 1
    told = capsys.readouterr().err
    assert told.startswith("aggregator: the archive: ")
    assert "Traceback" not in told
