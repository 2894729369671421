"""Reads of a store for the archive: pages of one asset's events, and their form as JSON lines."""

import math
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from aggregator.archive.datasets import PRICES, TRADES, Dataset
from aggregator.models import Price, encode, trade_key
from aggregator.ports import History
from aggregator.trades.ports import EventReader, LineReader, StoredEvent, TradeLines, TradeReader

PAGE = 2000  # events; sorting them holds the interpreter for a millisecond

_FAR = 9_999_999_999.0  # seconds: after every event
_encoder = msgspec.json.Encoder()  # a Decimal as text: DuckDB reads numbers of JSON as binary floating point


_bodies = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


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
    """`Source` of a store of trades; `line_reader` is the store itself where it can read lines."""

    dataset = TRADES

    def __init__(self, reader: TradeReader, line_reader: LineReader | None = None) -> None:
        self._reader = reader
        self._line_reader = line_reader

    async def first(self, asset: str, start: float) -> float | None:
        """As `Source.first`."""
        found = await self._reader.trades(asset, start, _FAR, 1, newest_first=False)
        return found[0].timestamp if found else None

    async def pages(self, asset: str, start: float, end: float) -> AsyncIterator[Sequence[Any]]:
        """As `Source.pages`."""
        last, after = math.nextafter(end, 0), None
        if self._line_reader is not None:
            lines = await self._line_reader.lines(asset, start, last)
            while lines is not None:
                if lines.number:
                    yield _Lines(lines)
                if lines.reached is None:
                    return
                lines = await self._line_reader.lines(asset, start, last, lines.reached)
        while True:
            page = await self._reader.trades(asset, start, last, PAGE, newest_first=False, after=after)
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = trade_key(page[-1])

    def lines(self, events: Sequence[Any]) -> bytes:
        """As `Source.lines`."""
        return events.text if isinstance(events, _Lines) else _encoder.encode_lines(events)


class _Lines(Sequence[Any]):
    """Trades of a page that are JSON lines already."""

    def __init__(self, lines: TradeLines) -> None:
        self.text = lines.text
        self._count = lines.number

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: Any) -> Any:
        return self.text.splitlines()[place]


def line_reader(store: TradeReader) -> LineReader | None:
    """Return a store that can read lines; None for another one."""
    return store if isinstance(store, LineReader) else None


class StoredPrices:
    """`Source` of a history. `sources` and `left_out` are JSON."""

    dataset = PRICES

    def __init__(self, history: History) -> None:
        self._history = history

    async def first(self, asset: str, start: float) -> float | None:
        """As `Source.first`."""
        found = await self._history.between(asset, start, _FAR, 1, newest_first=False)
        return found[0].timestamp if found else None

    async def pages(self, asset: str, start: float, end: float) -> AsyncIterator[Sequence[Any]]:
        """As `Source.pages`."""
        last = math.nextafter(end, 0)
        while page := await self._history.between(asset, start, last, PAGE, newest_first=False):
            yield page
            if len(page) < PAGE:
                return
            start = math.nextafter(page[-1].timestamp, math.inf)

    def lines(self, events: Sequence[Price]) -> bytes:
        """As `Source.lines`."""
        return price_lines(events)


class StoredEvents:
    """`Source` of one topic of a store of events."""

    def __init__(self, reader: EventReader, dataset: Dataset) -> None:
        self.dataset = dataset
        self._reader = reader

    async def first(self, asset: str, start: float) -> float | None:
        """As `Source.first`."""
        found = await self._reader.events(self.dataset.name, asset, start, _FAR, 1, newest_first=False)
        return found[0].timestamp if found else None

    async def pages(self, asset: str, start: float, end: float) -> AsyncIterator[Sequence[Any]]:
        """As `Source.pages`."""
        last, after = math.nextafter(end, 0), None
        while page := await self._reader.events(
            self.dataset.name, asset, start, last, PAGE, newest_first=False, after=after
        ):
            yield page
            if len(page) < PAGE:
                return
            after = (page[-1].timestamp, page[-1].id)

    def lines(self, events: Sequence[StoredEvent]) -> bytes:
        """As `Source.lines`."""
        return event_lines(self.dataset, events)


def price_lines(prices: Sequence[Price]) -> bytes:
    """Return a JSON line of each price; `sources` and `left_out` are JSON within a text."""
    return _encoder.encode_lines(
        [
            {
                "asset": one.asset,
                "price": one.price,
                "timestamp": one.timestamp,
                "tier": one.tier,
                "spread": one.spread,
                "updated_at": one.updated_at,
                "sources": encode(one.sources).decode(),
                "left_out": encode(one.left_out).decode(),
            }
            for one in prices
        ]
    )


def event_lines(dataset: Dataset, events: Sequence[StoredEvent]) -> bytes:
    """Return a JSON line of each event: its key, and the fields of its body that are columns of the dataset."""
    columns = dataset.columns
    rows = []
    for one in events:
        body = {name: value for name, value in _bodies.decode(one.body).items() if name in columns}
        key = {"asset": one.asset, "timestamp": one.timestamp, "id": one.id}
        rows.append(body | key)
    return _encoder.encode_lines(rows)
