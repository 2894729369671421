"""The answers about trades.

`scripts/client_models` makes this module from /openapi.json. A test checks it.
"""

from datetime import datetime
from decimal import Decimal

import msgspec


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """A stored trade: one execution at a venue."""

    asset: str
    timestamp: datetime
    time: datetime
    price: Decimal
    """In units of the quote asset."""
    volume: Decimal | None
    """In units of the base asset; null if the venue does not report it."""
    venue: str
    id: str
    """The venue's id; a hash of what was sent where the venue gives none."""
    side: str | None
    """Whether the taker bought or sold; null if unknown.

    One of: buy, sell.
    """
    sequence_number: int | None
    """The venue's sequence number; null if it gives none."""


class TradePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of stored trades.

    `next` is the cursor of the next page; null on the last page.
    """

    asset: str
    trades: list[Trade]
    next: str | None


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The last trade of an asset by the time of its venue."""

    asset: str
    price: Decimal
    """In units of the quote asset."""
    volume: Decimal | None
    """In units of the base asset; null if the venue does not report it."""
    timestamp: datetime
    venue: str
    id: str
    """The venue's id; a hash of what was sent where the venue gives none."""
    side: str | None
    """Whether the taker bought or sold; null if unknown.

    One of: buy, sell.
    """
    sequence_number: int | None
    """The venue's sequence number; null if it gives none."""


class LiveTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade as streams send it: all fields of a Trade, null where one is unknown.

    `late`: the trade came too long after newer ones of its asset to have a part in windows.
    """

    asset: str
    price: Decimal
    volume: Decimal | None
    timestamp: datetime
    venue: str
    id: str
    side: str | None
    """One of: buy, sell."""
    sequence_number: int | None
    late: bool


class RejectedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record that is no trade.

    `code` is the field at fault, or `malformed` or `future`; codes are stable.
    """

    index: int
    """The place of the record in the request, from 0."""
    code: str
    reason: str


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of the records.

    `rejected` lists the first thousand; `rejected_count` counts all of them.
    """

    message: str
    accepted: int
    duplicates: int
    rejected: list[RejectedRecord]
    rejected_count: int
