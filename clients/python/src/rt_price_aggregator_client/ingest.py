"""Trades for `POST /ingest`: their form, batches within the service's limits, and the sum of the answers. No I/O."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Literal

import msgspec

from rt_price_aggregator_client.errors import AggregatorError, NoValidTrade, body_of
from rt_price_aggregator_client.models import Ingested
from rt_price_aggregator_client.parameters import path, text
from rt_price_aggregator_client.request import Answer, Request, answer

MOST_TRADES = 1000
MOST_BYTES = 900_000  # the service takes 1 MB
_BAD_REQUEST = 400
_HEADERS = {"Content-Type": "application/json"}
_ingested = answer(Ingested)


class NewTrade(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trade to be stored. The service stores `(asset, timestamp, venue, id)` once, however often it is sent.

    `price` is in units of the quote asset, `volume` in units of the base asset; without it, the trade has no part in
    VWAP. `timestamp` is a datetime with a zone, unix seconds, or RFC 3339. Without `id`, the service takes a hash of
    the other fields: two equal trades without ids are one.
    """

    asset: str
    price: Decimal | float | str
    timestamp: datetime | float | str
    volume: Decimal | float | str | None = None
    venue: str | None = None
    id: str | None = None
    side: Literal["buy", "sell"] | None = None
    sequence: int | None = None


class Batches:
    """Puts trades together into bodies that the service takes."""

    def __init__(self) -> None:
        self._trades: list[bytes] = []
        self._bytes = 0

    def add(self, trade: NewTrade) -> list[Request[Ingested]]:
        """Add a trade; return the request of the batch before it if that is full, else nothing."""
        encoded = _encode(trade)
        full = len(self._trades) >= MOST_TRADES or self._bytes + len(encoded) >= MOST_BYTES
        requests = self.rest() if full else []
        self._trades.append(encoded)
        self._bytes += len(encoded) + 1
        return requests

    def rest(self) -> list[Request[Ingested]]:
        """Return the request of the trades that wait, if there are any."""
        if not self._trades:
            return []
        body = b"[" + b",".join(self._trades) + b"]"
        self._trades, self._bytes = [], 0
        return [Request("POST", path("ingest"), _read, headers=_HEADERS, body=body)]


class Total:
    """The sum of the answers to batches, with the places of rejected trades in the whole."""

    def __init__(self) -> None:
        self._sum = Ingested(message="", accepted=0, duplicates=0, rejected=[], rejected_count=0)

    def add(self, batch: Ingested) -> None:
        """Add the answer to the next batch."""
        before, total = self._places(), self._sum
        moved = [msgspec.structs.replace(one, index=one.index + before) for one in batch.rejected]
        self._sum = Ingested(
            message=batch.message,
            accepted=total.accepted + batch.accepted,
            duplicates=total.duplicates + batch.duplicates,
            rejected=[*total.rejected, *moved],
            rejected_count=total.rejected_count + batch.rejected_count,
        )

    def result(self) -> Ingested:
        """Return the sum. Raises NoValidTrade if there were trades, and all of them were rejected."""
        if self._sum.rejected_count and self._sum.rejected_count == self._places():
            raise NoValidTrade(self._sum)
        return self._sum

    def note(self, error: AggregatorError) -> None:
        """Add to the error of a batch how many trades were stored before it."""
        if self._places():
            error.add_note(f"The {self._places()} trades before this batch were answered; all may be sent again.")

    def _places(self) -> int:
        return self._sum.accepted + self._sum.duplicates + self._sum.rejected_count


def requests(trades: NewTrade | Iterable[NewTrade]) -> Iterator[Request[Ingested]]:
    """Yield the requests for these trades."""
    batches = Batches()
    for trade in [trades] if isinstance(trades, NewTrade) else trades:
        yield from batches.add(trade)
    yield from batches.rest()


def _encode(trade: NewTrade) -> bytes:
    if isinstance(trade.timestamp, datetime):
        trade = msgspec.structs.replace(trade, timestamp=text(trade.timestamp))
    return msgspec.json.encode(trade)


def _read(found: Answer) -> Ingested:
    """Return the answer; also that to a batch without any valid trade, which has the status of an error."""
    if found.status == _BAD_REQUEST:
        body = body_of(found.body)
        if body and body.accepted is not None:
            return Ingested(
                message=body.msg,
                accepted=body.accepted,
                duplicates=body.duplicates,
                rejected=body.rejected,
                rejected_count=body.rejected_count,
            )
    return _ingested(found)
