"""The file of a recording returns what was written, and is bounded."""

import gzip
from pathlib import Path

import pytest

from aggregator.exchanges.dialect import Market, Request
from aggregator.exchanges.recording import (
    BadRecording,
    Header,
    Record,
    RecordingFile,
    body_fields,
    kept,
    read,
)

BEGAN = 1_700_000_000.0
HEADER = Header("binance", "binance", pushed=False, began=BEGAN)


def body(price: str, at: float, symbol: str = "BTCUSDT") -> str:
    """Return Binance's ticker of one symbol."""
    return (
        f'{{"symbol":"{symbol}","lastPrice":"{price}","volume":"8913.30000000",'
        f'"closeTime":{round(at * 1000)},"quoteVolume":"1"}}'
    )


def said(at: float, price: str, delay: float = 0.2, symbol: str = "btcusdt") -> Record:
    """Return a recorded answer about one pair."""
    markets = (Market(symbol, symbol.upper()),)
    return Record(at, "/x", markets, 200, {}, body(price, at - delay, symbol.upper()))


def test_a_body_comes_back_byte_for_byte(tmp_path: Path) -> None:
    """Text is stored as readable text, other bytes unchanged."""
    path = tmp_path / "x.rec.gz"
    file = RecordingFile(path, HEADER)
    bodies = [b'{"a":1}', b"\xff\xfe\x00", "żółć €".encode(), b""]
    for number, content in enumerate(bodies):
        file.add(Record(BEGAN + number, f"/{number}", status=200, **body_fields(content)))  # type: ignore[arg-type]  # one of two fields
    file.close()
    recording = read(path)
    found = [recording.first(Request(f"/{number}")) for number in range(len(bodies))]
    assert [one.body for one in found if one is not None] == bodies
    with pytest.raises(FileExistsError):
        RecordingFile(path, HEADER)


def test_no_cookie_gets_into_a_recording() -> None:
    """Only headers that a dialect may read are kept."""
    headers = {"Date": "d", "Set-Cookie": "secret", "X-MBX-USED-WEIGHT-1M": "3", "Retry-After": "5", "Server": "x"}
    assert list(kept(headers)) == ["Date", "X-MBX-USED-WEIGHT-1M", "Retry-After"]


def test_what_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """A kill costs at most the last second, wherever it cuts a line or a block."""
    path = tmp_path / "x.rec.gz"
    file = RecordingFile(path, HEADER)
    for number in range(50):
        file.add(said(BEGAN + number, str(number + 1)))
    written = path.read_bytes()  # as a kill would leave it: never closed
    for length in range(len(written) - 60, len(written)):
        (tmp_path / "cut").write_bytes(written[:length])
        recording = read(tmp_path / "cut")
        assert recording.newest("btcusdt", BEGAN + 40) is not None
    assert recording.ends >= BEGAN + 48
    file.close()


REFUSED = {
    "empty": b"",
    "no gzip": b"no gzip",
    "empty within": gzip.compress(b""),
    "no json": gzip.compress(b"no json\n"),
    "no header": gzip.compress(b"[]\n"),
    "missing": None,
}


# Names of their own: gzip writes the time into its header, and two processes would call one case by two names.
@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_what_is_no_recording_is_refused(content: bytes | None, tmp_path: Path) -> None:
    """The error names the file, also a missing one."""
    path = tmp_path / "x.rec.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadRecording, match=r"x\.rec\.gz"):
        read(path)


def test_a_recording_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that decompresses to a large one is refused."""
    monkeypatch.setattr("aggregator.exchanges.recording.MOST_BYTES", 1 << 20)
    path = tmp_path / "bomb.rec.gz"
    path.write_bytes(gzip.compress(b" " * (8 << 20)))
    with pytest.raises(BadRecording, match="holds more than"):
        read(path)
