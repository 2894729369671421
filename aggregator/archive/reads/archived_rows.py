"""Archived trades and prices as values, from the rows of Parquet files."""

import json
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from aggregator.archive.datasets import PRICES, TRADES
from aggregator.archive.reads.pages import Form
from aggregator.errors import StoreRefused
from aggregator.models import LeftOut, Price, Side, Source, Tier, Trade

_sources = msgspec.json.Decoder(tuple[Source, ...])
_left_out = msgspec.json.Decoder(tuple[LeftOut, ...])


def _trade(asset: str, row: Sequence[object]) -> Trade:
    at, price, volume, venue, trade_id, side, sequence, late, exact = row
    digits = _digits(exact)
    found_price = _decimal(digits.get("price", price))
    if found_price is None:
        raise StoreRefused("the archive has a trade without a price")
    return Trade(
        asset,
        found_price,
        _decimal(digits.get("volume", volume)),
        _seconds(at),
        str(venue),
        str(trade_id),
        None if side is None else Side(str(side)),
        None if sequence is None else int(str(sequence)),
        bool(late),
    )


def _price(asset: str, row: Sequence[object]) -> Price:
    at, price, spread, updated_at, tier, sources, left_out, exact = row
    digits = _digits(exact)
    found, width = _decimal(digits.get("price", price)), _decimal(digits.get("spread", spread))
    if found is None or width is None:
        raise StoreRefused("the archive has a price without an amount")
    try:
        parts = _sources.decode(str(sources)), _left_out.decode(str(left_out))
        return Price(asset, found, _seconds(at), Tier(str(tier)), width, _seconds(updated_at), *parts)
    except ValueError as error:  # of msgspec, too
        raise StoreRefused(f"the archive has a price that cannot be read: {error}") from error


def _digits(exact: object) -> dict[str, str]:
    found: dict[str, str] = json.loads(str(exact)) if exact else {}
    return found


def _seconds(at: object) -> float:
    return int(str(at)) / 1e6


def _decimal(value: object) -> Decimal | None:
    """Return a number without the zeros that DECIMAL(38,18) adds."""
    if value is None:
        return None
    text = str(value)
    return Decimal(text.rstrip("0").rstrip(".") if "." in text and "e" not in text.lower() else text)


TRADE_ROWS: Form[Trade] = Form(
    TRADES.name,
    "price::VARCHAR, volume::VARCHAR, venue, id, side, sequence_number, late, exact",
    ("venue", "id"),
    _trade,
)
PRICE_ROWS: Form[Price] = Form(
    PRICES.name,
    "price::VARCHAR, spread::VARCHAR, epoch_us(updated_at), tier, sources, left_out, exact",
    (),
    _price,
)
