"""GET /openapi.json: what this process answers, in OpenAPI 3.1, made once from its routes."""

import hashlib
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from aggregator.api.keys import is_open
from aggregator.api.openapi import browser, history, ops, prices, streams
from aggregator.api.openapi.parts import HEADERS, PARAMETERS, RESPONSES, SECURITY, Json, Operations, keyed
from aggregator.api.openapi.schemas import schemas
from aggregator.api.responses import COMPRESSED, cacheable
from aggregator.models import encode

PATH = "/openapi.json"
_PARTS = (prices, history, streams, ops, browser)
OPERATIONS: Operations = {call: said for part in _PARTS for call, said in part.OPERATIONS.items()}
_VERSION = "1"  # of the contract, not of the package
_MAX_AGE = 3600  # seconds; it changes with the program only
_ABOUT = """One price per asset, from several exchanges, weighted by volume.

Refusals are `{"msg": "…"}`. Every GET answers HEAD too, without the body. Numbers have all the digits they were
computed with: read them as decimals, not as binary fractions. History, at and candles are CSV where `Accept` asks for
`text/csv`. Where the service was given `READ_KEYS`, all but the pages, this document, /health, /ready and /metrics
needs a key. Where it was given `CORS_ORIGINS`, OPTIONS is answered to the pages of those origins.
"""


def described(routes: Sequence[BaseRoute]) -> list[BaseRoute]:
    """Return the routes and the one that tells them and itself. Raises KeyError for one of which nothing is said."""
    raw = b""

    async def show(request: Request) -> Response:
        """GET /openapi.json."""
        return cacheable(request, raw, etag, _MAX_AGE)

    every = [Route(PATH, show, middleware=COMPRESSED), *routes]
    raw = encode(document(every))
    etag = b'W/"%b"' % hashlib.blake2b(raw, digest_size=12).hexdigest().encode()
    return every


def document(routes: Sequence[BaseRoute]) -> Json:
    """Return the document of these routes. Raises KeyError for one of which nothing is said."""
    paths: Json = {}
    for call in calls(routes):
        method, _, path = call.partition(" ")
        told = OPERATIONS[call]
        paths.setdefault(path, {})[method.lower()] = told if is_open(path) else keyed(told)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Price aggregator", "version": _VERSION, "description": _ABOUT},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas(),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "responses": RESPONSES,
            "securitySchemes": SECURITY,
        },
        "tags": [
            {"name": "prices", "description": "Prices now"},
            {"name": "history", "description": "Prices then"},
            {"name": "live", "description": "Prices as they come"},
            {"name": "service", "description": "The service about itself"},
            {"name": "pages", "description": "For browsers"},
        ],
    }


def calls(routes: Sequence[BaseRoute]) -> list[str]:
    """Return each call the routes answer, as "GET /path", once; what takes any path at all is the same one here."""
    found = {
        f"{method} {route.path.replace(':path}', '}')}": None
        for route in routes
        if isinstance(route, Route)
        for method in sorted(route.methods or ())
        if method != "HEAD"  # which every GET answers
    }
    return list(found)
