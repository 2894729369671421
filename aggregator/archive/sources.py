"""What the archiver reads of a store: pages of one asset's events, and their form as JSON lines."""

import math
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import msgspec

from aggregator.archive.datasets import TRADES, Dataset
from aggregator.models import trade_key
from aggregator.trades.ports import TradeReader

PAGE = 1000  # events; decoding them holds the interpreter for a millisecond

_encoder = msgspec.json.Encoder()  # a Decimal as text: DuckDB reads numbers of JSON as binary floating point


class Source(Protocol):
    """The events of one dataset in a store."""

    @property
    def dataset(self) -> Dataset:
        """The dataset."""

    async def first(self, asset: str, start: float) -> float | None:
        """Return the time of the first event of an asset with start <= time, in unix seconds. Raises StoreError."""

    def pages(self, asset: str, start: float, end: float) -> AsyncIterator[Sequence[Any]]:
        """Yield the events of an asset with start <= time < end, in the order of their keys. Raises StoreError."""

    def lines(self, events: Sequence[Any]) -> bytes:
        """Return a JSON line for each event, of the columns of the dataset. Threads may call it."""


class StoredTrades:
    """`Source` of a store of trades."""

    dataset = TRADES

    def __init__(self, reader: TradeReader) -> None:
        self._reader = reader

    async def first(self, asset: str, start: float) -> float | None:
        """As `Source.first`."""
        found = await self._reader.trades(asset, start, math.inf, 1, newest_first=False)
        return found[0].timestamp if found else None

    async def pages(self, asset: str, start: float, end: float) -> AsyncIterator[Sequence[Any]]:
        """As `Source.pages`."""
        last, after = math.nextafter(end, 0), None
        while True:
            page = await self._reader.trades(asset, start, last, PAGE, newest_first=False, after=after)
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = trade_key(page[-1])

    def lines(self, events: Sequence[Any]) -> bytes:
        """As `Source.lines`."""
        return _encoder.encode_lines(events)
