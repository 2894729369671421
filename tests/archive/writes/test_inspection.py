"""Verification: comparisons, and the problems that it finds."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("duckdb", reason="the extra `archive` is not installed")

from aggregator.archive.datasets import DATASETS
from aggregator.archive.manifest import decode_manifest, encode_manifest
from aggregator.archive.storages.address import FolderAddress
from aggregator.archive.writes.marks import Marks
from aggregator.stores.trades.sqlite import SqliteTrades
from tests.archive.parts import Archive, Clock, archived, archiving, files_of, keys, problems, trade_at
from tests.archive.sql_scene import Scene, make_scene

Look = Callable[[], Awaitable[list[str]]]


@pytest.fixture
async def archive(tmp_path: Path) -> AsyncIterator[Archive]:
    """Archive trades of four ranges and two assets; those of the last range wait."""
    clock = Clock()
    store = SqliteTrades(tmp_path / "trades.db", 1e9, clock.now)
    await store.open()
    async with archiving(store, FolderAddress(tmp_path / "lake"), tmp_path, clock) as one:
        await one.store.add([trade_at(at, asset) for at in range(0, 1000, 50) for asset in ("btcusdt", "ethusdt")])
        await one.archive_at(950)
        yield one
    await store.close()


@pytest.fixture
def look(archive: Archive, tmp_path: Path) -> Look:
    """Return a function that verifies, and returns the problems: the last parts of paths, and what is wrong."""
    address = FolderAddress(tmp_path / "lake")

    async def verify() -> list[str]:
        found = await problems(address, tmp_path, archive.store, archive.marks, ["btcusdt", "ethusdt"])
        return [f"{one.path.split('/')[-1]} {one.what}" for one in found]

    return verify


async def test_all_is_well(archive: Archive, look: Look, tmp_path: Path) -> None:
    """Neither ranges that wait to be written nor a compaction are a problem."""
    assert files_of(tmp_path / "lake") == [f"hour=12/{name}.parquet" for name in ("00-05", "05-10", "10-15")]
    assert await look() == []
    archive.clock.at = 3600 + 900
    await archive.archiver.archive_due()
    await archive.archiver.compact_due()
    assert files_of(tmp_path / "lake") == ["hour=12/00-60.parquet"]
    assert await look() == []
    assert len(archived(tmp_path / "lake")) == 40
    await archive.store.add([trade_at(1)])
    archive.clock.at += 1000
    await archive.archiver.archive_due()
    assert files_of(tmp_path / "lake") == ["hour=12/00-60.parquet"]
    assert (*keys([trade_at(1)])[0],) in archived(tmp_path / "lake")
    assert await look() == []


@pytest.mark.parametrize(
    ("harm", "problems"),
    [
        (
            lambda file: file.unlink(),
            ["05-10.parquet is in the manifest and is not there", "05-10.parquet lacks events"],
        ),
        (lambda file: file.write_bytes(b"x" * 9), ["05-10.parquet has 9 bytes", "05-10.parquet lacks events"]),
        (
            lambda file: file.write_bytes(b"x" * file.stat().st_size),
            ["05-10.parquet has other bytes", "05-10.parquet lacks"],
        ),
        (lambda file: file.write_bytes((file.parent / "00-05.parquet").read_bytes()), ["05-10.parquet has", "05-10"]),
        (lambda file: (file.parent / "20-25.parquet").write_bytes(b""), ["20-25.parquet is not in the manifest"]),
        (lambda file: (file.parents[1] / "_manifest.json").write_bytes(b"{"), ["_manifest.json no manifest"]),
    ],
    ids=["missing", "short", "spoilt", "other", "unlisted", "manifest"],
)
async def test_what_differs_is_found(
    look: Look, tmp_path: Path, harm: Callable[[Path], object], problems: list[str]
) -> None:
    """Each kind of harm to a file is named."""
    (file,) = (tmp_path / "lake").rglob("05-10.parquet")
    harm(file)
    found = await look()
    assert len(found) >= len(problems)
    for one, problem in zip(found, problems, strict=False):
        assert one.startswith(problem)


async def test_a_trade_that_was_never_marked_is_found(archive: Archive, look: Look) -> None:
    """In a range with a file, and in one without."""
    await archive.inner.add([trade_at(10), trade_at(-1000)])
    assert sorted(await look()) == [
        "00-05.parquet lacks events that the store has",
        "40-45.parquet is not there, and the store has events",
    ]


def other_byte(file: Path) -> None:
    """Change one byte in the middle."""
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 3] ^= 0xFF
    file.write_bytes(raw)


def other_count(file: Path) -> None:
    """Let the manifest have another number of rows."""
    manifest = file.parents[1] / "_manifest.json"
    found = decode_manifest(manifest.read_bytes())
    files = tuple(
        msgspec.structs.replace(one, rows=one.rows + 1) if one.path.endswith(file.name) else one for one in found.files
    )
    manifest.write_bytes(encode_manifest(msgspec.structs.replace(found, files=files)))


@pytest.mark.parametrize("harm", [other_byte, other_count])
async def test_small_harm_is_found(look: Look, tmp_path: Path, harm: Callable[[Path], None]) -> None:
    """A changed byte, and a wrong count of rows."""
    (file,) = (tmp_path / "lake").rglob("05-10.parquet")
    harm(file)
    assert [one for one in await look() if one.startswith("05-10.parquet")]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Make an archive and hot stores, which verification leaves as they are; each test has marks of its own."""
    return make_scene(tmp_path_factory.mktemp("scene"))


def test_every_dataset_is_compared(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command finds the rows of each hot store that no file of the archive has."""
    assert scene.run("archive", "verify", f"--archive-path={tmp_path}/archive.db") == 1
    told = capsys.readouterr().out
    for name in ("trades", "prices", "anomalies", "signals", "sentiment"):
        assert re.search(
            rf"^{name}/\S+ (is not there, and the store|lacks events that the store) has", told, re.MULTILINE
        ), name


def test_an_archive_that_has_all(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Stores whose rows are archived, or marked, agree with it."""

    async def mark() -> None:
        marks = Marks(tmp_path / "archive.db")
        await marks.open()
        for name in DATASETS:
            await marks.mark(name, [(scene.archived, scene.archived + 86_400), (scene.start, scene.start + 3600)], [])
        await marks.close()

    asyncio.run(mark())
    assert scene.run("archive", "verify", f"--archive-path={tmp_path}/archive.db") == 0
    assert "agree" in capsys.readouterr().out
