"""A long listing is cut into short ones that together list the same markets."""

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.errors import Undecodable
from aggregator.exchanges.parts import PART, parts
from aggregator.exchanges.registry import DIALECTS

SIZE = 50
texts = st.text(st.sampled_from('ab"\\{}[],: \u00e9\U0001f600'), max_size=8)
values = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
markets = st.dictionaries(texts, values, max_size=4)
styles = st.sampled_from([None, 1])


def decoded(body: bytes, start: str, size: int = SIZE) -> list[Any]:
    """Return the decoded documents into which a body is cut."""
    found = parts(body, re.compile(start.encode()), size)
    return [json.loads(part) for part in found if part is not None]


@given(st.lists(markets, min_size=1), texts, styles)
def test_a_list(listed: list[Any], text: str, indent: int | None) -> None:
    """Each part has the fields around the list, and together they have its markets in order."""
    around = {"limits": [{"symbols": text}], "symbols": listed, "note": text}
    found = decoded(json.dumps(around, indent=indent).encode(), r'"symbols"\s*:\s*\[')
    assert [market for part in found for market in part["symbols"]] == listed
    assert all(part["note"] == text for part in found)


@given(st.lists(markets, min_size=1), styles)
def test_a_bare_list(listed: list[Any], indent: int | None) -> None:
    """A list without anything around it, as from Coinbase."""
    found = decoded(json.dumps(listed, indent=indent).encode(), r"\A\s*\[")
    assert [market for part in found for market in part] == listed


@given(st.dictionaries(texts, markets, min_size=1))
def test_markets_by_name(listed: dict[str, Any]) -> None:
    """An object of markets, as from Kraken."""
    found: dict[str, Any] = {}
    for part in decoded(json.dumps({"error": [], "result": listed}).encode(), r'"result"\s*:\s*\{'):
        found |= part["result"]
    assert found == listed


@given(st.binary(max_size=300))
def test_anything_else(body: bytes) -> None:
    """A body that is no list raises Undecodable, or gives parts that the decoder judges."""
    with suppress(Undecodable):
        assert all(part is None or isinstance(part, bytes) for part in parts(b"[" + body, re.compile(rb"\["), 10))


def test_a_long_list_is_cut() -> None:
    """Into parts of about 64 KiB."""
    listed = [{"symbol": f"{number}", "x": ["y"] * 20} for number in range(5000)]
    found = [part for part in parts(json.dumps(listed).encode(), re.compile(rb"\["), PART) if part is not None]
    assert len(found) > 5
    assert max(map(len, found)) < 2 * PART


@pytest.mark.parametrize("name", [name for name, dialect in DIALECTS.items() if dialect().listing is not None])
def test_every_venue_with_a_listing_says_where_its_markets_are(name: str) -> None:
    """Without `listing_start`, a listing longer than one part would be refused."""
    assert DIALECTS[name]().listing_start is not None
