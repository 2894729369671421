"""The archive on an S3 server: conditions, conflicts, a server that is away, and its kill."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")
pytest.importorskip("duckdb_extension_httpfs", reason="the extra `archive` is not installed")

from aggregator.archive.storages.address import S3Address, parse_archive_url
from aggregator.archive.storages.definition import Conflict
from aggregator.archive.storages.registry import open_storage
from aggregator.cli.doctor.archive import archive_check
from aggregator.errors import StoreError, StoreRefused
from aggregator.settings.loader import load
from aggregator.stores.trades.memory import MemoryTrades
from tests.archive.parts import Archive, archiving, ids_at, problems, trade_at
from tests.parts.s3 import KEY, READ_KEY, READ_SECRET, SECRET, S3Server, s3_running

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run a server for this module."""
    with s3_running(tmp_path_factory.mktemp("s3")) as one:
        yield one


@pytest.fixture
def address(server: S3Server) -> S3Address:
    """Return the address of an archive in a new bucket."""
    found = parse_archive_url(server.url(server.bucket()))
    assert isinstance(found, S3Address)
    return found


@pytest.fixture
async def archive(address: S3Address, tmp_path: Path) -> AsyncIterator[Archive]:
    """Archive trades of a store in memory."""
    async with archiving(MemoryTrades(1e9), address, tmp_path) as one:
        yield one


async def test_files_late_trades_and_compaction(archive: Archive, address: S3Address, tmp_path: Path) -> None:
    """As in a folder; a key is there once."""
    await archive.store.add([trade_at(1), trade_at(301)])
    await archive.archive_at(700)
    await archive.store.add([trade_at(2)])
    await archive.archive_at(5000)
    await archive.archiver.compact_due()
    storage = open_storage(address, tmp_path / "other")
    storage.open()
    assert [one.path.rpartition("/")[2] for one in storage.list("trades/")] == ["_manifest.json", "00-60.parquet"] or [
        one.path.rpartition("/")[2] for one in storage.list("trades/")
    ] == ["00-60.parquet", "_manifest.json"]
    storage.close()
    assert ids_at(address) == ["btcusdt-1-0", "btcusdt-2-0", "btcusdt-301-0"]
    assert await problems(address, tmp_path, archive.inner, archive.marks) == []


async def test_a_file_is_replaced_only_by_who_has_read_it(address: S3Address, tmp_path: Path) -> None:
    """Both conditions of a PUT."""
    storage = open_storage(address, tmp_path / "work")
    storage.open()

    def put(text: str, expected: str | None) -> None:
        source = storage.work_folder / "file"
        source.write_text(text)
        storage.put("trades/file", source, expected)

    put("one", None)
    with pytest.raises(Conflict):
        put("two", None)
    first = storage.read("trades/file")
    assert first is not None
    put("three", first[1])
    with pytest.raises(Conflict):
        put("four", first[1])
    assert (storage.read("trades/file") or (b"",))[0] == b"three"
    storage.close()


async def test_two_archivers_lose_nothing(address: S3Address, tmp_path: Path) -> None:
    """Of two processes with trades of the same range, the second one merges."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    async with (
        archiving(MemoryTrades(1e9), address, folders[0]) as one,
        archiving(MemoryTrades(1e9), address, folders[1]) as two,
    ):
        await one.store.add([trade_at(1), trade_at(2)])
        await two.store.add([trade_at(2), trade_at(3)])
        await one.archive_at(400)
        await two.archive_at(400)
    assert ids_at(address) == ["btcusdt-1-0", "btcusdt-2-0", "btcusdt-3-0"]
    assert await problems(address, tmp_path, None) == []


async def test_a_server_that_was_killed(server: S3Server, archive: Archive, address: S3Address, tmp_path: Path) -> None:
    """While it is away marks remain; what it has confirmed is there afterwards."""
    if not server.is_real:
        pytest.skip("moto keeps its data in memory; SeaweedFS is not installed")
    await archive.store.add([trade_at(1)])
    await archive.archive_at(400)
    server.kill()
    await archive.store.add([trade_at(2), trade_at(301)])
    with pytest.raises(StoreError):
        await archive.archive_at(800)
    assert len(archive.marker.pending) == 2
    server.start()
    await archive.archive_at(801)
    assert not archive.marker.pending
    assert ids_at(address) == ["btcusdt-1-0", "btcusdt-2-0", "btcusdt-301-0"]
    assert await problems(address, tmp_path, archive.inner, archive.marks) == []


async def test_a_wrong_bucket_or_key_is_refused(
    server: S3Server, address: S3Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the server's reason."""
    storage = open_storage(S3Address("no-such-bucket", "", "us-east-1", address.endpoint), tmp_path)
    with pytest.raises(StoreRefused, match="no-such-bucket"):
        storage.open()
    if not server.is_real:
        pytest.skip("moto checks no signatures; SeaweedFS is not installed")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    storage = open_storage(address, tmp_path)
    with pytest.raises(StoreRefused, match=r"[Ss]ignature"):
        storage.open()


@pytest.mark.parametrize(
    ("key", "secret", "bucket", "says", "mend"),
    [
        (KEY, SECRET, "", "can be written", ""),
        (KEY, "wrong", "", "the secret key is not that of the access key (SignatureDoesNotMatch at", "the credentials"),
        ("nosuch", "wrong", "", "the server does not know the access key (InvalidAccessKeyId at", "the credentials"),
        (READ_KEY, READ_SECRET, "", "the credentials lack the right s3:PutObject (AccessDenied at", "their rights"),
        (KEY, SECRET, "nosuch", "S3, bucket nosuch: there is no such bucket (NoSuchBucket at", "check the bucket"),
    ],
)
async def test_the_check_of_doctor(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, key: str, secret: str, bucket: str, says: str, mend: str
) -> None:
    """`aggregator doctor` says which credential, right or bucket is wrong, and leaves nothing behind."""
    if not server.is_real:
        pytest.skip("moto checks no signatures; SeaweedFS is not installed")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    made = server.bucket()
    (found,) = await archive_check(load({"archive_url": server.url(bucket or made)}))
    assert says in found.says
    assert mend in found.mend
    assert server.client.list_objects_v2(Bucket=made).get("Contents", []) == []
