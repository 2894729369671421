"""Rows of the journal that other processes have written. Most are never decoded as a whole: each has other assets."""

from collections.abc import Mapping
from functools import cached_property

import msgspec

from aggregator.errors import StoreRefused
from aggregator.models import Trade

_decoder = msgspec.json.Decoder(list[Trade])


class _Brief(msgspec.Struct, gc=False):
    """The part of a trade in JSON that a process needs to know of each trade of others."""

    asset: str
    timestamp: float


_brief_decoder = msgspec.json.Decoder(list[_Brief])


class ForeignRow:
    """A row: its id, the number of its trades, the newest time of each of its assets, and the trades."""

    def __init__(self, row: int, body: bytes, size: int, newest: Mapping[str, float]) -> None:
        self.id = row
        self.size = size
        self.newest = newest
        self._body = body

    @cached_property
    def trades(self) -> list[Trade]:
        """The trades. Raises StoreRefused."""
        try:
            return _decoder.decode(self._body)
        except msgspec.DecodeError as error:
            raise StoreRefused(f"row {self.id} of the journal holds something else than trades: {error}") from error


def foreign_row(row: int, body: bytes) -> ForeignRow:
    """Return a row with the body of encoded trades. Raises msgspec.DecodeError."""
    trades = _brief_decoder.decode(body)
    newest: dict[str, float] = {}
    for trade in trades:
        asset, timestamp = trade.asset, trade.timestamp
        if timestamp > newest.get(asset, -1.0):
            newest[asset] = timestamp
    return ForeignRow(row, body, len(trades), newest)
