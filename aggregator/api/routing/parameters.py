"""Parsing of parameters: the assets that a request names, found in the catalog, and times."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from starlette.requests import Request

from aggregator.api.routing.responses import INVALID_SYMBOL, NO_PRICE, NOT_FOUND, normal, refuse_parameter
from aggregator.models import Asset
from aggregator.prices.tiers import Catalog

MOST_ASSETS = 1000  # in one request
_MOST_SUGGESTED = 20  # unknown symbols of one request that get suggestions


ASSET_NAMES = ("symbol", "ticker", "asset")  # query parameters that name one asset: those of other systems, and ours


def given_asset(request: Request) -> str | None:
    """Return the name of an asset in the query string, None without one. Raises the response 400 for several."""
    given = [request.query_params[name] for name in ASSET_NAMES if name in request.query_params]
    if len(given) > 1:
        raise refuse_parameter("Give one of symbol, ticker and asset")
    return given[0] if given else None


def split_names(lists: Sequence[str]) -> list[str]:
    """Return each name of comma-separated lists once. Raises the response 400 if there is none, or too many."""
    given = ",".join(lists).split(",")
    names = list(dict.fromkeys(filter(None, given)))
    check_count(names and given)  # with repetitions: that is the number that the client has written
    return names


class Missing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A requested asset without a price, and the reason. `near` has listed assets that an unknown symbol may mean."""

    asset: str
    reason: Annotated[str, msgspec.Meta(extra_json_schema={"enum": [INVALID_SYMBOL.msg, NOT_FOUND.msg, NO_PRICE.msg]})]
    near: tuple[str, ...] = ()


def find_assets(names: Sequence[str], catalog: Catalog) -> tuple[list[Asset], list[Missing]]:
    """Return the assets with these names, each once, and an entry with the reason for each name without an asset."""
    assets: dict[str, Asset] = {}
    without_asset: list[Missing] = []
    for name in names:
        asset = catalog.find(name)  # nearly every name is found as it is written; only others are normalised
        symbol = name if asset else normal(name)
        asset = asset or (catalog.find(symbol) if symbol else None)
        if asset is not None:
            assets[asset.symbol] = asset
        else:
            near = catalog.near(symbol) if symbol and len(without_asset) < _MOST_SUGGESTED else ()
            reason = NOT_FOUND if symbol else INVALID_SYMBOL
            without_asset.append(Missing(symbol or name, reason.msg, near))
    return list(assets.values()), without_asset


def check_count(requested: Sequence[object]) -> None:
    """Raise the response 400 unless the request has between 1 and MOST_ASSETS assets."""
    if not requested:
        raise refuse_parameter("Name at least one asset")
    if len(requested) > MOST_ASSETS:
        raise refuse_parameter(f"{len(requested)} assets are too many: at most {MOST_ASSETS} in one call")


LATEST_TIME = 253_402_300_799.0  # the last second of the year 9999
UNIX = r"[0-9]{1,12}(\.[0-9]{1,9})?"
_RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d)([Tt ](\d\d:\d\d:\d\d(\.\d{1,9})?)([Zz]|[+ -]\d\d:\d\d))?", re.ASCII)


def time_of(request: Request, name: str, default: float) -> float:
    """Return a query parameter that is a time, in unix seconds. Raises the response 400."""
    text = request.query_params.get(name)
    if text is None:
        return default
    seconds = parse_time(text)
    if seconds is None:
        raise refuse_parameter(
            f"{name} must be unix seconds or RFC 3339, such as 1696118400.25 or 2023-10-01T00:00:00.25Z"
        )
    return seconds


def parse_time(text: str) -> float | None:
    """Return unix seconds, or None if the text is not a time. A date alone is midnight UTC of that day."""
    if re.fullmatch(UNIX, text):
        seconds = float(text)
        return seconds if seconds <= LATEST_TIME else None
    match = _RFC_3339.fullmatch(text)
    if match is None:
        return None
    day, clock, zone = match[1], match[3] or "00:00:00", match[5] or "Z"
    # An unescaped + in a query string arrives as a space.
    zone = "+00:00" if zone in "Zz" else zone.replace(" ", "+")
    try:
        seconds = datetime.fromisoformat(f"{day}T{clock}{zone}").timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds <= LATEST_TIME else None
