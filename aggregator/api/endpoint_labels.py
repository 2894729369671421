"""Assets and tiers as callers name them, sorted out."""

from collections.abc import Sequence

from aggregator.api import responses as answers
from aggregator.api.responses import refuse
from aggregator.models import Asset
from aggregator.prices.tiers import Catalog

MOST_ASSETS = 1000


def names_in(lists: Sequence[str]) -> list[str]:
    """Return each name of comma-separated lists once; raises the answer 400 where there is none, or too many."""
    given = ",".join(lists).split(",")
    names = list(dict.fromkeys(filter(None, given)))
    bound(names and given)  # counted as they are written, which is what a client can be told of
    return names


def sorted_out(names: Sequence[str], catalog: Catalog) -> tuple[list[Asset], list[dict[str, str]]]:
    """Return the assets of these names, and the names that are none, each with the reason."""
    assets: dict[str, Asset] = {}
    nowhere: list[dict[str, str]] = []
    for name in names:
        asset = catalog.find(name)  # nearly always; only what is not found is looked at more closely
        symbol = name if asset else answers.normal(name)
        asset = asset or (catalog.find(symbol) if symbol else None)
        if asset is not None:
            assets[asset.symbol] = asset
        else:
            nowhere.append(missing(symbol or name, answers.NOT_FOUND if symbol else answers.INVALID_SYMBOL))
    return list(assets.values()), nowhere


def missing(asset: str, reason: str) -> dict[str, str]:
    """Say that there is no price of this asset, and why."""
    return {"asset": asset, "reason": reason}


def bound(asked: Sequence[object]) -> None:
    """Raise the answer 400 unless at least one, and not too many, are asked for."""
    if not asked:
        raise refuse(400, "Name at least one asset")
    if len(asked) > MOST_ASSETS:
        raise refuse(400, f"{len(asked)} assets are too many: at most {MOST_ASSETS} in one call")
