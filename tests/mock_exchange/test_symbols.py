"""The files of the mock exchange: symbols.csv, levels.csv, and the errors of broken ones."""

from pathlib import Path

import pytest

from mock_exchange.symbols import SymbolsError, open_market, read_levels, read_pairs, split

ROOT = Path(__file__).parents[2]
LEVELS = read_levels()


def test_our_list_is_a_thousand_distinct_pairs() -> None:
    """symbols.csv has 1000 pairs, bitcoin first, and each of their assets has a level."""
    pairs = read_pairs(ROOT / "symbols.csv", LEVELS)
    assert len({pair.symbol for pair in pairs}) == len(pairs) == 1000
    assert [pair.rank for pair in pairs] == list(range(1000))
    assert [pair.symbol for pair in pairs[:3]] == ["btcusdt", "ethusdt", "solusdt"]
    assert {asset for pair in pairs for asset in pair[1:3]} <= LEVELS.keys()
    assert all(level > 0 for level in LEVELS.values())


def test_our_list_is_plain_text() -> None:
    """symbols.csv is lower-case ASCII with LF line ends and a final newline."""
    raw = (ROOT / "symbols.csv").read_bytes()
    assert raw.startswith(b"symbol,base,quote\nbtcusdt,btc,usdt\n")
    assert raw.endswith(b"\n")
    assert b"\r" not in raw
    assert raw == raw.lower()


def test_symbols_alone_are_split_as_in_our_list(tmp_path: Path) -> None:
    """A file with the header `symbol` gives the same pairs."""
    full = read_pairs(ROOT / "symbols.csv", LEVELS)
    bare = tmp_path / "bare.csv"
    bare.write_text("\n".join(["symbol", *(pair.symbol.upper() for pair in full)]))
    assert read_pairs(bare, LEVELS) == full


@pytest.mark.parametrize(
    ("symbol", "cut"),
    [
        ("btcfdusd", ("btc", "fdusd")),
        ("dotusd", ("dot", "usd")),
        ("usdtusd", ("usdt", "usd")),
        ("newusdt", ("new", "usdt")),
        ("usdt", ("usdt", "usd")),
        ("what", ("what", "usd")),
    ],
)
def test_a_symbol_is_split_before_its_quote(symbol: str, cut: tuple[str, str]) -> None:
    """The longest known base wins, else the longest quote."""
    assert split(symbol, LEVELS) == cut


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no column `symbol`"),
        ("name\nbtcusdt\n", "no column `symbol`"),
        ("symbol,base,quote\n", "lists no symbols"),
        ("symbol,base,quote\nbtcusdt,btc\n", "line 2: btcusdt has only one of base and quote"),
        ("symbol\nbtcusdt\n\nbtcusdt\n", "line 4: btcusdt is listed twice"),
        ("symbol\nbtc/usdt\n", "line 2: 'btc/usdt' is no symbol"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, content: str, says: str) -> None:
    """The message is one line with the file and the line number."""
    file = tmp_path / "symbols.csv"
    file.write_text(content)
    with pytest.raises(SymbolsError, match=r"symbols\.csv") as caught:
        open_market(0, file)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    """A missing file, a folder and a file that is not UTF-8."""
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"symbol\n\xff\xfe\n")
    for path in (binary, tmp_path, tmp_path / "none.csv"):
        with pytest.raises(SymbolsError, match=r"name (the file|another file) with --symbols"):
            open_market(0, path)
