"""Reads the two files of a market: the listed pairs, and approximate prices of the assets."""

import csv
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from .market import Market, Pair
from .plants import Plants

LEVELS_FILE = Path(__file__).with_name("levels.csv")
DOLLARS = ("fdusd", "usdt", "usdc", "tusd", "usd1", "usde", "dai", "rlusd", "usd")
CURRENCIES = ("eur", "gbp", "try", "brl", "jpy", "aud", "cad", "chf", "mxn", "ars", "pln", "ron", "uah", "zar", "sgd")
QUOTES = (*DOLLARS, *CURRENCIES, "btc", "eth", "bnb")
NAME = re.compile(r"[a-z0-9]{1,32}")


class SymbolsError(Exception):
    """A symbols file that cannot be used; the message is one line: the place, the mistake, and what to do."""


def open_market(seed: int, symbols_file: Path) -> Market:
    """Return the market of the pairs in a symbols file, without plants. Raises SymbolsError."""
    return open_planted(seed, symbols_file, 0.0)[0]


def open_planted(seed: int, symbols_file: Path, rate: float) -> tuple[Market, Plants]:
    """Return the market of the pairs in a symbols file, and its plants at a rate. Raises SymbolsError."""
    levels = read_levels()
    pairs = read_pairs(symbols_file, levels)
    plants = Plants(seed, pairs, rate)
    return Market(seed, pairs, levels, plants.moves()), plants


def read_levels(path: Path = LEVELS_FILE) -> dict[str, float]:
    """Return US dollars by asset. The file has plausible examples, no quotes, and comment lines that begin with #."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(line for line in file if not line.startswith("#"))
        return {row["asset"]: float(row["usd"]) for row in rows}


def read_pairs(path: Path, known: Collection[str]) -> list[Pair]:
    """Return the pairs of a file with the header `symbol,base,quote` or just `symbol`, most traded first.

    `known` assets decide how a symbol without base and quote is split. Raises SymbolsError.
    """
    pairs: dict[str, Pair] = {}
    for line, row in _rows(path):
        pair = _pair(f"{path} line {line}", row, known, rank=len(pairs))
        if pair.symbol in pairs:
            raise SymbolsError(f"{path} line {line}: {pair.symbol} is listed twice; remove one of the two lines")
        pairs[pair.symbol] = pair
    if not pairs:
        raise SymbolsError(f"{path} lists no symbols; add one symbol per line under the header")
    return list(pairs.values())


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return (line number, row) of every line but the header and empty ones; a missing cell is an empty text."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            _check_header(path, reader.fieldnames or ())
            return [(reader.line_num, row) for row in reader]
    except OSError as error:
        raise SymbolsError(f"cannot read {path}: {error.strerror}; name the file with --symbols") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SymbolsError(f"{path} is not CSV in UTF-8 ({error}); name another file with --symbols") from error


def _check_header(path: Path, header: Collection[str]) -> None:
    if "symbol" not in header:
        raise SymbolsError(f"{path} has no column `symbol`; make its first line `symbol,base,quote` or `symbol`")


def _pair(where: str, row: Mapping[str, str], known: Collection[str], rank: int) -> Pair:
    symbol, base, quote = (str(row.get(column, "")).strip().lower() for column in ("symbol", "base", "quote"))
    if not NAME.fullmatch(symbol):
        raise SymbolsError(f"{where}: {symbol!r} is no symbol; use letters a-z and digits only")
    if not base and not quote:
        base, quote = split(symbol, known)
    if not base or not quote:
        raise SymbolsError(f"{where}: {symbol} has only one of base and quote; give both in their columns, or neither")
    return Pair(symbol, base, quote, rank)


def split(symbol: str, known: Collection[str]) -> tuple[str, str]:
    """Split a symbol into (base, quote); a symbol that ends in no known quote is an asset in usd.

    The longest known base wins (dotusd is dot + usd, although it ends in tusd), else the longest quote.
    """
    cuts = [(symbol.removesuffix(quote), quote) for quote in QUOTES if symbol.endswith(quote) and symbol != quote]
    longest_base_first = sorted(cuts, reverse=True, key=lambda cut: len(cut[0]))
    known_first = [cut for cut in longest_base_first if cut[0] in known] + longest_base_first[::-1]
    return known_first[0] if known_first else (symbol, "usd")
