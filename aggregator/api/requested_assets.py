"""The assets that a request names: parsing of comma-separated lists, and lookup in the catalog."""

from collections.abc import Sequence

from aggregator.api.responses import INVALID_SYMBOL, NOT_FOUND, normal, refuse
from aggregator.models import Asset
from aggregator.prices.tiers import Catalog

MOST_ASSETS = 1000  # in one request


def split_names(lists: Sequence[str]) -> list[str]:
    """Return each name of comma-separated lists once. Raises the response 400 if there is none, or too many."""
    given = ",".join(lists).split(",")
    names = list(dict.fromkeys(filter(None, given)))
    check_count(names and given)  # with repetitions: that is the number that the client has written
    return names


def find_assets(names: Sequence[str], catalog: Catalog) -> tuple[list[Asset], list[dict[str, str]]]:
    """Return the assets with these names, each once, and an entry with the reason for each name without an asset."""
    assets: dict[str, Asset] = {}
    without_asset: list[dict[str, str]] = []
    for name in names:
        asset = catalog.find(name)  # nearly every name is found as it is written; only others are normalised
        symbol = name if asset else normal(name)
        asset = asset or (catalog.find(symbol) if symbol else None)
        if asset is not None:
            assets[asset.symbol] = asset
        else:
            without_asset.append(missing_entry(symbol or name, NOT_FOUND if symbol else INVALID_SYMBOL))
    return list(assets.values()), without_asset


def missing_entry(asset: str, reason: str) -> dict[str, str]:
    """Return the entry of `missing` for an asset without a price."""
    return {"asset": asset, "reason": reason}


def check_count(requested: Sequence[object]) -> None:
    """Raise the response 400 unless the request has between 1 and MOST_ASSETS assets."""
    if not requested:
        raise refuse(400, "Name at least one asset")
    if len(requested) > MOST_ASSETS:
        raise refuse(400, f"{len(requested)} assets are too many: at most {MOST_ASSETS} in one call")
