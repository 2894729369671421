"""`aggregator sql` over an archive and hot stores that go on from it."""

import asyncio
import csv
import io
import json
import re
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from aggregator.archive.archive_files import covered
from aggregator.archive.bounds import Span
from aggregator.archive.datasets import TRADES
from aggregator.archive.duck import connect
from aggregator.archive.layout import MANIFEST
from aggregator.archive.manifest import FileEntry, Manifest, encode_manifest
from aggregator.archive.sql.hot import gaps
from aggregator.archive.sql.session import Bounds, SqlSession
from aggregator.archive.storages.address import FolderAddress
from aggregator.cli.main import main
from aggregator.models import Trade, encode_as_strings
from tests.archive.sql_scene import ASSETS, SPAN, Scene, add_trades, make_scene
from tests.parts.lake import RANGE_SECONDS, write_lake
from tests.parts.process import ROOT

QUERIES = re.findall(r"```sql\n(.*?)```", (ROOT / "docs/sql.md").read_text(), re.DOTALL)
PATIENT = 60  # seconds; a limit for a busy machine, no promise
_MISSING = "trades/year=2025/month=11/day=30/hour=09/00-05.parquet"
Answer = Callable[..., list[dict[str, object]]]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Return an archive of two hours, but for its last ten minutes, and hot stores with the second hour."""
    return make_scene(tmp_path_factory.mktemp("sql"))


@pytest.fixture
def ask(scene: Scene, capsys: pytest.CaptureFixture[str]) -> Answer:
    """Return a function that runs a query, and returns its rows."""

    def run(query: str, *options: str) -> list[dict[str, object]]:
        assert scene.sql(query, "--format", "json", *options) == 0, capsys.readouterr().err
        rows: list[dict[str, object]] = json.loads(capsys.readouterr().out)
        return rows

    return run


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_the_queries_of_the_documentation(ask: Answer, query: str) -> None:
    """Each of them runs, and finds something in two hours of trades."""
    assert ask(query)


def test_the_documentation_has_queries() -> None:
    """They are found in the text."""
    assert len(QUERIES) > 10


def test_no_row_counts_twice(ask: Answer, scene: Scene) -> None:
    """Trades that are in the archive and in the hot store count once; those of one side count, too."""
    assert ask("SELECT count(*) AS n, count(DISTINCT (asset, id)) AS keys FROM trades") == [
        {"n": len(scene.trades), "keys": len(scene.trades)}
    ]
    prices = ask("SELECT count(*) AS n, min(updated_at) < max(timestamp) AS ordered FROM prices")
    assert prices == [{"n": SPAN // 60 * len(ASSETS), "ordered": True}]
    for view in ("anomalies", "signals", "sentiment"):
        assert ask(f"SELECT count(*) AS n FROM {view}") == [{"n": 2}]  # noqa: S608  # our own views


def test_both_sides_have_the_same_columns(ask: Answer) -> None:
    """With the same values, of trades and of what analytics found."""
    for query in (
        # trades 78 and 351 have the same price and volume; 351 is not archived
        "SELECT price, exact_price, exact_volume, side, late, exact FROM trades WHERE id IN ('78', '351')",
        "SELECT tier, spread, sources, left_out FROM prices",
        "SELECT venue, anomaly_score, feature_vector, model_version FROM anomalies",
        "SELECT asset, side, reason, price, quantity, position FROM signals",
        "SELECT headline, source, url, sentiment, label, correlation_strength FROM sentiment",
    ):
        rows = ask(query)
        assert len(rows) >= len(ASSETS)
        assert [one == rows[0] for one in rows] == [True] * len(rows)


def test_times_choose_files(scene: Scene) -> None:
    """A query of ten minutes gets the files that have them; the hot stores are asked for what no file covers."""
    start, end = scene.start + 300, scene.archived + 300
    address = FolderAddress(scene.folder / "lake")
    for until, files, missing in (
        (start + 599, 2, []),
        (end, (scene.archived - start) // 300, [Span(scene.archived, end)]),
    ):
        query = f"FROM trades WHERE timestamp BETWEEN to_timestamp({start}) AND to_timestamp({until})"
        session = SqlSession(connect, query, Bounds([f"{address.root}/"], None, PATIENT, 0))
        entries = session.entries(address, session.spans())["trades"]
        session.close()
        assert len(entries) == files
        assert gaps(Span(start, until), covered(entries)) == missing


def test_it_ends_at_its_deadline(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """A query without an end is stopped."""
    query = "WITH RECURSIVE r AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM r) SELECT count(*) FROM r WHERE a < 0"
    assert scene.sql(query, "--timeout", "1") == 1
    assert "the query took more than 1 seconds; read a shorter time, or raise --timeout" in capsys.readouterr().err


def test_it_has_a_bound_of_memory(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """Beyond it, and beyond the bound of temporary files, the query is refused; these files are deleted."""
    assert scene.sql("SELECT list(range) FROM range(100000000)", "--memory", "30") == 1
    assert "the query needs more memory or disk than it may" in capsys.readouterr().err
    assert not [*Path(tempfile.gettempdir()).glob("aggregator-sql-*/*/*.tmp")]


def test_formats(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """The same rows as a table, CSV and JSON, with every digit."""
    query = "SELECT asset, exact_price AS price, timestamp, NULL AS n, [1, 2] AS list FROM trades ORDER BY ALL LIMIT 1"
    assert scene.sql(query) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["asset", "price", "timestamp", "n", "list"]
    assert scene.sql(query, "--format", "csv") == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert scene.sql(query, "--format", "json") == 0
    (found,) = json.loads(capsys.readouterr().out, parse_float=str)
    assert row == {**found, "n": "", "list": "[1,2]"}
    assert row["price"] == "1000.100000000000000000"
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.250000Z", row["timestamp"])


def test_a_table_has_a_bound(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """The table ends after 1,000 rows, and says so."""
    assert scene.sql("SELECT range FROM range(1001)") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 1000 + 1
    assert lines[-1] == "The result has more than 1,000 rows; --format csv or json writes all of them."


def test_files(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The ending names the format; the file is replaced at the end, and stays as it is after an error."""
    path = tmp_path / "x.parquet"
    path.write_text("before")
    assert scene.sql("SELECT error('no') FROM trades", "--output", str(path)) == 1
    assert path.read_text() == "before"
    assert scene.sql("FROM trades", "--output", str(path)) == 0
    assert connect().execute("SELECT count(*) FROM read_parquet(?)", [str(path)]).fetchone() == (len(scene.trades),)
    assert scene.sql("SELECT 1 AS a", "--output", str(tmp_path / "y.csv")) == 0
    assert (tmp_path / "y.csv").read_text() == "a\n1\n"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["x.parquet", "y.csv"]
    assert capsys.readouterr().out == ""
    assert scene.sql("SELECT 1", "--format", "parquet") == 2
    assert scene.sql("SELECT 1", "--output", f"{tmp_path}/no/x.csv") == 1
    assert "name another file with --output" in capsys.readouterr().err


def test_another_archive(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --from, the hot stores are not read; what is no archive is refused."""
    assert scene.sql("SELECT count(*) AS n FROM trades", "--from", f"{scene.folder}/lake", "--format", "csv") == 0
    archived = [one for one in scene.trades if one.timestamp < scene.archived]
    assert capsys.readouterr().out == f"n\n{len(archived)}\n"
    for source, told in (
        (f"{tmp_path}/none", "there is no folder"),
        ("ftp://a/b", "must be file://lake"),
        ("s3://UPPER/x", "must be file://lake"),
    ):
        assert scene.sql("SELECT 1", "--from", source) == 1
        assert told in capsys.readouterr().err


def test_a_store_that_is_missing(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its rows are those of the archive, and stderr says so; no file is made. Without both there are none."""
    missing = tmp_path / "none.db"
    assert scene.sql("SELECT 1 FROM prices LIMIT 1", f"--history-url=sqlite:///{missing}") == 0
    assert "none.db: prices are those of the archive" in capsys.readouterr().err
    assert not missing.exists()
    assert scene.sql("SELECT count(*) AS n FROM features", "--archive-url=", "--format=csv") == 0
    assert capsys.readouterr().out == "n\n0\n"


def test_a_folder_without_anything(scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder in which no view could have a row is an error, not an answer without rows."""
    for options in ([], [f"--archive-url={tmp_path}"], ["--trades-url=memory://"]):
        assert main(["sql", "FROM trades", f"--data-dir={tmp_path}", *options]) == 1
        told = capsys.readouterr()
        assert (told.out, "no store of the settings has a file" in told.err) == ("", True)
    for folder in (tmp_path, scene.folder / "lake/trades"):
        assert main(["sql", "SELECT count(*) FROM prices", "--from", str(folder)]) == 1
        told = capsys.readouterr()
        assert (told.out, f"{folder} is no archive" in told.err) == ("", True)
    assert main(["sql", "SELECT 1", "--from", str(tmp_path)]) == 0


def test_a_range_that_is_not_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is read from the hot store, if there is one: a stop has archived it, and trades came after the next start."""
    scene = make_scene(tmp_path)
    at = (time.time() // RANGE_SECONDS + 1) * RANGE_SECONDS
    before, after = (Trade("btcusdt", Decimal(1), Decimal(1), at + n, "kraken", f"now{n}") for n in (1, 2))
    write_lake(tmp_path / "lake", TRADES, msgspec.json.decode(encode_as_strings([before])))
    asyncio.run(add_trades(tmp_path, [before, after]))
    query = "SELECT count(*) AS n FROM trades WHERE id LIKE 'now%'"
    for options, count in (([], 2), ([f"--trades-url=sqlite:///{tmp_path}/none.db"], 1)):
        assert scene.sql(query, "--format=csv", *options) == 0
        assert capsys.readouterr().out == f"n\n{count}\n"


def test_a_broken_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A manifest that cannot be read, and a file that is missing, are told; no row is left out in silence."""
    scene = make_scene(tmp_path)
    (manifest, *_) = sorted((tmp_path / "lake/trades").rglob(MANIFEST))
    manifest.write_text("{")
    assert scene.sql("FROM trades") == 1
    assert "a manifest that cannot be read" in capsys.readouterr().err
    manifest.write_bytes(encode_manifest(Manifest((FileEntry(_MISSING, 1, 1, "0", 0, 2**60),))))
    assert scene.sql("FROM trades") == 1
    assert "No files found" in capsys.readouterr().err
