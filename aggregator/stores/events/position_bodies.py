"""Positions as JSON in a column of a table; decimals are strings."""

import msgspec

from aggregator.errors import StoreRefused
from aggregator.strategy.ports import Position

_decoder = msgspec.json.Decoder(Position)


def position_body(position: Position) -> str:
    """Return the JSON of a position."""
    return msgspec.json.encode(position).decode()


def position_in(body: str) -> Position:
    """Return the position of a row. Raises StoreRefused for a row that is none."""
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise StoreRefused(f"a row that is no position: {error}") from error
