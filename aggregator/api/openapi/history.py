"""What is said of the routes about stored prices."""

from aggregator.api.history import MOST_CANDLES, MOST_ROWS, USUAL_CANDLES, USUAL_ROWS
from aggregator.api.openapi.parts import (
    SYMBOL,
    Json,
    Operations,
    json,
    model,
    operation,
    query,
    ref,
    refusal,
    response,
    text_csv,
)
from aggregator.api.openapi.schemas import CandleList, HistoryPage, StoredPrice
from aggregator.api.times import UNIX
from aggregator.prices.candles import INTERVALS

_TAG = "history"
_ASSET = ref("parameters", "Asset")
_TIME: Json = {
    "type": "string",
    "anyOf": [{"pattern": f"^{UNIX}$"}, {"format": "date-time"}, {"format": "date"}],
}
_TIMES = ("1696118400.25", "2023-10-01T00:00:00.25Z", "2023-10-01")
_AS = "Unix seconds or RFC 3339; a date alone is its midnight in UTC"
_ROW: Json = {
    "asset": SYMBOL,
    "timestamp": 1795241427.047,
    "time": "2026-11-21T06:10:27.047Z",
    "price": 77896.49245,
    "sources": 3,
    "spread": 0.0002019346379,
    "updated_at": 1795241427.123456,
    "degraded": False,
}
_CANDLE: Json = {
    "start": 1795241400,
    "time": "2026-11-21T06:10:00.000Z",
    "open": 77890.1,
    "high": 77912.5,
    "low": 77888,
    "close": 77896.49245,
    "count": 12,
}
_CURSOR = "AAECAwQFBgdbImJ0Y3VzZHQiLDAsMSx0cnVlXQ"


def _csv(row: Json) -> str:
    cells = (str(value).lower() if isinstance(value, bool) else str(value) for value in row.values())
    return "\r\n".join([",".join(row), ",".join(cells), ""])


_REFUSALS: Json = {
    "400": ref("responses", "BadRequest"),
    "404": ref("responses", "NotListed"),
    "503": ref("responses", "NoHistoryNow"),
}
_START = query("start", f"From this time on, itself included. {_AS}", _TIME, *_TIMES)
_END = query("end", f"Up to this time, itself included; up to now unless given. {_AS}", _TIME, *_TIMES)

OPERATIONS: Operations = {
    "GET /prices/{asset}/history": operation(
        "getHistory",
        _TAG,
        "Stored prices, in pages",
        {
            "200": response(
                "A page, and the way to the next: in `next`, and in `Link` (the only way where the answer is CSV)",
                json(model(HistoryPage), {"asset": SYMBOL, "prices": [_ROW], "next": _CURSOR}) | text_csv(_csv(_ROW)),
                ("Link", "NoStore"),
            )
            | {
                "links": {
                    "next": {
                        "operationId": "getHistory",
                        "parameters": {"path.asset": "$response.body#/asset", "query.cursor": "$response.body#/next"},
                        "description": "The page behind this one, where `next` is not null",
                    }
                }
            },
            **_REFUSALS,
        },
        [
            _ASSET,
            _START,
            _END,
            query(
                "order",
                "By time, newest first (desc) or oldest first (asc)",
                {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
            ),
            query(
                "limit",
                "How many prices a page has at most",
                {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": USUAL_ROWS},
            ),
            query(
                "cursor",
                "What `next` was; it says start, end and order, so they are not given beside it",
                {"type": "string", "maxLength": 512},
            ),
        ],
    ),
    "GET /prices/{asset}/at": operation(
        "getPriceAt",
        _TAG,
        "The stored price at, or just before, a time",
        {
            "200": response("The price", json(model(StoredPrice), _ROW) | text_csv(_csv(_ROW)), ("NoStore",)),
            **_REFUSALS,
            "404": refusal(
                "There is no such asset, or no price as old as that",
                "Asset not found",
                "No price stored at or before 2023-10-01T00:00:00.000Z",
            ),
        },
        [_ASSET, query("time", _AS, _TIME, *_TIMES, required=True)],
    ),
    "GET /prices/{asset}/candles": operation(
        "getCandles",
        _TAG,
        "Open, high, low and close of intervals",
        {
            "200": response(
                "The candles. Sent as they are made: one that is cut short is no complete JSON",
                json(model(CandleList), {"asset": SYMBOL, "interval": "1m", "candles": [_CANDLE]})
                | text_csv(_csv(_CANDLE)),
                ("NoStore",),
            ),
            **_REFUSALS,
        },
        [
            _ASSET,
            query(
                "interval",
                "How long a candle is; days are UTC",
                {"type": "string", "enum": list(INTERVALS), "default": "1m"},
            ),
            query("start", f"The last {USUAL_CANDLES} intervals unless given. {_AS}", _TIME, *_TIMES),
            _END,
        ],
        description=f"Of the prices from start to end only: begin at a multiple of the interval to have the first one"
        f" whole. At most {MOST_CANDLES} intervals in one call.",
    ),
}
