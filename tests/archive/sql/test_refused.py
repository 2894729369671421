"""Refusals of `aggregator sql`: everything that writes, loads, sets, or reads outside the archive."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from aggregator.archive.datasets import TRADES
from aggregator.archive.duck import connect
from aggregator.archive.errors import QueryRefused
from aggregator.archive.sql.session import Bounds, SqlSession
from aggregator.archive.storages.address import FolderAddress
from aggregator.cli.main import main
from tests.parts.lake import write_lake

PATIENT = 60  # seconds; a limit for a busy machine, no promise

ONLY, OUTSIDE = "only SELECT is allowed", "a query may only read the archive"
REFUSED = {
    "COPY (SELECT 1) TO 'x'": "only SELECT is allowed; this is a COPY statement",
    "COPY trades TO 'x' (FORMAT parquet)": ONLY,
    "INSERT INTO trades VALUES (1)": "only SELECT is allowed; this is an INSERT statement",
    "UPDATE trades SET price = 1": ONLY,
    "DELETE FROM trades": ONLY,
    "DROP VIEW trades": ONLY,
    "CREATE TABLE t AS FROM trades": ONLY,
    "CREATE SECRET (TYPE s3)": ONLY,
    "ATTACH 'x.db'": ONLY,
    "USE memory": ONLY,
    "INSTALL httpfs": ONLY,
    "LOAD httpfs": ONLY,
    "SET enable_external_access = true": ONLY,
    "RESET lock_configuration": ONLY,
    "PRAGMA memory_limit = '1TB'": ONLY,
    "CALL pragma_version()": ONLY,
    "EXPORT DATABASE 'x'": ONLY,
    "EXPLAIN ANALYZE SELECT 1": ONLY,
    "PREPARE x AS SELECT 1": ONLY,
    "BEGIN": ONLY,
    "CHECKPOINT": ONLY,
    "SELECT 1; SELECT 2": "give one SELECT; this is 2 statements",
    "SELECT 1; DROP VIEW trades": "give one SELECT",
    "PIVOT trades ON venue USING count(*)": "in a PIVOT, name the columns",
    "": "give one SELECT; this is 0 statements",
    "-- nothing": "give one SELECT; this is 0 statements",
    "SELEC 1": "syntax error",
    "SELECT 'x": "unterminated",
    "SELECT 1) TO 'x' --": "syntax error",
    "SELECT " + "1+" * 60_000 + "1": "more than 100,000 characters",
    "SELECT '\ud800'": "the query is not UTF-8 text",
    "FROM nothing": "Table with name nothing does not exist",
    "FROM hot.trades": "does not exist",
    "FROM read_csv('/etc/passwd')": OUTSIDE,
    "FROM '/etc/passwd'": "",
    "FROM read_text('/etc/passwd')": OUTSIDE,
    "FROM read_blob('{lake}/../secret.csv')": OUTSIDE,
    "FROM read_parquet('/etc/*')": OUTSIDE,
    "FROM read_parquet('{lake}/../*')": OUTSIDE,
    "FROM parquet_metadata('/etc/passwd')": OUTSIDE,
    "FROM glob('/etc/*')": OUTSIDE,
    "FROM sniff_csv('/etc/passwd')": OUTSIDE,
    "FROM read_parquet('https://example.com/x.parquet')": OUTSIDE,
    "FROM read_parquet('s3://other/x.parquet')": OUTSIDE,
    "FROM query('COPY (SELECT 1) TO ''x''')": "SELECT",
    "SELECT CAST('x' AS INTEGER) FROM trades": "Could not convert",
    "SELECT error('\x1b[31m') FROM trades": "?[31m",
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an archive of one trade."""
    folder = tmp_path_factory.mktemp("sql")
    (folder / "secret.csv").write_text("a")
    trade = {"asset": "btcusdt", "timestamp": 1.7e9, "price": "1", "volume": "1", "venue": "kraken", "id": "1"}
    write_lake(folder / "lake", TRADES, [trade])
    return folder / "lake"


def answer(lake: Path, query: str) -> Sequence[Sequence[object]]:
    """Run a query; return its rows."""
    address = FolderAddress(lake)
    session = SqlSession(connect, query, Bounds([f"{address.root}/"], None, PATIENT, 0))
    try:
        session.prepare(address, session.entries(address, session.spans()))
        with session.running() as result:
            return result.next_rows(10)
    finally:
        session.close()


@pytest.mark.parametrize("query", REFUSED, ids=range(len(REFUSED)))
def test_refused(lake: Path, query: str) -> None:
    """The query is refused in one line, and nothing is written."""
    before = sorted(lake.parent.rglob("*"))
    with pytest.raises(QueryRefused) as refused:
        answer(lake, query.replace("{lake}", str(lake)))
    text = f"{refused.value} {refused.value.remedy}"
    assert text.isprintable()
    assert REFUSED[query] in text
    assert sorted(lake.parent.rglob("*")) == before


@pytest.mark.parametrize("query", ["FROM trades", "FROM read_parquet('{lake}/**/*.parquet')", "SUMMARIZE trades;"])
def test_the_archive_can_be_read(lake: Path, query: str) -> None:
    """Through a view, or file by file."""
    assert answer(lake, query.replace("{lake}", str(lake)))


def test_the_command_says_why(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 1; stderr has the reason, and stdout nothing."""
    assert main(["sql", "COPY trades TO 'x'", "--from", str(lake)]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "aggregator: only SELECT is allowed; this is a COPY statement\n")


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One line says what is missing and how to install it."""
    monkeypatch.setitem(sys.modules, "duckdb", None)  # as Python marks a module that is not there
    assert main(["sql", "SELECT 1", "--data-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "DuckDB is not installed" in said
    assert "[archive]" in said
    assert "Traceback" not in said
