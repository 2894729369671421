"""JSON and CSV responses, refusals as `{"msg": …, "code": …}`, and parsing of path and query parameters."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from aggregator.api.routing.replies import matches
from aggregator.models import Asset, Encode, encode, encode_as_strings
from aggregator.prices.tiers import Catalog, is_symbol

_SEPARATOR = re.compile("[-/_]")  # between base and quote: BTC-USD, BTC/USD, BTC_USD
_REFUSED = r"\s*;\s*q\s*=\s*0(?:\.0{0,3})?\s*(?:,|$)"  # after a type or coding that a client does not take


class Code(StrEnum):
    """The kind of a refusal. Codes are stable; texts may change."""

    INVALID_REQUEST = "invalid_request"
    INVALID_PARAMETER = "invalid_parameter"
    INVALID_SYMBOL = "invalid_symbol"
    KEY_NEEDED = "key_needed"
    KEY_INVALID = "key_invalid"
    KEY_READ_ONLY = "key_read_only"
    FOREIGN_ORIGIN = "foreign_origin"
    NOT_FOUND = "not_found"
    ASSET_NOT_FOUND = "asset_not_found"
    EXCHANGE_NOT_FOUND = "exchange_not_found"
    NO_PRICE_STORED = "no_price_stored"
    NO_TRADE = "no_trade"
    RULE_NOT_FOUND = "rule_not_found"
    RULE_OF_FILE = "rule_of_file"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TOO_MANY_RULES = "too_many_rules"
    REQUEST_TOO_SLOW = "request_too_slow"
    BODY_TOO_LARGE = "body_too_large"
    UNKNOWN_MEDIA_TYPE = "unknown_media_type"
    NO_VALID_TRADE = "no_valid_trade"
    INGESTED_TOO_OFTEN = "ingested_too_often"
    BACKLOG_FULL = "backlog_full"
    NOT_STORED_YET = "not_stored_yet"
    TRADES_OFF = "trades_off"
    ALERTS_OFF = "alerts_off"
    ANOMALIES_OFF = "anomalies_off"
    NEWS_OFF = "news_off"
    ADDRESS_TOO_LONG = "address_too_long"
    HOST_NOT_SERVED = "host_not_served"
    UPGRADE_NEEDED = "upgrade_needed"
    REFRESHED_TOO_OFTEN = "refreshed_too_often"
    TOO_MANY_INVALID_KEYS = "too_many_invalid_keys"
    HEAD_TOO_LARGE = "head_too_large"
    INTERNAL_ERROR = "internal_error"
    NO_NEW_PRICE = "no_new_price"
    NO_PRICE = "no_price"
    HISTORY_UNAVAILABLE = "history_unavailable"
    TRADES_UNAVAILABLE = "trades_unavailable"
    EVENTS_UNAVAILABLE = "events_unavailable"
    EXCHANGES_UNKNOWN = "exchanges_unknown"
    TOO_MANY_STREAMS = "too_many_streams"
    OVERLOADED = "overloaded"
    STOPPING = "stopping"


_USUAL_CODES = {  # of a status, for refusals that name no code
    400: Code.INVALID_REQUEST,
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    408: Code.REQUEST_TOO_SLOW,
    413: Code.BODY_TOO_LARGE,
    414: Code.ADDRESS_TOO_LONG,
    421: Code.HOST_NOT_SERVED,
    426: Code.UPGRADE_NEEDED,
    429: Code.REFRESHED_TOO_OFTEN,
    431: Code.HEAD_TOO_LARGE,
    500: Code.INTERNAL_ERROR,
    501: Code.TRADES_OFF,
    502: Code.NO_NEW_PRICE,
    503: Code.OVERLOADED,
}


class Refusal(msgspec.Struct, frozen=True):
    """The reason of a refusal. `near` has listed assets, or exchanges, that an unknown name may have meant."""

    msg: str
    code: Code
    near: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


INVALID_SYMBOL = Refusal("Invalid asset symbol", Code.INVALID_SYMBOL)
NOT_FOUND = Refusal("Asset not found", Code.ASSET_NOT_FOUND)
NO_PRICE = Refusal("No price known now", Code.NO_PRICE)
NO_HISTORY = Refusal("History cannot be read now", Code.HISTORY_UNAVAILABLE)
NO_TRADE = Refusal("No trade of this asset yet", Code.NO_TRADE)
NO_TRADES = Refusal("Trades cannot be read now", Code.TRADES_UNAVAILABLE)
NO_EVENTS = Refusal("Stored events cannot be read or written now", Code.EVENTS_UNAVAILABLE)
OVERLOADED = Refusal("Too many requests under way", Code.OVERLOADED)
STOPPING = Refusal("The service is stopping", Code.STOPPING)

NO_STORE = {"Cache-Control": "no-store"}
RETRY_SOON = {"Retry-After": "1"}  # seconds


def answer(
    body: object, status: int = 200, headers: Mapping[str, str] | None = None, encode: Encode = encode
) -> Response:
    """Return a model or mapping as JSON. Caches must not store it unless `headers` allow that."""
    return Response(encode(body), status, NO_STORE | dict(headers or {}), "application/json")


def prepared(raw: bytes) -> Response:
    """Return JSON that is encoded already. Caches must not store it."""
    return Response(raw, headers=NO_STORE, media_type="application/json")


def cacheable(request: Request, raw: bytes, etag: bytes, max_age: int) -> Response:
    """Return these bytes of JSON, or 304 if the client already has them (If-None-Match)."""
    headers = {"Cache-Control": f"max-age={max_age}", "ETag": etag.decode()}
    seen = request.headers.get("if-none-match", "").encode()
    if seen and matches(etag, seen):
        return Response(status_code=304, headers=headers)
    return Response(raw, headers=headers, media_type="application/json")


class Refused(HTTPException):
    """An exception that becomes the response `refusal`."""

    def __init__(self, status: int, refusal: Refusal, headers: Mapping[str, str]) -> None:
        super().__init__(status, refusal.msg, headers)
        self.refusal = refusal


def refusal_of(status: int, why: str | Refusal) -> Refusal:
    """Return the refusal; a text alone gets the usual code of the status."""
    return why if isinstance(why, Refusal) else Refusal(why, _USUAL_CODES.get(status, Code.INVALID_REQUEST))


def refuse(status: int, why: str | Refusal, headers: Mapping[str, str] | None = None) -> Refused:
    """Return the exception that becomes the response `{"msg": …, "code": …}` with `status`."""
    return Refused(status, refusal_of(status, why), dict(headers or {}))


def refuse_parameter(message: str) -> Refused:
    """Return the exception that becomes the response 400 to a parameter that is missing or malformed."""
    return refuse(400, Refusal(message, Code.INVALID_PARAMETER))


def refused(status: int, why: str | Refusal, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response `{"msg": …, "code": …}`, for code that does not raise."""
    return answer(refusal_of(status, why), status, headers)


def response_of(error: HTTPException) -> Response:
    """Return the response to an exception of ours or of Starlette's."""
    why = error.refusal if isinstance(error, Refused) else error.detail
    return refused(error.status_code, why, error.headers)


def asset_of(request: Request, catalog: Catalog) -> Asset:
    """Return the asset in the path. Raises the response 400 or 404."""
    return asset_named(request.path_params["asset"], catalog)


def asset_named(text: str, catalog: Catalog) -> Asset:
    """Return the asset with this name. Raises the response 400 or 404."""
    symbol = normal(text)
    if symbol is None:
        raise refuse(400, INVALID_SYMBOL)
    asset = catalog.find(symbol)
    if asset is None:
        raise refuse(404, not_found(symbol, catalog))
    return asset


def not_found(symbol: str, catalog: Catalog) -> Refusal:
    """Return the refusal of a symbol that is not listed, with listed ones that it may have meant."""
    near = catalog.near(symbol)
    return msgspec.structs.replace(NOT_FOUND, near=near) if near else NOT_FOUND


def normal(text: str) -> str | None:
    """Return the symbol in lower case and without a separator, or None if it is malformed.

    One of `-`, `/` and `_` may stand between base and quote. KELVIN SIGN, not being ASCII, stays.
    """
    symbol = text.lower() if text.isascii() else text
    base, *rest = _SEPARATOR.split(symbol)
    if base and len(rest) == 1 and rest[0]:
        symbol = base + rest[0]
    return symbol if is_symbol(symbol) else None


def whole(request: Request, name: str, default: int, most: int) -> int:
    """Return a query parameter that is a whole number from 1 to `most`. Raises the response 400."""
    text = request.query_params.get(name, str(default))
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(most)) else 0
    if not 1 <= value <= most:
        raise refuse_parameter(f"{name} must be a whole number from 1 to {most}")
    return value


def choice(request: HTTPConnection, name: str, default: str, allowed: tuple[str, ...]) -> str:
    """Return a query parameter that is one of `allowed`. Raises the response 400."""
    value = request.query_params.get(name, default)
    if value not in allowed:
        raise refuse_parameter(f"{name} must be one of {', '.join(allowed)}")
    return value


def wants_strings(request: HTTPConnection) -> bool:
    """Whether `numbers` asks for decimals as strings instead of JSON numbers. Raises the response 400."""
    return choice(request, "numbers", "number", ("number", "string")) == "string"


def encoder_of(request: Request) -> Encode:
    """Return the encoder that `numbers` asks for. Raises the response 400."""
    return encode_as_strings if wants_strings(request) else encode


Row = dict[str, object]


def wants_csv(request: Request) -> bool:
    """Whether the client asks for CSV, by `format` or else by its Accept header. Raises the response 400."""
    if "format" in request.query_params:
        return choice(request, "format", "json", ("json", "csv")) == "csv"
    return accepts(request.headers, "accept", "text/csv")


def accepts(headers: Mapping[str, str], header: str, name: str) -> bool:
    """Whether a header names a media type or coding, and not with the weight 0, by which a client refuses it."""
    accept = headers.get(header, "").lower()
    return name in accept and not re.search(re.escape(name) + _REFUSED, accept)


def csv_response(columns: Sequence[str], rows: Iterable[Row], headers: Mapping[str, str]) -> Response:
    """Return the rows as a CSV response."""
    return Response(csv_text(columns, rows), headers=NO_STORE | dict(headers), media_type="text/csv")


def csv_text(columns: Sequence[str], rows: Iterable[Row], *, header: bool = True) -> str:
    """Return the rows as CSV, with the names of the columns unless `header` is false."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    if header:
        writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    """Return the value as CSV shows it: true and false are written as in JSON."""
    return str(value).lower() if isinstance(value, bool) else value
