"""JSON answers to calls. Errors are `{"msg": ...}`."""

import msgspec
from aiohttp import web


def as_json(body: bytes, status: int = 200, **headers: str) -> web.Response:
    """Return a response with this JSON."""
    return web.Response(body=body, status=status, headers={"Content-Type": "application/json", **headers})


def refusal(status: int, msg: str, **headers: str) -> web.Response:
    """Return an error response `{"msg": ...}`."""
    return as_json(msgspec.json.encode({"msg": msg}), status, **headers)
