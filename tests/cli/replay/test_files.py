"""Files of trades: CSV, NDJSON, gzip and Parquet give the same rows; broken ones say where they break."""

import csv
import gzip
import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from aggregator.cli.replay.files import MOST_OF_LINE, Broken, Source, open_csv, open_ndjson
from aggregator.cli.replay.parquet import open_parquet
from aggregator.cli.replay.recordings import open_recording
from aggregator.cli.replay.rows import Row, Rows, Unusable
from aggregator.exchanges.recording import Header, Record, RecordingFile
from aggregator.models import Reason

needs_duckdb = pytest.mark.skipif(
    importlib.util.find_spec("duckdb") is None, reason="the extra is missing; see the header"
)

CSV = """Symbol,price,SIZE,time,exchange,trade_id,side,sequence,comment
btcusdt,77896.4924500000001,0.25,1795241427123,x,17,,,first
ethusdt,3000,,2026-11-21T06:10:27.5Z,kraken,"a""2",sell,,

btcusdt,abc,1
"""
LINES = [
    b'{"asset":"btcusdt","price":77896.4924500000001,"volume":0.25,"timestamp":1795241427123,"venue":"x","id":"17"}',
    b'{"asset":"ethusdt","price":3000,"timestamp":"2026-11-21T06:10:27.5Z","venue":"kraken","id":"a\\"2","side":"sell"}',
    b'{"asset":"btcusdt","price":"abc","volume":1}',
]


@contextmanager
def opened(source: Source) -> Iterator[Source]:
    """Close a source after use."""
    try:
        yield source
    finally:
        source.close()


def rows_of(open_file: Callable[[Path, Rows], Source], path: Path) -> list[Row]:
    """Return all rows of a file."""
    with opened(open_file(path, Rows())) as source:
        return list(source.rows)


def written(path: Path, text: bytes, *, zipped: bool = False) -> Path:
    """Write a file; return its path."""
    path.write_bytes(gzip.compress(text) if zipped else text)
    return path


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_csv(tmp_path: Path, mark: bytes, *, zipped: bool) -> None:
    """Columns are found by any of their names in any case; a mark of the byte order is no part of a name."""
    rows = rows_of(open_csv, written(tmp_path / "trades", mark + CSV.encode(), zipped=zipped))
    assert [row.line for row in rows] == LINES
    assert [row.number for row in rows] == [2, 3, 5]


@pytest.mark.parametrize("text", [b"", b"a,b\n1,2\n", b"price,volume\n1,2\n", b"x" * (MOST_OF_LINE + 1)])
def test_csv_without_the_columns(tmp_path: Path, text: bytes) -> None:
    """The refusal says what is missing, before anything is sent."""
    with pytest.raises(Unusable, match=r"no column (price|timestamp or time)|longer than"):
        open_csv(written(tmp_path / "trades.csv", text), Rows())


def test_ndjson(tmp_path: Path) -> None:
    """Numbers keep their digits, also those in strings; an id that is a number becomes a text; null is no value."""
    objects = [
        b'{"symbol": "btcusdt", "price": "77896.4924500000001", "size": 0.25, "time": "1795241427123", "id": 17,',
        b' "exchange": "x", "sequence": null, "other": {"a": [1]}}\n{"ticker":"ethusdt","price":3000,"volume":null,',
        b'"timestamp":"2026-11-21T06:10:27.5Z","venue":"kraken","trade_id":"a\\"2","side":"sell"}\r\n\n',
        b'{"asset":"btcusdt","price":"abc","quantity":1}',
    ]
    rows = rows_of(open_ndjson, written(tmp_path / "trades.ndjson", b"".join(objects)))
    assert [row.line for row in rows] == LINES
    assert [row.number for row in rows] == [1, 2, 4]


@pytest.mark.parametrize("line", [b"{", b"[1]", b"\xff\xfe", b"[" * 60_000, b'"text"'])
def test_ndjson_that_is_no_object(tmp_path: Path, line: bytes) -> None:
    """The line is sent as it is, for the service to refuse."""
    rows = rows_of(open_ndjson, written(tmp_path / "trades.ndjson", line + b"\n"))
    assert rows == [Row(1, None, line)]


@pytest.mark.parametrize("value", [b"{}", b"[1]", b"true", b'"text"'])
def test_ndjson_with_values_of_another_kind(tmp_path: Path, value: bytes) -> None:
    """They are sent as they are, for the service to refuse."""
    (row,) = rows_of(open_ndjson, written(tmp_path / "trades.ndjson", b'{"price":' + value + b',"id":' + value + b"}"))
    assert row.line == b'{"price":' + value + b',"id":' + value + b"}"


def broken_csv(path: Path) -> Path:
    """Write a CSV file with a quoted text that never ends."""
    return written(path, CSV.encode() + b'btcusdt,1,1,"' + b"x" * 1000 + b"\n" * 200_000)


def long_line(path: Path) -> Path:
    """Write a CSV file with a line that is too long."""
    return written(path, CSV.encode() + b"x" * (MOST_OF_LINE + 1))


def cut_gzip(path: Path) -> Path:
    """Write a gzip file that was not written to its end."""
    return written(path, gzip.compress(CSV.encode())[:-20] + b"")


def wrong_gzip(path: Path) -> Path:
    """Write a gzip file with a wrong checksum."""
    return written(path, gzip.compress(CSV.encode())[:-8] + b"\0" * 8)


@pytest.mark.parametrize(
    ("write", "where"),
    [(broken_csv, "line"), (long_line, "line 6: longer"), (cut_gzip, "line"), (wrong_gzip, "line 6: CRC")],
)
def test_a_broken_file(tmp_path: Path, write: Callable[[Path], Path], where: str) -> None:
    """Rows before the damage are read; then the error names the place."""
    source = open_csv(write(tmp_path / "trades.csv"), Rows())
    rows: list[Row] = []
    with opened(source), pytest.raises(Broken, match=where):
        rows.extend(source.rows)  # extend keeps what it got before the error
    assert [row.line for row in rows] == LINES[: len(rows)]


def test_the_position(tmp_path: Path) -> None:
    """It says how much of the file was read."""
    path = written(tmp_path / "trades.csv", CSV.encode())
    with opened(open_csv(path, Rows())) as source:
        assert list(source.rows)
        assert source.position() == source.size == path.stat().st_size


def parquet(path: Path, query: str, group: int = 122_880) -> Path:
    """Write the result of a query into a Parquet file with this number of rows in a row group."""
    import duckdb  # noqa: PLC0415  # an optional extra

    with duckdb.connect(":memory:") as connection:
        connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE {group})")  # our own text
    return path


def values_of(rows: Sequence[Row]) -> list[dict[str, object]]:
    """Return the lines as objects."""
    return [json.loads(row.line) for row in rows]


@needs_duckdb
def test_parquet(tmp_path: Path) -> None:
    """Decimals keep their digits, and timestamps of any kind their microseconds; NULL is no value."""
    query = """
        SELECT 'btcusdt' AS "Symbol", 77896.4924500000001::DECIMAL(38, 13) AS price, 0.25::DOUBLE AS size,
            TIMESTAMP '2026-11-21 06:10:27.123456' AS time, 17::BIGINT AS trade_id, 'buy' AS side
        UNION ALL SELECT 'ethusdt', 3000, NULL, TIMESTAMP '2026-11-21 06:10:28', 18, NULL
    """
    rows = rows_of(open_parquet, parquet(tmp_path / "trades.parquet", query))
    assert [row.line for row in rows] == [
        b'{"asset":"btcusdt","price":77896.4924500000001,"volume":0.25,"timestamp":1795241427123456,"id":"17","side":"buy"}',
        b'{"asset":"ethusdt","price":3000.0000000000000,"timestamp":1795241428000000,"id":"18"}',
    ]
    assert [row.number for row in rows] == [1, 2]


@needs_duckdb
@pytest.mark.parametrize(
    "time",
    ["TIMESTAMPTZ '2026-11-21 08:10:27+02'", "TIMESTAMP_NS '2026-11-21 06:10:27'", "1795241427::DOUBLE", "1795241427"],
)
def test_times_in_parquet(tmp_path: Path, time: str) -> None:
    """A column with times may have any type that Parquet has for them, or numbers."""
    path = parquet(tmp_path / "trades.parquet", f"SELECT 1 AS price, {time} AS timestamp")  # our own text
    (row,) = rows_of(open_parquet, path)
    assert row.at == 1_795_241_427_000_000


@needs_duckdb
def test_the_order_of_parquet(tmp_path: Path) -> None:
    """Rows come in the order of the file, also from several row groups, and the position counts them."""
    query = "SELECT range AS id, 1 AS price, range AS time FROM range(50000)"
    with opened(open_parquet(parquet(tmp_path / "trades.parquet", query, group=5000), Rows())) as source:
        ids = [value["id"] for value in values_of(list(source.rows))]
        assert ids == [str(number) for number in range(50_000)]
        assert source.position() == source.size == 50_000


@needs_duckdb
@pytest.mark.parametrize("content", [b"", b"PAR1", b"price,time\n1,2\n"])
def test_what_is_no_parquet(tmp_path: Path, content: bytes) -> None:
    """The refusal names the file."""
    with pytest.raises(Unusable, match=r"trades\.parquet cannot be read as Parquet"):
        open_parquet(written(tmp_path / "trades.parquet", content), Rows())


@needs_duckdb
def test_parquet_without_the_columns(tmp_path: Path) -> None:
    """The refusal names those that it has."""
    with pytest.raises(Unusable, match=r"no column price.*a, b"):
        open_parquet(parquet(tmp_path / "trades.parquet", "SELECT 1 AS a, 2 AS b"), Rows())


def test_parquet_without_duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal says how to install it."""
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    with pytest.raises(Unusable, match=r"pip install -e '\.\[archive\]'"):
        open_parquet(tmp_path / "trades.parquet", Rows())


TRADE = (
    '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"sell","price":77896.49,"qty":0.25,'
    '"ord_type":"limit","trade_id":17,"timestamp":"2026-11-21T06:10:27.123456Z"}]}'
)
KRAKEN = Header("kraken1", "kraken", pushed=True, began=0)


def recording(path: Path, header: Header, *records: Record) -> Path:
    """Write a recording; return its path."""
    file = RecordingFile(path, header)
    for record in records:
        file.add(record)
    file.close()
    return path


def test_a_recording(tmp_path: Path) -> None:
    """Trades are read from the frames of the feed of trades; other frames and answers are left out."""
    ticker = Record(1, frame=TRADE)  # of the other feed, whatever it contains
    answer = Record(2, path="/0/public/Ticker", status=200, text="{}")
    lost = Record(3, frame="", error=Reason.UNREACHABLE, trades=True)
    beat = Record(4, frame='{"channel":"heartbeat"}', trades=True)
    wrong = Record(5, frame="no\nJSON", trades=True)
    trade = Record(6, frame=TRADE, trades=True)
    path = recording(tmp_path / "kraken.rec.gz", KRAKEN, ticker, answer, lost, beat, wrong, trade)
    first, second = rows_of(open_recording, path)
    assert first == Row(6, None, b"no JSON")
    assert (second.number, second.at) == (7, 1_795_241_427_123_456)
    assert json.loads(second.line) == {
        "asset": "btcusd",
        "price": 77896.49,
        "volume": 0.25,
        "timestamp": 1795241427.123456,
        "venue": "kraken1",
        "id": "17",
        "side": "sell",
        "sequence_number": 17,
    }


def test_a_recording_that_was_cut_short(tmp_path: Path) -> None:
    """It is read as far as it goes, as after a kill of the recorder."""
    trades = [Record(at, frame=TRADE, trades=True) for at in range(50)]
    whole = recording(tmp_path / "kraken.rec.gz", KRAKEN, *trades).read_bytes()
    rows = rows_of(open_recording, written(tmp_path / "cut.rec.gz", whole[:-30]))
    assert 0 < len(rows) < 50
    assert len({row.line for row in rows}) == 1


@pytest.mark.parametrize(
    ("header", "said"),
    [(KRAKEN, "has tickers of kraken1, and no trades; record with"), (Header("a", "b", False, 0), "no feed of trades")],  # noqa: FBT003  # not pushed
)
def test_a_recording_without_trades(tmp_path: Path, header: Header, said: str) -> None:
    """The refusal says so, before anything is sent."""
    with pytest.raises(Unusable, match=said):
        open_recording(recording(tmp_path / "tickers.rec.gz", header, Record(1, frame="{}")), Rows())


@pytest.mark.parametrize(
    "content", [b"", b"text", gzip.compress(b"text"), gzip.compress(b"{}")[:-9]], ids=["empty", "text", "gzip", "cut"]
)
def test_what_is_no_recording(tmp_path: Path, content: bytes) -> None:
    """The refusal says so."""
    with pytest.raises(Unusable, match="no recording"):
        open_recording(written(tmp_path / "trades.rec.gz", content), Rows())


def test_csv_that_another_program_wrote(tmp_path: Path) -> None:
    """Line ends of Windows, quotes and line ends in quotes are read."""
    path = tmp_path / "trades.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["price", "time", "id"], ["1", "1795241427", "two\nlines"]])
    (row,) = rows_of(open_csv, path)
    assert json.loads(row.line) == {"price": 1, "timestamp": 1_795_241_427, "id": "two\nlines"}
