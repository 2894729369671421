"""What prices were: stored ones in pages, the one at a time, and candles; as JSON or, where asked for, as CSV."""

import asyncio
import csv
import io
import math
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from aggregator.api import cursor, times
from aggregator.api import responses as answers
from aggregator.api.cursor import Cursor
from aggregator.api.responses import COMPRESSED, NO_STORE, answer, asset_of, refuse
from aggregator.errors import StoreError, StoreUnavailable
from aggregator.models import Asset, Price, encode
from aggregator.ports import History
from aggregator.prices.candles import INTERVALS, Candle, CandleBuilder
from aggregator.prices.tiers import Catalog

MOST_ROWS = 1000
USUAL_ROWS = 100
MOST_CANDLES = 100_000
USUAL_CANDLES = 500
_AHEAD = 3600.0  # seconds past now that an open end reaches, as exchange clocks may run ahead of ours
_STORE_SECONDS = 1.5  # for one answer of the store; shorter than a process told to stop waits for its requests
_RETRY_AFTER = {"Retry-After": "1"}
_PRICE_COLUMNS = ("asset", "timestamp", "time", "price", "sources", "spread", "updated_at", "degraded")
_CANDLE_COLUMNS = ("start", "time", "open", "high", "low", "close", "count")

Row = dict[str, object]


class HistoryRoutes:
    """The routes about stored prices."""

    def __init__(
        self,
        catalog: Catalog,
        history: History,
        now: Callable[[], float] = time.time,
        store_seconds: float = _STORE_SECONDS,
    ) -> None:
        self._catalog = catalog
        self._history = history
        self._now = now
        self._store_seconds = store_seconds

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/prices/{asset}/history", self.pages, middleware=COMPRESSED),
            Route("/prices/{asset}/at", self.at),
            Route("/prices/{asset}/candles", self.candles, middleware=COMPRESSED),
        ]

    async def pages(self, request: Request) -> Response:
        """GET /prices/{asset}/history: a page of stored prices, and the way to the next."""
        asset = asset_of(request, self._catalog)
        limit = answers.whole(request, "limit", USUAL_ROWS, MOST_ROWS)
        wanted = self._wanted(request, asset)
        prices = await self._between(wanted, limit + 1)
        page, following = prices[:limit], _following(wanted, prices, limit)
        headers = {}
        if following is not None:
            headers["Link"] = f'</prices/{asset.symbol}/history?limit={limit}&cursor={following}>; rel="next"'
        rows = [_price_row(price) for price in page]
        if _wants_csv(request):
            return _csv(_PRICE_COLUMNS, rows, headers)
        return answer({"asset": asset.symbol, "prices": rows, "next": following}, headers=headers)

    async def at(self, request: Request) -> Response:
        """GET /prices/{asset}/at?time=: the newest stored price that is not later than that."""
        asset = asset_of(request, self._catalog)
        if "time" not in request.query_params:
            raise refuse(400, "time is missing: unix seconds or RFC 3339")
        moment = times.time_of(request, "time", 0.0)
        prices = await self._between(Cursor(asset.symbol, 0.0, moment, newest_first=True), 1)
        if not prices:
            raise refuse(404, f"No price stored at or before {times.show(moment)}")
        if _wants_csv(request):
            return _csv(_PRICE_COLUMNS, [_price_row(prices[0])], {})
        return answer(_price_row(prices[0]))

    async def candles(self, request: Request) -> Response:
        """GET /prices/{asset}/candles?interval=: read page by page and sent as they are complete."""
        asset = asset_of(request, self._catalog)
        interval = answers.choice(request, "interval", "1m", tuple(INTERVALS))
        seconds = INTERVALS[interval]
        usual = max(0.0, min(times.time_of(request, "end", math.inf), self._now()) - USUAL_CANDLES * seconds)
        start = times.time_of(request, "start", usual)
        end = times.time_of(request, "end", max(start, self._now() + _AHEAD))
        _check_range(start, end)
        if (end - start) / seconds > MOST_CANDLES:
            raise refuse(400, f"start to end must be at most {MOST_CANDLES} candles of {interval}")
        wanted = Cursor(asset.symbol, start, end, newest_first=False)
        first = await self._between(wanted, MOST_ROWS)  # now, as once the answer has begun it cannot become a 503
        found = self._candles(wanted, first, seconds)
        if _wants_csv(request):
            return StreamingResponse(_csv_lines(found), headers=NO_STORE, media_type="text/csv")
        head = encode({"asset": asset.symbol, "interval": interval})[:-1] + b',"candles":['
        return StreamingResponse(_json_array(head, found), headers=NO_STORE, media_type="application/json")

    async def _candles(self, wanted: Cursor, prices: Sequence[Price], seconds: int) -> AsyncIterator[list[Candle]]:
        """Yield the candles page by page of the history.

        Raises StoreError where it cannot be read on: the answer is then cut off, and never looks as if it were whole.
        """
        builder = CandleBuilder(seconds)
        while prices:
            yield list(builder.add((price.timestamp, price.price) for price in prices))
            if len(prices) < MOST_ROWS or prices[-1].timestamp >= wanted.end:
                break
            wanted = _after(wanted, prices[-1])
            prices = await self._read(wanted, MOST_ROWS)
        yield list(builder.finish())

    async def _between(self, wanted: Cursor, limit: int) -> list[Price]:
        try:
            return await self._read(wanted, limit)
        except StoreError as error:
            raise refuse(503, "History cannot be read now", _RETRY_AFTER) from error

    async def _read(self, wanted: Cursor, limit: int) -> list[Price]:
        """Ask the store. Raises StoreError, also when it hangs."""
        try:
            async with asyncio.timeout(self._store_seconds):
                return await self._history.between(
                    wanted.asset, wanted.start, wanted.end, limit, newest_first=wanted.newest_first
                )
        except TimeoutError as error:
            raise StoreUnavailable(f"no answer within {self._store_seconds:g} s") from error

    def _wanted(self, request: Request, asset: Asset) -> Cursor:
        """Return the range asked for, openly or by a cursor; raises the answer 400."""
        text = request.query_params.get("cursor")
        if text is not None:
            return _from_cursor(request, asset, text)
        start = times.time_of(request, "start", 0.0)
        end = times.time_of(request, "end", max(start, self._now() + _AHEAD))
        _check_range(start, end)
        order = answers.choice(request, "order", "desc", ("asc", "desc"))
        return Cursor(asset.symbol, start, end, newest_first=order == "desc")


def _from_cursor(request: Request, asset: Asset, text: str) -> Cursor:
    found = cursor.read(text)
    if found is None or found.asset != asset.symbol:
        raise refuse(400, f"cursor is not one that was given for {asset.symbol}")
    if request.query_params.keys() & {"start", "end", "order"}:
        raise refuse(400, "cursor already says start, end and order")
    return found


def _check_range(start: float, end: float) -> None:
    if start > end:
        raise refuse(400, "start must not be after end")


def _following(wanted: Cursor, prices: Sequence[Price], limit: int) -> str | None:
    """Return the cursor behind the page's last price, when there is more."""
    return cursor.write(_after(wanted, prices[limit - 1])) if len(prices) > limit else None


def _after(wanted: Cursor, last: Price) -> Cursor:
    """Return what is left of the range behind `last`: from the next float on, as no price lies in between."""
    if wanted.newest_first:
        return Cursor(wanted.asset, wanted.start, math.nextafter(last.timestamp, -math.inf), newest_first=True)
    return Cursor(wanted.asset, math.nextafter(last.timestamp, math.inf), wanted.end, newest_first=False)


def _price_row(price: Price) -> Row:
    shown = (
        price.asset,
        price.timestamp,
        times.show(price.timestamp),
        price.price,
        len(price.sources),
        price.spread,
        price.updated_at,
        price.degraded,
    )
    return dict(zip(_PRICE_COLUMNS, shown, strict=True))


def _candle_row(candle: Candle) -> Row:
    shown = (candle.start, times.show(candle.start), candle.open, candle.high, candle.low, candle.close, candle.count)
    return dict(zip(_CANDLE_COLUMNS, shown, strict=True))


def _wants_csv(request: Request) -> bool:
    return "text/csv" in request.headers.get("accept", "").lower()


def _csv(columns: Sequence[str], rows: Iterable[Row], headers: dict[str, str]) -> Response:
    return Response(_csv_text(columns, rows, header=True), headers=NO_STORE | headers, media_type="text/csv")


def _csv_text(columns: Sequence[str], rows: Iterable[Row], *, header: bool) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    if header:
        writer.writeheader()
    writer.writerows({name: _csv_cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _csv_cell(value: object) -> object:
    """Return what the table shows: true and false as in JSON."""
    return str(value).lower() if isinstance(value, bool) else value


async def _csv_lines(found: AsyncIterator[list[Candle]]) -> AsyncIterator[str]:
    yield _csv_text(_CANDLE_COLUMNS, [], header=True)
    async for candles in found:
        yield _csv_text(_CANDLE_COLUMNS, map(_candle_row, candles), header=False)


async def _json_array(head: bytes, found: AsyncIterator[list[Candle]]) -> AsyncIterator[bytes]:
    yield head
    separator = b""
    async for candles in found:
        if candles:
            yield separator + b",".join(encode(_candle_row(candle)) for candle in candles)
            separator = b","
    yield b"]}"
