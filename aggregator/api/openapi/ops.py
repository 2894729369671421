"""What is said of the routes about the service, this document among them."""

from aggregator.api.openapi.parts import Json, Operations, json, model, operation, ref, response
from aggregator.api.openapi.schemas import AssetList, Readiness, Refusal
from aggregator.models import Tier

_TAG = "service"
_READY: Json = {
    "ready": True,
    "reasons": ["cache: no answer within 1 s"],
    "stores": {"cache": "no answer within 1 s", "history": "ok"},
    "exchanges": {
        "exchange1": {
            "breaker": "closed",
            "quiet_for_seconds": 0.0,
            "last_ticker_seconds_ago": 0.2,
            "newest_ticker_seconds_ago": 0.3,
            "push": None,
            "rejected": None,
        }
    },
    "tiers": {Tier.HOT.value: {"assets": 20, "priced": 20, "p95_age": 4.8, "allowed_age": 15.0, "stale_after": 7.5}},
    "jobs_behind_seconds": {},
}
_ASSET: Json = {
    "symbol": "btcusdt",
    "base": "btc",
    "quote": "usdt",
    "tier": Tier.HOT.value,
    "rank": 1,
    "venues": 3,
    "too_few_venues": False,
}
_NOT_READY = _READY | {
    "ready": False,
    "reasons": ["hot tier: 20 of 20 assets have no price yet"],
    "tiers": {Tier.HOT.value: {"assets": 20, "priced": 0, "p95_age": None, "allowed_age": 15.0, "stale_after": 7.5}},
}


def _text(example: str) -> Json:
    shown = {"example1": {"summary": "An example", "value": example}}
    return {"text/plain": {"schema": {"type": "string"}, "examples": shown}}


OPERATIONS: Operations = {
    "GET /assets": operation(
        "getAssets",
        _TAG,
        "Every listed asset with its tier and rank, and how many exchanges trade it",
        {
            "200": response(
                "The assets, hottest first",
                json(model(AssetList), {"assets": [_ASSET]}),
                ("NoStore",),
            )
        },
    ),
    "GET /health": operation(
        "getHealth", _TAG, "Whether the process lives", {"200": response("It does", _text("OK"), ("NoStore",))}
    ),
    "GET /ready": operation(
        "getReadiness",
        _TAG,
        "Whether the service is of use",
        {
            "200": response(
                "The hottest prices are fresh and history takes new ones; `reasons` tells other troubles",
                json(model(Readiness), _READY),
                ("NoStore",),
            ),
            "503": response(
                "They are not, for these reasons; or too many requests are being answered",
                json({"anyOf": [model(Readiness), model(Refusal)]}, _NOT_READY),
                ("NoStore",),
            ),
        },
    ),
    "GET /metrics": operation(
        "getMetrics",
        _TAG,
        "What has been counted, for Prometheus",
        {"200": response("Prometheus' text format 0.0.4", _text("price_cache_hits_total 12.0\n"), ("NoStore",))},
    ),
    "GET /openapi.json": operation(
        "getOpenApi",
        _TAG,
        "This document",
        {
            "200": response("OpenAPI 3.1", json({"type": "object"}), ("ETag", "MaxAge")),
            "304": ref("responses", "NotModified"),
        },
        [ref("parameters", "IfNoneMatch")],
    ),
}
