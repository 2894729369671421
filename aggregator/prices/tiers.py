"""The symbols file, the catalog of its assets, and the tier of each asset."""

import csv
import io
from bisect import bisect_left
from collections.abc import Mapping, Sequence

import msgspec

from aggregator.models import Asset, Tier

MAX_SYMBOL = 32
_COLUMNS = (["symbol"], ["symbol", "base", "quote"])
_SHOWN_MISTAKES = 20
_LEAST_LETTERS = 3  # that an unknown symbol and a suggestion share
_MOST_COMPARED = 50  # symbols with the same first letters


class SymbolsError(ValueError):
    """The symbols file cannot be used; the message names each wrong line (the first 20)."""


class Cadence(msgspec.Struct, frozen=True):
    """A tier's refresh interval and the four ages derived from it, all in seconds."""

    interval: float

    @property
    def stale_after(self) -> float:
        """The age after which a price is marked stale: one refresh was missed."""
        return 1.5 * self.interval

    @property
    def ttl(self) -> float:
        """The time for which a cache keeps a price: longer than the interval, until after its refresh."""
        return 2 * self.interval

    @property
    def max_age(self) -> float:
        """The age after which a ticker does not count."""
        return 2 * self.interval

    @property
    def gone_after(self) -> float:
        """The age after which a price is no longer served."""
        return 6 * self.interval


class Catalog:
    """Every listed asset by symbol, hottest first, and each tier's cadence.

    A tier has a fixed set of slots, each named after an asset that the symbols file puts into the tier. Ranking by
    popularity may assign a slot to another asset, whose tier is then that of the slot.
    """

    def __init__(self, assets: Mapping[str, Asset], cadence: Mapping[Tier, Cadence]) -> None:
        self.cadence = cadence
        self._listed = assets
        self._slots = {tier: [asset.symbol for asset in assets.values() if asset.tier is tier] for tier in Tier}
        self._sorted = sorted(assets)
        self.assign_slots({})

    def near(self, symbol: str, most: int = 5) -> tuple[str, ...]:
        """Return at most `most` listed symbols that `symbol` may mean, hottest first: those with its first letters.

        All of its letters if any listed symbol begins with them, or else fewer and fewer, down to three.
        """
        for length in range(len(symbol), min(_LEAST_LETTERS, len(symbol)) - 1, -1):
            start = symbol[:length]
            first = bisect_left(self._sorted, start)
            if self._sorted[first : first + 1] and self._sorted[first].startswith(start):
                found = [one for one in self._sorted[first : first + _MOST_COMPARED] if one.startswith(start)]
                return tuple(sorted(found, key=lambda one: self._listed[one].rank)[:most])
        return ()

    def assign_slots(self, occupants: Mapping[str, str]) -> None:
        """Assign the slots: each asset has the slot of its own name, except those in `occupants` (slot -> asset)."""
        self.occupants = dict(occupants)
        changed = {
            occupant: msgspec.structs.replace(self._listed[occupant], tier=self._listed[slot].tier)
            for slot, occupant in occupants.items()
        }
        self.assets: Mapping[str, Asset] = {**self._listed, **changed}
        self._tiers = {tier: [asset for asset in self.assets.values() if asset.tier is tier] for tier in Tier}
        self.find = self.assets.get

    def slots(self, tier: Tier) -> Sequence[str]:
        """Return the tier's slots, which never change."""
        return self._slots[tier]

    def asset_in_slot(self, slot: str) -> str:
        """Return the symbol of the asset that has the slot."""
        return self.occupants.get(slot, slot)

    def of(self, tier: Tier) -> Sequence[Asset]:
        """Return the tier's assets by rank."""
        return self._tiers[tier]


def is_symbol(text: str) -> bool:
    """Whether `text` is 1 to 32 of a-z and 0-9; similar letters of other alphabets are refused."""
    return 0 < len(text) <= MAX_SYMBOL and text.isascii() and text.isalnum() and text == text.lower()


def read_symbols(text: str) -> list[tuple[str, str, str]]:
    """Return the rows (symbol, base, quote) of a symbols file with the header `symbol,base,quote` or `symbol`.

    Raises SymbolsError naming every line that is blank, a duplicate, or has characters other than a-z and 0-9.
    """
    header, *lines = _lines(text)
    if header[1] not in _COLUMNS:
        raise SymbolsError("line 1: the header must be symbol,base,quote or symbol")
    rows: list[tuple[str, str, str]] = []
    mistakes: list[str] = []
    first_seen: dict[str, int] = {}
    for number, line in lines:
        mistake = _mistake(line, len(header[1]), first_seen)
        if mistake is not None:
            mistakes.append(f"line {number}: {mistake}")
            continue
        first_seen[line[0]] = number
        rows.append((line[0], line[1], line[2]) if len(line) > 1 else (line[0], "", ""))
    if not rows and not mistakes:
        mistakes.append("line 2: there is no symbol")
    if mistakes:
        raise SymbolsError(_summary(mistakes))
    return rows


def _lines(text: str) -> list[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text))
    try:
        return [(reader.line_num, line) for line in reader] or [(1, [])]
    except csv.Error as error:
        raise SymbolsError(f"line {reader.line_num}: {error}") from error


def _mistake(line: Sequence[str], columns: int, first_seen: Mapping[str, int]) -> str | None:
    if not any(line):
        return "blank"
    if len(line) != columns:
        return f"{len(line)} columns instead of {columns}"
    for text in line:
        if not is_symbol(text):
            return f"{text[:MAX_SYMBOL]!r} is not 1 to {MAX_SYMBOL} of a-z and 0-9"
    if line[0] in first_seen:
        return f"{line[0]} is already on line {first_seen[line[0]]}"
    return None


def _summary(mistakes: Sequence[str]) -> str:
    shown = "; ".join(mistakes[:_SHOWN_MISTAKES])
    more = len(mistakes) - _SHOWN_MISTAKES
    return f"{shown}; and {more} more" if more > 0 else shown


def assign(
    rows: Sequence[tuple[str, str, str]], hot_size: int, medium_size: int, cadence: Mapping[Tier, Cadence]
) -> Catalog:
    """Return the catalog of the rows: the first `hot_size` are hot, the next `medium_size` medium, the rest cold."""
    assets = {}
    for rank, (symbol, base, quote) in enumerate(rows, start=1):
        tier = Tier.HOT if rank <= hot_size else Tier.MEDIUM if rank <= hot_size + medium_size else Tier.COLD
        assets[symbol] = Asset(symbol, base, quote, tier, rank)
    return Catalog(assets, cadence)
