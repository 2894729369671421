"""Rows: names of fields, numbers with all their digits, times in all units, the shift."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.cli.replay.rows import FIELDS, Rows, as_number, as_text, microseconds

SECONDS = 1_795_241_427


def values(**fields: bytes) -> list[bytes | None]:
    """Return values in the order of the fields."""
    return [fields.get(name) for name in FIELDS]


@pytest.mark.parametrize(
    ("value", "at"),
    [
        (b"1795241427", SECONDS * 10**6),
        (b"1795241427.25", SECONDS * 10**6 + 250_000),
        (b"1.795241427e9", SECONDS * 10**6),
        (b"1795241427123", SECONDS * 10**6 + 123_000),
        (b"1795241427123456", SECONDS * 10**6 + 123_456),
        (b"1795241427123456789", SECONDS * 10**6 + 123_457),
        (b'"2026-11-21T06:10:27.25Z"', SECONDS * 10**6 + 250_000),
        (b'"2026-11-21T08:10:27+02:00"', SECONDS * 10**6),
        (b'"2026-11-21 06:10:27"', SECONDS * 10**6),
        (b'"1795241427"', SECONDS * 10**6),
        (b'"yesterday"', None),
        (b"-1", None),
        (b"1e999999999", None),
        (b"9" * 100, None),
        (b"true", None),
        (b"[1]", None),
    ],
)
def test_times(value: bytes, at: int | None) -> None:
    """A number is in s, ms, µs or ns by its size, a text RFC 3339 or a number; any other value has no time."""
    assert microseconds(value) == at


@given(st.text(max_size=40))
def test_any_text_becomes_json(text: str) -> None:
    """As a JSON string, whatever its characters."""
    assert msgspec.json.decode(as_text(text)) == text


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_numbers_keep_their_digits(number: Decimal) -> None:
    """A number is not changed, and no text becomes another number."""
    assert msgspec.json.decode(as_number(str(number)), type=Decimal) == number


@pytest.mark.parametrize("text", ["abc", "1,5", "0x10", "NaN", "1e", "01", "٣"])
def test_what_is_no_number_stays_text(text: str) -> None:
    """The service sees it as it was, and says what is wrong."""
    assert msgspec.json.decode(as_number(text)) == text


def test_the_line() -> None:
    """Fields that the file does not have are left out."""
    row = Rows().row(7, values(asset=b'"btcusdt"', price=b"1.50", timestamp=b"1795241427"))
    assert row == (7, SECONDS * 10**6, b'{"asset":"btcusdt","price":1.50,"timestamp":1795241427}')


def test_asset_and_venue_for_trades_without() -> None:
    """They do not replace those of the file."""
    rows = Rows(asset="ethusdt", venue='my "venue"')
    assert msgspec.json.decode(rows.row(1, values()).line) == {"asset": "ethusdt", "venue": 'my "venue"'}
    own = values(asset=b'"btcusdt"', venue=b'"kraken"')
    assert msgspec.json.decode(rows.row(2, own).line) == {"asset": "btcusdt", "venue": "kraken"}


def test_the_shift() -> None:
    """The first trade gets the time of the shift; all others keep their distance to it, exact to the microsecond."""
    rows = Rows(shift_to=2_000_000_000_000_001)
    sent = [b"1795241427", b'"bad"', b'"2026-11-21T06:10:28.000001Z"', b"1795241426999999"]
    shifted = [rows.row(1, values(timestamp=one)).line for one in sent]
    times = (b"2000000000.000001", b'"bad"', b"2000000001.000002", b"2000000000.000000")
    assert shifted == [b'{"timestamp":' + one + b"}" for one in times]
