"""The rows that a query needs of the hot stores: those in the times that no file of the archive covers.

A file has all rows of its times, so each row comes from one side only.
"""

import math
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from aggregator.archive.sql_bounds import Span
from aggregator.archive.sql_errors import QueryRefused
from aggregator.models import Price, Trade, encode_as_strings, trade_key
from aggregator.ports import History
from aggregator.trades.ports import EventReader, StoredEvent, TradeReader

MOST_ROWS = 2_000_000
_PAGE = 1_000
_PART = 10_000  # rows that are handed over together

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

T = TypeVar("T")
Rows = AsyncIterator[Sequence[T]]
Read = Callable[[str, Span], Rows[T]]
"""Yields the pages of an asset's rows in a span."""


def gaps(span: Span, covered: Iterable[Span]) -> list[Span]:
    """Return the parts of a span that none of the covered ones has. A covered span ends before its `end`."""
    found, start = list[Span](), span.start
    for one in sorted(covered, key=lambda one: one.start):
        if one.end <= start or one.start > span.end:
            continue
        if one.start > start:
            found.append(Span(start, math.nextafter(one.start, -math.inf)))
        start = one.end
    return [*found, Span(start, span.end)] if start <= span.end else found


async def hot_rows(read: Callable[[str, Span], Rows[T]], assets: Sequence[str], spans: Sequence[Span]) -> Rows[T]:
    """Yield the rows of all assets in the spans, some thousand together. Raises StoreError, and QueryRefused."""
    total, waiting = 0, list[T]()
    for asset in assets:
        for span in spans:
            async for page in read(asset, span):
                total += len(page)
                if total > MOST_ROWS:
                    raise QueryRefused(
                        f"more than {MOST_ROWS:,} rows of the time that it reads are not archived",
                        "read a shorter time, such as WHERE timestamp >= now() - INTERVAL 10 MINUTE",
                    )
                waiting.extend(page)
                if len(waiting) >= _PART:
                    yield waiting
                    waiting = []
    if waiting:
        yield waiting


def trades_of(reader: TradeReader) -> Read[Trade]:
    """Return the pages of a store of trades."""

    async def read(asset: str, span: Span) -> Rows[Trade]:
        after, size = None, _PAGE
        while size == _PAGE:
            page = await reader.trades(asset, span.start, span.end, _PAGE, newest_first=False, after=after)
            yield page
            size = len(page)
            after = trade_key(page[-1]) if page else None

    return read


def prices_of(history: History) -> Read[Price]:
    """Return the pages of a history."""

    async def read(asset: str, span: Span) -> Rows[Price]:
        start, size = span.start, _PAGE
        while size == _PAGE:
            page = await history.between(asset, start, span.end, _PAGE, newest_first=False)
            yield page
            size = len(page)
            start = math.nextafter(page[-1].timestamp, math.inf) if page else start

    return read


def events_of(reader: EventReader, topic: str) -> Read[StoredEvent]:
    """Return the pages of the events of a topic."""

    async def read(asset: str, span: Span) -> Rows[StoredEvent]:
        after, size = None, _PAGE
        while size == _PAGE:
            page = await reader.events(topic, asset, span.start, span.end, _PAGE, newest_first=False, after=after)
            yield page
            size = len(page)
            after = (page[-1].timestamp, page[-1].id) if page else None

    return read


def as_objects(rows: Sequence[Trade] | Sequence[Price]) -> bytes:
    """Return rows as a JSON array; decimals are texts, so that every digit arrives."""
    return encode_as_strings(rows)


def event_objects(events: Sequence[StoredEvent]) -> bytes:
    """Return events as a JSON array: the fields of each body, and its key. Numbers are texts, as in `as_objects`."""
    return msgspec.json.encode([_event(one) for one in events])


def _event(event: StoredEvent) -> dict[str, object]:
    fields: dict[str, object] = {name: _as_text(value) for name, value in _fields(event.body).items()}
    return {**fields, "asset": event.asset, "timestamp": event.timestamp, "id": event.id}


def _as_text(value: msgspec.Raw) -> object:
    raw = bytes(value)
    return raw.decode() if raw[:1].isdigit() or raw[:1] == b"-" else value
