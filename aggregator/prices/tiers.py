"""The symbols file, the assets in it, and the tier of each asset."""

import csv
import io
from collections.abc import Mapping, Sequence

import msgspec

from aggregator.models import Asset, Tier

MAX_SYMBOL = 32
_COLUMNS = (["symbol"], ["symbol", "base", "quote"])
_SHOWN_MISTAKES = 20


class SymbolsError(ValueError):
    """The symbols file cannot be used; the message names every offending line."""


class Cadence(msgspec.Struct, frozen=True):
    """A tier's interval in seconds and the four ages that follow from it."""

    interval: float

    @property
    def stale_after(self) -> float:
        """Older than this, a price says that it is stale: one refresh was missed."""
        return 1.5 * self.interval

    @property
    def ttl(self) -> float:
        """How long a cache keeps a price: longer than the interval, so that none expires just before its refresh."""
        return 2 * self.interval

    @property
    def max_age(self) -> float:
        """An exchange's ticker older than this does not count."""
        return 2 * self.interval

    @property
    def gone_after(self) -> float:
        """Older than this, a price is no longer served at all."""
        return 6 * self.interval


class Catalog:
    """Every listed asset by symbol, hottest first, and each tier's cadence.

    Each tier has slots, named after the assets that the symbols file puts into it. By popularity, another may be given
    a slot; its tier is then the slot's.
    """

    def __init__(self, assets: Mapping[str, Asset], cadence: Mapping[Tier, Cadence]) -> None:
        self.cadence = cadence
        self._listed = assets
        self._slots = {tier: [asset.symbol for asset in assets.values() if asset.tier is tier] for tier in Tier}
        self.assign_slots({})

    def assign_slots(self, occupants: Mapping[str, str]) -> None:
        """Give each asset the slot of its own name, but for `occupants` (slot -> asset), who swap among themselves."""
        self.occupants = dict(occupants)
        changed = {
            occupant: msgspec.structs.replace(self._listed[occupant], tier=self._listed[slot].tier)
            for slot, occupant in occupants.items()
        }
        self.assets: Mapping[str, Asset] = {**self._listed, **changed}
        self._tiers = {tier: [asset for asset in self.assets.values() if asset.tier is tier] for tier in Tier}
        self.find = self.assets.get

    def slots(self, tier: Tier) -> Sequence[str]:
        """Return the tier's slots; they never change."""
        return self._slots[tier]

    def asset_in_slot(self, slot: str) -> str:
        """Return the symbol of who has the slot."""
        return self.occupants.get(slot, slot)

    def of(self, tier: Tier) -> Sequence[Asset]:
        """Return the tier's assets by rank."""
        return self._tiers[tier]


def is_symbol(text: str) -> bool:
    """Whether `text` could be a symbol: 1 to 32 of a-z and 0-9. Look-alikes from other alphabets are not."""
    return 0 < len(text) <= MAX_SYMBOL and text.isascii() and text.isalnum() and text == text.lower()


def read_symbols(text: str) -> list[tuple[str, str, str]]:
    """Rows (symbol, base, quote) of a symbols file, with header `symbol,base,quote` or just `symbol`.

    Raises SymbolsError naming every line that is blank, doubled or holds anything but a-z and 0-9.
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
    """Give each row its tier: the first `hot_size` are hot, the next `medium_size` medium, the rest cold."""
    assets = {}
    for rank, (symbol, base, quote) in enumerate(rows, start=1):
        tier = Tier.HOT if rank <= hot_size else Tier.MEDIUM if rank <= hot_size + medium_size else Tier.COLD
        assets[symbol] = Asset(symbol, base, quote, tier, rank)
    return Catalog(assets, cadence)
