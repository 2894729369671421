"""Parsing of times and cursors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.api.reads.history_reader import CURSORS, Cursor, write_cursor
from aggregator.api.routing import parameters
from aggregator.models import rfc_3339


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("1696118400", 1696118400.0),
        ("1696118400.25", 1696118400.25),
        ("2023-10-01T00:00:00Z", 1696118400.0),
        ("2023-10-01t00:00:00z", 1696118400.0),
        ("2023-10-01 00:00:00Z", 1696118400.0),
        ("2023-10-01T00:00:00.25Z", 1696118400.25),
        ("2023-10-01T02:00:00+02:00", 1696118400.0),
        ("2023-10-01T02:00:00 02:00", 1696118400.0),  # an unescaped + is a space by the time it is here
        ("2023-09-30T19:00:00-05:00", 1696118400.0),
        ("2023-10-01", 1696118400.0),
        ("2024-02-29", 1709164800.0),
    ],
)
def test_valid_times(text: str, seconds: float) -> None:
    """Unix seconds and RFC 3339, with fractions and offsets; a date is midnight UTC."""
    assert parameters.parse_time(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "-1",
        "nan",
        "inf",
        "1e9",
        "1_000",
        "\u0661\u0662",
        "999999999999",
        "2026-02-30",
        "2026-02-30T00:00:00Z",
        "2025-02-29",
        "2026-13-01",
        "2026-01-01T25:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01T00:00Z",
        "2026-01-01T00:00:00+25:00",
        "1969-12-31T23:59:59Z",
        "2026-W01-1",
        "9999-12-31T23:59:59-23:59",
        "9999-12-31T23:59:59.999999Z",
        "9" * 5000,
    ],
)
def test_invalid_times(text: str) -> None:
    """Days that are not in the calendar, times without a zone, before 1970, after 9999, and nonsense."""
    assert parameters.parse_time(text) is None


@given(st.integers(0, int(parameters.LATEST_TIME) * 1000))
def test_our_own_times_are_valid(milliseconds: int) -> None:
    """Either form of a time can be parsed back, to the bit."""
    seconds = milliseconds / 1000
    assert parameters.parse_time(rfc_3339(seconds)) == seconds


@given(st.text(max_size=60))
def test_any_text_is_a_time_or_none(text: str) -> None:
    """Nothing is raised."""
    found = parameters.parse_time(text)
    assert found is None or 0 <= found <= parameters.LATEST_TIME


@given(st.text("abcxyz019", min_size=1, max_size=32), st.floats(0, 1e12), st.floats(0, 1e12), st.booleans())
def test_a_cursor_survives_the_round_trip(asset: str, start: float, end: float, newest_first: bool) -> None:  # noqa: FBT001  # drawn
    """To the bit, and safe in a URL."""
    written = write_cursor(Cursor(asset, start, end, newest_first=newest_first))
    assert CURSORS.read(written) == Cursor(asset, start, end, newest_first=newest_first)
    assert written.replace("-", "").replace("_", "").isalnum()


@given(st.data())
def test_an_altered_cursor_is_refused(data: st.DataObject) -> None:
    """One character changed, cut or added is enough."""
    written = write_cursor(Cursor("btcusdt", 0.0, 1696118400.25, newest_first=True))
    place = data.draw(st.integers(0, len(written) - 1))
    other = data.draw(st.sampled_from("ABCabc0189-_=.%"))
    for altered in (
        written[:place] + other + written[place + 1 :],
        written[:place] + written[place + 1 :],
        written[:place] + other + written[place:],
    ):
        assert altered == written or CURSORS.read(altered) is None


@given(st.text(max_size=600))
def test_any_text_is_a_cursor_or_none(text: str) -> None:
    """Nothing is raised for any text."""
    assert CURSORS.read(text) is None
