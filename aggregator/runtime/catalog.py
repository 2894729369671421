"""The assets of a process and the conversions between them, from the symbols file and the settings."""

import stat
from pathlib import Path

from aggregator.errors import CannotGoOn
from aggregator.prices.conversion import CannotConvert, Conversions
from aggregator.prices.tiers import Catalog, SymbolsError, assign, read_symbols
from aggregator.settings import Settings

_MAX_SYMBOLS_BYTES = 16 << 20  # 100,000 assets take some 3 MiB


def catalog_of(settings: Settings) -> Catalog:
    """Return the assets of the symbols file, in tiers. Raises CannotGoOn."""
    path, mend = settings.symbols_file, "name a file with --symbols-file"
    try:
        rows = read_symbols(bytes_of(path, _MAX_SYMBOLS_BYTES, mend).decode("utf-8-sig"))
    except OSError as error:
        raise CannotGoOn(f"cannot read {path}: {error.strerror}", mend) from error
    except UnicodeDecodeError as error:
        raise CannotGoOn(f"{path} is not UTF-8 text") from error
    except SymbolsError as error:
        raise CannotGoOn(f"{path}: {error}") from error
    catalog = assign(rows, settings.hot_size, settings.medium_size, settings.cadence)
    unlisted = [symbol for symbol in settings.pinned if catalog.find(symbol) is None]
    if unlisted:
        raise CannotGoOn(f"{', '.join(unlisted)} not in {path}, but pinned", "name listed symbols with --pinned")
    conversions_of(settings, catalog)
    return catalog


def bytes_of(path: Path, most_bytes: int, mend: str) -> bytes:
    """Return the content of a regular file of bounded size. Raises OSError and CannotGoOn.

    Reading a named pipe or a device might never end.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise CannotGoOn(f"{path} is no regular file", mend)
    with path.open("rb") as file:
        raw = file.read(most_bytes + 1)
    if len(raw) > most_bytes:
        raise CannotGoOn(f"{path} is larger than {most_bytes >> 20} MiB", mend)
    return raw


def conversions_of(settings: Settings, catalog: Catalog) -> Conversions | None:
    """Return the conversions that the settings name, or None. Raises CannotGoOn."""
    if not settings.conversions:
        return None
    rates = [catalog.find(symbol) for symbol in settings.conversions]
    found = [rate for rate in rates if rate is not None]
    if len(found) < len(rates):
        unlisted = [symbol for symbol in settings.conversions if catalog.find(symbol) is None]
        raise CannotGoOn(f"{', '.join(unlisted)} not in {settings.symbols_file}, but a rate of --conversions")
    try:
        return Conversions(found, catalog.assets.values())
    except CannotConvert as error:
        raise CannotGoOn(f"{error} (AGGREGATOR_CONVERSIONS)") from error
