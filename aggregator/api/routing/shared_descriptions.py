"""Headers, parameters and responses that several routes share, and the responses that every route has."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from aggregator.api.routing.description import Content, Header, Json, Parameter, Response, json, query, text
from aggregator.api.routing.parameters import UNIX
from aggregator.api.routing.responses import (
    INVALID_SYMBOL,
    NO_EVENTS,
    NO_HISTORY,
    NO_PRICE,
    NO_TRADE,
    NO_TRADES,
    NOT_FOUND,
    OVERLOADED,
    STOPPING,
    Code,
    Refusal,
)
from aggregator.live.fanout import TOO_MANY
from aggregator.prices.tiers import MAX_SYMBOL

SYMBOL = "btcusdt"  # in examples
SYMBOL_PATTERN = f"^[a-z0-9]{{1,{MAX_SYMBOL}}}$"
Symbol = Annotated[str, Meta(pattern=SYMBOL_PATTERN)]
Time = Annotated[str, Meta(description="RFC 3339 in UTC", extra_json_schema={"format": "date-time"})]
Seconds = Annotated[float, Meta(description="Unix seconds")]
Count = Annotated[int, Meta(ge=1)]
TIME_SCHEMA: Json = {
    "type": "string",
    "anyOf": [{"pattern": f"^{UNIX}$"}, {"format": "date-time"}, {"format": "date"}],
}
TIME_EXAMPLES = ("1696118400.25", "2023-10-01T00:00:00.25Z", "2023-10-01")
TIME_FORMATS = "Unix seconds or RFC 3339. A date alone is midnight UTC of that day"
REQUEST_ID_FORM = "[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}"
_REQUEST_ID_PATTERN = f"^{REQUEST_ID_FORM}$"

ALLOW = Header("Allow", "Allow", "The methods of this path", {"type": "string"})
ETAG = Header(
    "ETag",
    "ETag",
    "The version of the content, for If-None-Match. It is weak: `time_ago` can change while the ETag does not",
    {"type": "string", "pattern": '^W/"[^"]+"$'},
)
LINK = Header(
    "Link",
    "Link",
    "The next page (RFC 8288). Absent on the last page",
    {"type": "string", "pattern": '^<[^>]+>; rel="next"$'},
    required=False,
)
MAX_AGE = Header(
    "Cache-Control",
    "MaxAge",
    "Seconds until the next price is due. 0 if that price is late, or if a list has missing assets",
    {"type": "string", "pattern": r"^max-age=\d+$"},
)
NO_CACHE = Header(
    "Cache-Control",
    "NoCache",
    "Caches may store the response and must revalidate it with its ETag at each use",
    {"type": "string", "const": "no-cache"},
)
NO_STORE = Header(
    "Cache-Control", "NoStore", "Caches must not store the response", {"type": "string", "const": "no-store"}
)
NO_STORE_UNLESS_TEXT = Header(
    "Cache-Control",
    "NoStoreUnlessBare",
    "Caches must not store the response. Absent if the body is plain text",
    {"type": "string", "const": "no-store"},
    required=False,
)
POLICY = Header(
    "Content-Security-Policy", "Policy", "The browser may load files of this service only", {"type": "string"}
)
NO_SNIFF = Header(
    "X-Content-Type-Options",
    "NoSniff",
    "The body is of the type in Content-Type",
    {"type": "string", "const": "nosniff"},
)
REQUEST_ID = Header(
    "X-Request-ID",
    "RequestId",
    "The request id: the one in the request, or a new one. Every log line about the request has it. Absent if nothing"
    " is logged: for a price from the local cache, and for a request that is refused before it is parsed",
    {"type": "string", "pattern": _REQUEST_ID_PATTERN},
    required=False,
)
RETRY_AFTER = Header(
    "Retry-After", "RetryAfter", "Seconds to wait before the next attempt", {"type": "integer", "minimum": 1}
)
UPGRADE = Header("Upgrade", "Upgrade", "The protocol to request", {"type": "string", "const": "websocket"})
AUTHENTICATE = Header("WWW-Authenticate", "Authenticate", "How to send a key", {"type": "string", "const": "Bearer"})
EVERY_RESPONSE_HAS = (NO_SNIFF, REQUEST_ID)

ASSET = Parameter(
    "asset",
    "path",
    "A symbol, in upper or lower case. `-`, `/` or `_` may stand between base and quote. The response has it in lower"
    " case and without a separator",
    {"type": "string", "maxLength": MAX_SYMBOL, "pattern": "^[A-Za-z0-9]+([-/_][A-Za-z0-9]+)?$"},
    (SYMBOL,),
    required=True,
    component="Asset",
)
FORMAT = Parameter(
    "format",
    "query",
    "The form of the response. Without it, the Accept header decides",
    {"type": "string", "enum": ["json", "csv"]},
    component="Format",
)
NUMBERS = Parameter(
    "numbers",
    "query",
    "How prices, volumes and other decimals are written in JSON: as numbers, or as strings for clients whose JSON"
    " numbers lose digits. Times are always numbers",
    {"type": "string", "enum": ["number", "string"], "default": "number"},
    component="Numbers",
)
IF_NONE_MATCH = Parameter(
    "If-None-Match",
    "header",
    "The ETag of a stored response, several ETags, or `*`. The response is 304 if one of them is current",
    {"type": "string"},
    component="IfNoneMatch",
)
START = query("start", f"The start of the range, inclusive. {TIME_FORMATS}", TIME_SCHEMA, *TIME_EXAMPLES)
END = query(
    "end", f"The end of the range, inclusive; now if it is not given. {TIME_FORMATS}", TIME_SCHEMA, *TIME_EXAMPLES
)
ORDER = query(
    "order",
    "Newest first (desc) or oldest first (asc)",
    {"type": "string", "enum": ["asc", "desc"], "default": "desc"},
)
REQUEST_ID_PARAMETER = Parameter(
    "X-Request-ID",
    "header",
    f"Your id for this request. Ignored if it does not match `{_REQUEST_ID_PATTERN}`",
    {"type": "string"},
    component="RequestId",
)
EVERY_ROUTE_TAKES = (REQUEST_ID_PARAMETER,)

_PLAIN = text("text/plain")


def limit_parameter(what: str, usual: int, most: int) -> Parameter:
    """Return the description of the parameter that bounds the number of `what` in an answer."""
    return query(
        "limit",
        f"The largest number of {what}",
        {"type": "integer", "minimum": 1, "maximum": most, "default": usual},
    )


def cursor_parameter(longest: int) -> Parameter:
    """Return the description of the parameter that continues a list."""
    return query(
        "cursor",
        "The value of `next`. It contains start, end and order, which must not be given with it",
        {"type": "string", "maxLength": longest},
    )


def refusal(description: str, *examples: Refusal, headers: Iterable[Header] = (), component: str = "") -> Response:
    """Return the response `{"msg": …, "code": …}` with examples of it."""
    return Response(description, (_refusal_body(examples),), (NO_STORE, *headers), component=component)


def bad_request(description: str, *examples: Refusal, component: str = "") -> Response:
    """Return the response 400. It may be plain text: the server refuses what is not HTTP before a route is called."""
    return Response(description, (_refusal_body(examples), _PLAIN), (NO_STORE_UNLESS_TEXT,), component=component)


def _refusal_body(examples: Iterable[Refusal]) -> Content:
    return json(Refusal, *map(msgspec.to_builtins, examples))


NOT_MODIFIED = Response(
    "The response that the client has is current. No body", headers=(ETAG, MAX_AGE), component="NotModified"
)
BAD_SYMBOL = bad_request("The symbol is malformed", INVALID_SYMBOL, component="BadSymbol")
BAD_REQUEST = bad_request(
    "The symbol or a parameter is malformed. `msg` names it",
    INVALID_SYMBOL,
    Refusal("limit must be a whole number from 1 to 1000", Code.INVALID_PARAMETER),
    component="BadRequest",
)
NOT_LISTED = refusal(
    "The asset is not listed. `near` has listed ones that it may mean",
    msgspec.structs.replace(NOT_FOUND, near=(SYMBOL, "btcusd")),
    component="NotListed",
)
NO_PRICE_NOW = refusal(
    "No price is known now, the service is at its limit of concurrent requests, or it is stopping",
    NO_PRICE,
    headers=(RETRY_AFTER,),
    component="NoPriceNow",
)
NO_HISTORY_NOW = refusal(
    "The history cannot be read now, the service is at its limit of concurrent requests, or it is stopping",
    NO_HISTORY,
    headers=(RETRY_AFTER,),
    component="NoHistoryNow",
)
NO_TRADE_YET = refusal(
    "The asset is not listed, or no trade of it has been taken in",
    NOT_FOUND,
    NO_TRADE,
    component="NoTradeYet",
)
NO_TRADES_NOW = refusal(
    "The trades cannot be read now, the service is at its limit of concurrent requests, or it is stopping",
    NO_TRADES,
    headers=(RETRY_AFTER,),
    component="NoTradesNow",
)
NO_EVENTS_NOW = refusal(
    "The store of events cannot be used now, the service is at its limit of concurrent requests, or it is stopping",
    NO_EVENTS,
    headers=(RETRY_AFTER,),
    component="NoEventsNow",
)
STREAM_REFUSED = refusal(
    "The service is at its limit of streams, or it is stopping",
    Refusal(TOO_MANY, Code.TOO_MANY_STREAMS),
    headers=(RETRY_AFTER,),
    component="StreamRefused",
)

# A response of the same status in a route replaces one of these.
EVERY_ROUTE_RESPONDS = {
    400: Response(
        "The request is not HTTP, or its URL is longer than 64 KB. The server closes the connection",
        (_PLAIN,),
        component="NoHttp",
    ),
    405: refusal(
        "The path does not support this method",
        Refusal("This path takes GET, HEAD only", Code.METHOD_NOT_ALLOWED),
        headers=(ALLOW,),
        component="MethodNotAllowed",
    ),
    408: refusal("The request took too long to arrive. The server closes the connection", component="TooSlow"),
    413: refusal("The request body is too large", component="BodyTooLarge"),
    414: refusal("Path and query string are too long", component="AddressTooLong"),
    421: refusal(
        "The Host header names no host of `ALLOWED_HOSTS`",
        Refusal("The host 'example.com' is not served here", Code.HOST_NOT_SERVED),
        component="WrongHost",
    ),
    431: refusal(
        "Path, query string and headers are too large. The server closes the connection", component="HeadTooLarge"
    ),
    503: refusal(
        "The service is at its limit of concurrent requests, or it is stopping",
        OVERLOADED,
        STOPPING,
        headers=(RETRY_AFTER,),
        component="Busy",
    ),
}
