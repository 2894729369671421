"""The assets that an article is about: by the symbols that its source gives, by $TICKER, by name, or by a ticker alone.

`names.csv` has a row for each base: `symbol`, `alone` and `names`, which are separated by `|`. A name in lower case is
found in any case, one with capitals only as it is written ("Avalanche", not "an avalanche of orders"). `alone` says
whether the ticker counts without `$`, in capitals: not where it is a word or an abbreviation of something else.
"""

import csv
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files

import msgspec

from aggregator.news.articles import Article
from aggregator.prices.tiers import Catalog

MOST_ASSETS = 50  # of one article
_WORD = re.compile(r"\$?\w+")
_SEPARATORS = re.compile("[-/_ ]")


class Name(msgspec.Struct, frozen=True):
    """A name of a base, as words. `is_exact`: its case counts."""

    base: str
    words: tuple[str, ...]
    is_exact: bool


class Names(msgspec.Struct, frozen=True):
    """The known names by their first word in lower case, the longest first, and the bases by tickers that count alone.

    `symbols` are all bases that have names.
    """

    by_word: Mapping[str, list[Name]]
    alone: Mapping[str, str]
    symbols: frozenset[str]


def read_names(lines: Iterable[str] | None = None) -> Names:
    """Return the names of a CSV file, or those of the package."""
    if lines is None:
        lines = files("aggregator.news").joinpath("names.csv").read_text("utf-8").splitlines()
    by_word: dict[str, list[Name]] = {}
    alone: dict[str, str] = {}
    symbols: set[str] = set()
    for row in csv.DictReader(lines):
        base = row["symbol"]
        symbols.add(base)
        if row["alone"] == "yes":
            alone[base.upper()] = base
        for text in filter(None, row["names"].split("|")):
            name = Name(base, tuple(_WORD.findall(text)), text != text.lower())
            by_word.setdefault(name.words[0].lower(), []).append(name)
    for names in by_word.values():
        names.sort(key=lambda name: -len(name.words))
    return Names(by_word, alone, frozenset(symbols))


class Mentions:
    """Finds the assets of a catalog in articles."""

    def __init__(self, catalog: Catalog, names: Names) -> None:
        self._catalog = catalog
        self._names = names
        self._assets: dict[str, list[str]] = {}  # by base
        for asset in catalog.assets.values():
            self._assets.setdefault(asset.base or asset.symbol, []).append(asset.symbol)

    def assets(self, article: Article) -> tuple[str, ...]:
        """Return the symbols of the assets, at most MOST_ASSETS: those that the source gives come first."""
        found = dict.fromkeys(symbol for sent in article.symbols for symbol in self._given(sent))
        for text in (article.headline, article.summary):
            for base in bases_in(text, self._names, self._assets):
                found.update(dict.fromkeys(self._assets[base]))
        return tuple(found)[:MOST_ASSETS]

    def _given(self, sent: str) -> Iterable[str]:
        """Return the assets of a symbol such as `BTC`, `btc-usdt` or `BINANCE:BTCUSDT`."""
        symbol = _SEPARATORS.sub("", sent.rpartition(":")[2].strip().lower())
        asset = self._catalog.find(symbol)
        return self._assets.get(symbol, ()) if asset is None else (asset.symbol,)


def bases_in(text: str, names: Names, listed: Mapping[str, object]) -> list[str]:
    """Return the listed bases that a text names, in the order of the text. Words of a name count for no other name."""
    words, found, place = _WORD.findall(text), [], 0
    while place < len(words):
        base, length = _base_at(words, place, names)
        place += length
        if base in listed:
            found.append(base)
    return found


def _base_at(words: list[str], place: int, names: Names) -> tuple[str, int]:
    """Return the base that the words name from `place` on, empty if there is none, and the number of its words."""
    word = words[place]
    if word[0] == "$":
        return word[1:].lower(), 1
    for name in names.by_word.get(word.lower(), ()):
        length = len(name.words)
        found = words[place : place + length]
        if tuple(found if name.is_exact else map(str.lower, found)) == name.words:
            return name.base, length
    return names.alone.get(word, ""), 1
