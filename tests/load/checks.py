"""Checks of answers under load: each returns what is wrong, or an empty string.

The messages are few and name no symbol, because locust keeps a row for each different one. This module does not import
locust, which would patch the whole process of the tests.
"""

from collections.abc import Collection

import msgspec

_OTHER = "not the symbol asked for"
_NO_PRICE = "no positive price"


class _Price(msgspec.Struct):
    asset: str
    price: float


class _Sources(_Price):
    sources: list[object]


class _List(msgspec.Struct):
    prices: list[_Price]
    missing: list[object]


class _Row(msgspec.Struct):
    price: float
    timestamp: float


class _History(msgspec.Struct):
    asset: str
    prices: list[_Row]


class _Refusal(msgspec.Struct):
    msg: str


_price = msgspec.json.Decoder(_Price)
_sources = msgspec.json.Decoder(_Sources)
_list = msgspec.json.Decoder(_List)
_history = msgspec.json.Decoder(_History)
_refusal = msgspec.json.Decoder(_Refusal)


def price(body: bytes, symbol: str) -> str:
    """GET /prices/{asset}: this asset, with a price above zero."""
    try:
        one = _price.decode(body)
    except msgspec.DecodeError:
        return "not a price"
    return _one(one, symbol)


def sources(body: bytes, symbol: str) -> str:
    """GET /prices/{asset}/sources: this asset, with a price above zero and at least one source."""
    try:
        one = _sources.decode(body)
    except msgspec.DecodeError:
        return "not a price with its sources"
    return _one(one, symbol) or ("" if one.sources else "no sources")


def prices(body: bytes, symbols: Collection[str]) -> str:
    """GET /prices?…: exactly these assets, each with a price above zero, none missing."""
    try:
        many = _list.decode(body)
    except msgspec.DecodeError:
        return "not a list of prices"
    if many.missing:
        return "some are missing"
    if len(many.prices) != len(symbols) or {one.asset for one in many.prices} != set(symbols):
        return "not the symbols asked for"
    return "" if all(one.price > 0 for one in many.prices) else _NO_PRICE


def history(body: bytes, symbol: str) -> str:
    """GET /prices/{asset}/history: this asset, at least one price, newest first, all above zero."""
    try:
        page = _history.decode(body)
    except msgspec.DecodeError:
        return "not a page of history"
    if page.asset != symbol:
        return _OTHER
    times = [row.timestamp for row in page.prices]
    if not times or times != sorted(times, reverse=True):
        return "nothing stored, or not newest first"
    return "" if all(row.price > 0 for row in page.prices) else _NO_PRICE


def unknown(body: bytes) -> str:
    """GET /prices/{unknown}: the service's own 404, not a proxy's and not that of a missing route."""
    try:
        refusal = _refusal.decode(body)
    except msgspec.DecodeError:
        return "not a refusal"
    return "" if refusal.msg == "Asset not found" else "not the refusal of an unknown asset"


def _one(one: _Price, symbol: str) -> str:
    if one.asset != symbol:
        return _OTHER
    return "" if one.price > 0 else _NO_PRICE
