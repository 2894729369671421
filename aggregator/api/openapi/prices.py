"""What is said of the routes about prices."""

from aggregator.api.endpoint_labels import MOST_ASSETS
from aggregator.api.openapi.parts import (
    SYMBOL,
    Json,
    Operations,
    bad_request,
    json,
    model,
    operation,
    query,
    ref,
    refusal,
    response,
)
from aggregator.api.openapi.schemas import NoPriceFound, PriceList, PriceSources, Refreshed, Refusal
from aggregator.api.responses import INVALID_SYMBOL, NO_PRICE, NOT_FOUND
from aggregator.models import PriceBody, Reason, Tier

_TAG = "prices"
_ASSET = ref("parameters", "Asset")
_IF_NONE_MATCH = ref("parameters", "IfNoneMatch")
PRICE: Json = {
    "asset": SYMBOL,
    "price": 77896.49245,
    "last_updated": "2026-11-21 06:10:27",
    "time_ago": "0s ago",
    "refresh_tier": Tier.HOT.value,
    "timestamp": 1795241427.047,
    "sources": 3,
    "spread": 0.0002019346379,
    "stale": False,
    "degraded": False,
}
_SOURCE: Json = {
    "exchange": "exchange1",
    "price": 77896.49245,
    "volume": 1234.5,
    "timestamp": 1795241427.047,
    "weight": 0.5,
}
_LATE: Json = {"exchange": "exchange2", "reason": Reason.LATE.value, "detail": "not within 0.25 s of the majority"}
_OUTLIER: Json = {
    "exchange": "exchange3",
    "reason": Reason.OUTLIER.value,
    "detail": "median 77896.49245",
    "price": 233689.4,
    "volume": 1000,
    "timestamp": 1795241426.9,
}
_APART: Json = _OUTLIER | {"reason": Reason.DISAGREEMENT.value, "detail": "lower price 77896.49245"}
_MADE_OF: Json = {
    "degraded": True,
    "sources": [_SOURCE, _SOURCE | {"exchange": "exchange4"}],
    "left_out": [_LATE, _OUTLIER],
}
_KNOWN = ("ETag", "MaxAge")
_ASK = "Give either assets or tier, not both."

OPERATIONS: Operations = {
    "GET /prices/{asset}": operation(
        "getPrice",
        _TAG,
        "The price of an asset",
        {
            "200": response("The price; `stale` says that it is an old one", json(model(PriceBody), PRICE), _KNOWN),
            "304": ref("responses", "NotModified"),
            "400": ref("responses", "BadSymbol"),
            "404": ref("responses", "NotListed"),
            "503": ref("responses", "NoPriceNow"),
        },
        [_ASSET, _IF_NONE_MATCH],
    ),
    "GET /prices": operation(
        "getPrices",
        _TAG,
        "The prices of many assets, or of a tier",
        {
            "200": response(
                "The known prices, and what was asked for beside: one bad symbol spoils nothing",
                json(
                    model(PriceList),
                    {
                        "prices": [PRICE],
                        "missing": [
                            {"asset": "nosuch", "reason": NOT_FOUND},
                            {"asset": "a/b", "reason": INVALID_SYMBOL},
                            {"asset": "ethusdt", "reason": NO_PRICE},
                        ],
                    },
                ),
                _KNOWN,
            ),
            "304": ref("responses", "NotModified"),
            "400": bad_request("The query names none, or too many", "Give either assets=btcusdt,ethusdt or tier=hot"),
        },
        [
            query(
                "assets",
                f"{_ASK} Symbols in any case; one named twice is answered once",
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_ASSETS},
                [SYMBOL, "ethusdt"],
                style="form",
                explode=False,
            ),
            query("tier", _ASK, {"type": "string", "enum": [tier.value for tier in Tier]}),
            _IF_NONE_MATCH,
        ],
        description=f"{_ASK} At most {MOST_ASSETS} assets in one call, of a tier as well.",
    ),
    "GET /prices/{asset}/sources": operation(
        "getSources",
        _TAG,
        "Where the price of an asset came from",
        {
            "200": response(
                "Each exchange's ticker and weight, or why it was left out",
                json(model(PriceSources), PRICE | _MADE_OF),
                ("NoStore",),
            ),
            "400": ref("responses", "BadSymbol"),
            "404": ref("responses", "NotListed"),
            "503": response(
                "No price is known now: `left_out` has each exchange's answer. Without it: too many requests are being"
                " answered",
                json(
                    {"anyOf": [model(NoPriceFound), model(Refusal)]},
                    {"msg": NO_PRICE, "left_out": [_APART | {"exchange": "exchange1", "price": 77896.49245}, _APART]},
                ),
                ("NoStore", "RetryAfter"),
            ),
        },
        [_ASSET],
        description="Of a stale price, the exchanges are asked now (an asset at most once a second): `no_new_price` has"
        " what each of them answers, of which no newer price can be made; if one can, it is what you get.",
    ),
    "POST /refresh/{asset}": operation(
        "refresh",
        _TAG,
        "Ask the exchanges now",
        {
            "200": response(
                "The price, just made and stored",
                json(model(Refreshed), {"message": f"Price for {SYMBOL} refreshed"} | PRICE),
                ("NoStore",),
            ),
            "400": ref("responses", "BadSymbol"),
            "401": refusal(
                "A key is needed here",
                "An API key is needed: Authorization: Bearer … or X-API-Key",
                sent=("Authenticate",),
            ),
            "403": refusal(
                "The key is none of ours, or for reading only; or a page of another site asks",
                "The API key is not valid",
                "This API key is for reading only",
                "Pages of this origin may not do this; if they should, add it to AGGREGATOR_CORS_ORIGINS",
            ),
            "404": ref("responses", "NotListed"),
            "429": refusal("Too many refreshes, of this asset or of all, or too many wrong keys", sent=("RetryAfter",)),
            "503": refusal(
                "History cannot take a new price now, or too many requests are being answered",
                "History cannot take a new price now",
                sent=("RetryAfter",),
            ),
            "502": response(
                "No exchange gave a price, each for its own reason",
                json(
                    model(NoPriceFound),
                    {"msg": f"No exchange gave a price for {SYMBOL}", "left_out": [_LATE, _OUTLIER]},
                ),
                ("NoStore",),
            ),
        },
        [_ASSET],
        description="Fetches, aggregates and stores; callers at the same moment share one fetch. A key is needed where"
        " the service was given any (`API_KEYS`), and none where it was not.",
        security=[{"bearer": []}, {"key": []}, {}],
    ),
}
