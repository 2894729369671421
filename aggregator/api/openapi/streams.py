"""What is said of the live streams."""

from aggregator.api.endpoint_labels import MOST_ASSETS
from aggregator.api.openapi.parts import (
    SYMBOL,
    Json,
    Operations,
    bad_request,
    operation,
    query,
    refusal,
    response,
    shown,
)
from aggregator.api.openapi.prices import PRICE
from aggregator.api.responses import INVALID_SYMBOL, NOT_FOUND
from aggregator.live.fanout import NOT_KEPT, TOO_MANY
from aggregator.models import Tier, encode

_TAG = "live"
_EVENT: Json = {
    "type": "object",
    "description": "One event, by its fields",
    "required": ["event", "data"],
    "properties": {
        "event": {"type": "string", "enum": ["snapshot", "price", "gap", "end"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
        "id": {"type": "string", "pattern": "^[0-9a-f]{8}-[0-9]+$"},
    },
}
_EXAMPLES = (
    {"id": "5f1c09ab-41", "event": "snapshot", "data": encode({"prices": [PRICE]}).decode()},
    {"id": "5f1c09ab-42", "event": "price", "data": encode(PRICE).decode()},
    {"event": "gap", "data": encode({"msg": NOT_KEPT}).decode()},
)
_EVENTS: Json = {"text/event-stream": {"schema": _EVENT} | shown(_EXAMPLES)}
_FULL = refusal("Too many streams are open, or the service is stopping", TOO_MANY, sent=("RetryAfter",))
_ABOUT = """Begins with the current prices (`snapshot`, in several where there are more than a thousand), and then tells
every new one (`price`). Its data is as of `GET /prices/{asset}`, that of a snapshot a list of them under `prices`, with
`missing` beside it where something was asked for that is not listed.

A reader that comes back with `Last-Event-ID` gets what it has missed, as long as that is kept. Where it is not, or
where prices are being missed, there is a `gap` with the reason, and a `snapshot` as soon as there can be one. A reader
that is too slow gets only the newest price of each asset, and is cut off in the end. `end` says why we end a stream."""
_SOCKET = f"""Say `{{"type":"subscribe","assets":["{SYMBOL}"]}}` or `{{"type":"subscribe","tiers":["hot"]}}`, and
`unsubscribe` likewise. The answer is what you have then, `{{"type":"subscribed","assets":[…],"tiers":[…]}}`, or
`{{"type":"error","msg":"…"}}`. At most {MOST_ASSETS} assets by name. Prices come as
`{{"type":"snapshot","prices":[…]}}` and `{{"type":"price","price":{{…}}}}`; `{{"type":"gap","msg":"…"}}` and
`{{"type":"end","msg":"…"}}` are as of `GET /stream`."""

OPERATIONS: Operations = {
    "GET /stream": operation(
        "getStream",
        _TAG,
        "Every new price, as Server-Sent Events",
        {
            "200": response("The events, for as long as you read them", _EVENTS, ("NoStore",)),
            "400": bad_request("The symbols or tiers are malformed, or both are given", INVALID_SYMBOL),
            "404": refusal("None of the assets is listed", NOT_FOUND),
            "503": _FULL,
        },
        [
            query(
                "assets",
                "These only. Symbols in any case",
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_ASSETS},
                [SYMBOL, "ethusdt"],
                style="form",
                explode=False,
            ),
            query(
                "tier",
                "These only",
                {"type": "array", "items": {"type": "string", "enum": [tier.value for tier in Tier]}, "minItems": 1},
                [Tier.HOT.value],
                style="form",
                explode=False,
            ),
            {
                "name": "Last-Event-ID",
                "in": "header",
                "description": "The id of the last event you have; browsers send it by themselves",
                "schema": {"type": "string"},
            },
        ],
        description=_ABOUT,
    ),
    "GET /ws": operation(
        "getSocket",
        _TAG,
        "Every new price, over a WebSocket",
        {
            "101": response("It is a WebSocket from here on"),
            "403": refusal(
                "A page of another site asks, or the key is none of ours",
                "Pages of this origin may not do this; if they should, add it to AGGREGATOR_CORS_ORIGINS",
                "The API key is not valid",
            ),
            "426": refusal("It was not asked to be a WebSocket", "Ask for a WebSocket here", sent=("Upgrade",)),
            "503": _FULL,
        },
        description=_SOCKET,
    ),
}
