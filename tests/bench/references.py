"""Reference servers: uvicorn with a constant answer, and a plain Starlette route with one Redis GET."""

import os

import redis.asyncio as redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

# as long as a price body of ours
PRICE = (
    b'{"asset":"btcusdt","price":77896.49245,"last_updated":"2026-11-21 06:10:27",'
    b'"timestamp_iso":"2026-11-21T06:10:27.047Z","time_ago":"0s ago","refresh_tier":"hot","timestamp":1795241427.047,'
    b'"sources":3,"spread":0.0002019346379,"stale":false,"degraded":false}'
)
_START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(PRICE))],
}
_END: Message = {"type": "http.response.body", "body": PRICE}


async def bare(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Send the same body to every request."""
    await send(_START)
    await send(_END)


# as long as the answer of POST /ingest to one trade
INGESTED = b'{"message":"Stored: Success","accepted":1,"duplicates":0,"rejected":[],"rejected_count":0}'
_INGESTED_START: Message = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(INGESTED))],
}
_INGESTED_END: Message = {"type": "http.response.body", "body": INGESTED}


async def read_body(_scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body of every request, ignore it, and send the same answer."""
    while (await receive()).get("more_body", False):
        pass
    await send(_INGESTED_START)
    await send(_INGESTED_END)


def assets() -> Starlette:
    """Return `bare` plus the list of assets that the load test reads."""
    listed = os.environ["BENCH_ASSETS"].encode()

    async def show(_: Request) -> Response:
        return Response(listed, media_type="application/json")

    app = Starlette(routes=[Route("/assets", show)])
    app.mount("/", bare)
    return app


def redis_get() -> Starlette:
    """Return the simplest application: one route, one Redis GET, its bytes as the body."""
    client = redis.from_url(os.environ["BENCH_REDIS"])

    async def price(request: Request) -> Response:
        raw = await client.get(f"aggregator:price:{request.path_params['asset']}")
        return Response(raw, 200 if raw else 404, media_type="application/json")

    return Starlette(routes=[Route("/prices/{asset}", price)])
