"""The JSON of POST /ingest in the OpenAPI document: the answers, and examples of bodies."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from aggregator.api.routing.description import Content, Json
from aggregator.api.routing.responses import Code
from aggregator.api.routing.shared_descriptions import SYMBOL

Index = Annotated[int, Meta(ge=0, description="The place of the record in the request, from 0")]


class RejectedRecord(Struct, frozen=True):
    """A record that is no trade. `code` is the field at fault, or `malformed` or `future`; codes are stable."""

    index: Index
    code: str
    reason: str


class Ingested(Struct, frozen=True):
    """The outcome of the records. `rejected` lists the first thousand; `rejected_count` counts all of them."""

    message: str
    accepted: int
    duplicates: int
    rejected: tuple[RejectedRecord, ...]
    rejected_count: int


class NotIngested(Struct, frozen=True):
    """No record is a trade, or the request ended early; what was `accepted` before is stored."""

    msg: str
    code: Code
    accepted: int
    duplicates: int
    rejected: tuple[RejectedRecord, ...]
    rejected_count: int


TRADE: dict[str, Any] = {
    "asset": SYMBOL,
    "price": 67123.45,
    "volume": 0.25,
    "timestamp": 1764400000.123456,
    "venue": "binance",
    "id": "4711",
    "side": "buy",
}
_OTHER = {"ticker": SYMBOL, "price": "67123.45", "quantity": "0.1", "timestamp": "2025-11-29T07:06:40.5Z"}
ACCEPTED = {"message": "Stored: Success", "accepted": 2, "duplicates": 0, "rejected": [], "rejected_count": 0}
NONE_GOOD = {
    "msg": "No record is a trade",
    "code": Code.NO_VALID_TRADE.value,
    "accepted": 0,
    "duplicates": 0,
    "rejected": [{"index": 0, "code": "price", "reason": "the record has no price"}],
    "rejected_count": 1,
}

_NAMES: dict[str, tuple[str, ...]] = {
    "asset": ("asset", "symbol", "ticker"),
    "volume": ("volume", "size", "quantity", "qty", "amount"),
    "timestamp": ("timestamp", "time", "timestamp_ns", "timestampNs"),
    "venue": ("venue", "exchange"),
    "id": ("id", "trade_id"),
    "sequence": ("sequence", "sequence_number"),
}
_NUMBER: Json = {"type": ["number", "string"]}
_RECORD: Json = {
    "type": "object",
    "description": "A trade. Several names of one field are for other systems: "
    + "; ".join(" or ".join(names) for names in _NAMES.values()),
    "properties": {
        **{name: {"type": "string"} for name in (*_NAMES["asset"], *_NAMES["venue"])},
        "price": _NUMBER,
        **dict.fromkeys(_NAMES["volume"], _NUMBER),
        **{name: {"type": ["string", "integer"]} for name in _NAMES["id"]},
        "timestamp": {
            "type": ["number", "string"],
            "description": "Unix seconds, milliseconds, microseconds or nanoseconds, by magnitude; or RFC 3339",
        },
        "time": {"type": ["number", "string"]},
        **{name: {"type": ["integer", "string"]} for name in ("timestamp_ns", "timestampNs")},
        "side": {"type": "string", "description": "Of the taker: buy or sell"},
        **{name: {"type": ["integer", "string"]} for name in _NAMES["sequence"]},
    },
}
BODIES = (
    Content(
        "application/json",
        {"anyOf": [_RECORD, {"type": "array", "items": _RECORD, "maxItems": 1000}]},
        ([TRADE, _OTHER],),
    ),
    Content("application/x-ndjson", {"type": "string", "description": "One trade a line, any number of lines"}),
    Content(
        "application/x-protobuf",
        {"type": "string", "contentMediaType": "application/x-protobuf", "description": "proto/market.proto"},
    ),
)
