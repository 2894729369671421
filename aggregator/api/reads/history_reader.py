"""Reading from the history store for a response: with a time limit, in pages, over a checked range."""

import asyncio
import math
from typing import TypeVar

import msgspec
from starlette.requests import Request

from aggregator.api.reads.cursors import CursorForm
from aggregator.api.routing.parameters import LATEST_TIME, time_of
from aggregator.api.routing.responses import NO_HISTORY, RETRY_SOON, choice, refuse, refuse_parameter
from aggregator.errors import StoreError, StoreUnavailable
from aggregator.models import Asset, Price
from aggregator.ports import PriceReader, RangeTooLong

STORE_SECONDS = 1.5  # for one read; shorter than the time that a stopping process gives to its requests
CLOCK_MARGIN = 3600.0  # seconds past now where a range without an end ends: exchange clocks may run ahead of ours


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The part of a range that is still to be read: `start` to `end` (unix seconds, inclusive) of `asset`."""

    asset: str
    start: float
    end: float
    newest_first: bool

    @property
    def is_sound(self) -> bool:
        """Whether a store may be asked for it; a client can make a cursor of any values."""
        latest = LATEST_TIME + CLOCK_MARGIN
        return 0 <= self.start <= latest and -1 <= self.end <= latest  # behind a price at 0 is the float before it


C = TypeVar("C", bound=Cursor)

CURSORS = CursorForm(Cursor, b"price history cursor", 512)
write_cursor = CURSORS.write


def requested(request: Request, asset: Asset, form: CursorForm[C], now: float) -> C:
    """Return the range of the query string, or of its cursor. Raises the response 400."""
    encoded = request.query_params.get("cursor")
    if encoded is not None:
        return _from_cursor(request, asset, form, encoded)
    start = time_of(request, "start", 0.0)
    end = time_of(request, "end", max(start, now + CLOCK_MARGIN))
    check_range(start, end)
    order = choice(request, "order", "desc", ("asc", "desc"))
    return form.schema(asset.symbol, start, end, newest_first=order == "desc")


def _from_cursor(request: Request, asset: Asset, form: CursorForm[C], encoded: str) -> C:
    found = form.read(encoded)
    if found is None or found.asset != asset.symbol or not found.is_sound:
        raise refuse_parameter(f"cursor is not one that was given for {asset.symbol}")
    if request.query_params.keys() & {"start", "end", "order"}:
        raise refuse_parameter("cursor already says start, end and order")
    return found


class HistoryReader:
    """Reads the prices of a range. A read that takes longer than `store_seconds` fails."""

    def __init__(self, history: PriceReader, store_seconds: float = STORE_SECONDS) -> None:
        self._history = history
        self._store_seconds = store_seconds

    async def read_or_refuse(self, window: Cursor, limit: int) -> list[Price]:
        """As `read`. Raises the response 503 if the store fails, and 400 if the range is too long."""
        try:
            return await self.read(window, limit)
        except RangeTooLong as error:
            raise refuse_parameter(f"start must be later, or end earlier: {error}") from error
        except StoreError as error:
            raise refuse(503, NO_HISTORY, RETRY_SOON) from error

    async def read(self, window: Cursor, limit: int) -> list[Price]:
        """Return at most `limit` prices. Raises StoreError, also for a store that does not answer in time.

        Raises RangeTooLong where the history has an archive behind it.
        """
        try:
            async with asyncio.timeout(self._store_seconds):
                return await self._history.between(
                    window.asset, window.start, window.end, limit, newest_first=window.newest_first
                )
        except TimeoutError as error:
            raise StoreUnavailable(f"no answer within {self._store_seconds:g} s") from error


def rest_of(window: Cursor, last: Price) -> Cursor:
    """Return the part of the range behind `last`. It begins at the next float: no price lies in between."""
    if window.newest_first:
        return Cursor(window.asset, window.start, math.nextafter(last.timestamp, -math.inf), newest_first=True)
    return Cursor(window.asset, math.nextafter(last.timestamp, math.inf), window.end, newest_first=False)


def check_range(start: float, end: float) -> None:
    """Raise the response 400 if the range ends before it starts."""
    if start > end:
        raise refuse_parameter("start must not be after end")
