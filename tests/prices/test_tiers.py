"""The symbols file, the tiers of its assets, and the ages of each tier."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.models import Tier
from aggregator.prices.tiers import SymbolsError, assign, is_symbol, read_symbols
from tests.parts.examples import CADENCE
from tests.parts.process import ROOT


def test_our_own_file_has_a_thousand_distinct_pairs() -> None:
    """symbols.csv starts with Bitcoin; each symbol is base + quote in lower case."""
    rows = read_symbols((ROOT / "symbols.csv").read_text(encoding="utf-8"))
    assert len(rows) == len(set(rows)) == 1000
    assert rows[0] == ("btcusdt", "btc", "usdt")
    assert all(symbol == base + quote for symbol, base, quote in rows)


def test_a_file_with_only_symbols_works() -> None:
    """Without the columns, base and quote are empty."""
    assert read_symbols("symbol\nbtcusdt\nethusdt\n") == [("btcusdt", "", ""), ("ethusdt", "", "")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: the header"),
        ("btcusdt,btc,usdt\n", "line 1: the header"),
        ("symbol,base\n", "line 1: the header"),
        ("symbol\n", "line 2: there is no symbol"),
        ("symbol\nbtcusdt\n\nethusdt\n", "line 3: blank"),
        ("symbol\nbtcusdt\nethusdt\nbtcusdt\n", "line 4: btcusdt is already on line 2"),
        ("symbol\nBTCUSDT\n", "line 2: 'BTCUSDT' is not"),
        ("symbol\nbtc usdt\n", "line 2: 'btc usdt' is not"),
        ("symbol\nbtc/usdt\n", "line 2: 'btc/usdt' is not"),
        ("symbol\n\u0432tcusdt\n", "line 2: '\u0432tcusdt' is not"),  # a Cyrillic look-alike
        ("symbol\nbtc\x00usdt\n", "line 2"),
        (f"symbol\n{'a' * 33}\n", "line 2"),
        ("symbol,base,quote\nbtcusdt,btc,usdt\nethusdt,eth\n", "line 3: 2 columns instead of 3"),
        ("symbol,base,quote\nbtcusdt,,usdt\n", "line 2: '' is not"),
        ('symbol\n"btcusdt\n', "line 2"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(text: str, told: str) -> None:
    """A blank, duplicate or malformed line is named with its number and the reason."""
    with pytest.raises(SymbolsError, match="line") as refusal:
        read_symbols(text)
    assert told in str(refusal.value)


def test_every_bad_line_is_named_at_once() -> None:
    """One start reports every mistake, so that one edit fixes them; only the first 20 are listed."""
    with pytest.raises(SymbolsError) as refusal:
        read_symbols("symbol\nA\nbtcusdt\nB\n")
    assert "line 2" in str(refusal.value)
    assert "line 4" in str(refusal.value)
    with pytest.raises(SymbolsError, match="and 980 more"):
        read_symbols("symbol\n" + "A\n" * 1000)


@given(st.text(max_size=40))
def test_any_text_gives_rows_or_an_error(text: str) -> None:
    """Any text gives valid rows or a SymbolsError, no other exception."""
    try:
        rows = read_symbols("symbol\n" + text)
    except SymbolsError:
        return
    assert all(is_symbol(symbol) for symbol, _, _ in rows)


def test_tiers_go_by_rank() -> None:
    """The first 20 are hot, the next 180 medium, the rest cold, each in the order of the file."""
    rows = [(f"s{number}", "", "") for number in range(1000)]
    catalog = assign(rows, 20, 180, CADENCE)
    assert [len(catalog.of(tier)) for tier in Tier] == [20, 180, 800]
    assert [asset.rank for asset in catalog.of(Tier.MEDIUM)] == list(range(21, 201))
    assert catalog.find("s0") is not None
    assert catalog.find("nope") is None


def test_a_short_file_is_all_hot() -> None:
    """Tier sizes are upper bounds."""
    catalog = assign([("btcusdt", "", "")], 20, 180, CADENCE)
    assert [len(catalog.of(tier)) for tier in Tier] == [1, 0, 0]


def test_a_price_outlives_its_interval_in_the_cache() -> None:
    """The TTLs are 10, 60 and 600 s: longer than the interval, so that a price does not expire before its refresh."""
    assert [CADENCE[tier].ttl for tier in Tier] == [10, 60, 600]
    assert [CADENCE[tier].stale_after for tier in Tier] == [7.5, 45, 450]
