"""Trades as rows of PostgreSQL: COPY's text, parameters of an insert, and back."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from aggregator.models import Side, Trade
from aggregator.stores.postgres.connections import Row

# In the order of Trade's fields.
COLUMNS = ("asset", "price", "volume", "timestamp", "venue", "id", "side", "sequence_number", "late")

_NULL = "\\N"
_MICROSECONDS = 1_000_000
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def copy_text(trades: Iterable[Trade]) -> bytes:
    """Return rows of COLUMNS in the text format of COPY."""
    second, text = -1, ""  # trades of one call are mostly of the same second
    lines = []
    for one in trades:
        seconds, micros = divmod(round(one.timestamp * _MICROSECONDS), _MICROSECONDS)
        if seconds != second:
            second, text = seconds, f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"
        asset = one.asset if one.asset.isalnum() else one.asset.translate(_ESCAPES)
        venue = one.venue if one.venue.isalnum() else one.venue.translate(_ESCAPES)
        trade_id = one.id if one.id.isalnum() else one.id.translate(_ESCAPES)
        volume = _NULL if one.volume is None else one.volume
        sequence = _NULL if one.sequence is None else one.sequence
        lines.append(
            f"{asset}\t{one.price}\t{volume}\t{text}.{micros:06d}+00\t{venue}\t{trade_id}\t{one.side or _NULL}"
            f"\t{sequence}\t{one.late}\n"
        )
    return "".join(lines).encode()


def columns_of(trades: Sequence[Trade]) -> tuple[list[Any], ...]:
    """Return the values of each of COLUMNS, numbers as text: asyncpg takes three times as long for a Decimal."""
    return (
        [trade.asset for trade in trades],
        [str(trade.price) for trade in trades],
        [None if trade.volume is None else str(trade.volume) for trade in trades],
        [trade.timestamp for trade in trades],
        [trade.venue for trade in trades],
        [trade.id for trade in trades],
        [trade.side for trade in trades],
        [trade.sequence for trade in trades],
        [trade.late for trade in trades],
    )


def trade_of(row: Row) -> Trade:
    """Return the trade of a row of COLUMNS."""
    asset, price, volume, timestamp, venue, trade_id, side, sequence, late = row
    return Trade(asset, price, volume, timestamp, venue, trade_id, side and Side(side), sequence, late)
