"""The fast path: GET /prices/{asset} for a price in the local cache, answered without Starlette.

Nearly all requests are of this kind, or of /quotes, /aggregations and /features of an asset whose trades this process
knows. Response and metrics are the same as those of the routes in `prices`, `trades` and `trades.features`, with two
exceptions: the response has no X-Request-ID, and the request is not counted as in flight. Every other request goes to
the Starlette application. With the setting `fast_path=false`, the application serves all requests.
"""

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from aggregator.api.access.policy import Policy
from aggregator.api.fast_path.buffered_metrics import BufferedMetrics
from aggregator.api.prices.bodies import Body, PriceBodies
from aggregator.api.routing.replies import matches
from aggregator.api.server.direct_write import DirectWrite, take_direct_write
from aggregator.api.trades.hot_trades import HotTrades
from aggregator.models import FUTURE_TOLERANCE, Asset
from aggregator.ports import LocalCache
from aggregator.prices.tiers import Catalog

_PREFIX = "/prices/"
_METHODS = ("GET", "HEAD")
_BODY_HEADERS = (b"content-length", b"transfer-encoding")
_CORS_HEADERS = (b"origin",)


class FastPath:
    """ASGI middleware in front of the Starlette application. Costs lookups in three dicts and a set, and one count.

    The `policy` holds here too. A request goes to the application, which answers or refuses it, if its host or key is
    not known to be allowed, or if it needs CORS headers.
    """

    def __init__(
        self,
        app: ASGIApp,
        catalog: Catalog,
        cache: LocalCache,
        bodies: PriceBodies,
        metrics: BufferedMetrics,
        now: Callable[[], float] = time.time,
        policy: Policy | None = None,
        hot: HotTrades | None = None,
    ) -> None:
        self._app = app
        self._catalog = catalog
        self._cache = cache
        self._bodies = bodies
        self._metrics = metrics
        self._now = now
        self._hot = {} if hot is None else hot.by_segment
        policy = policy or Policy()
        self._hosts = policy.hosts
        self._keys = policy.keys if policy.keys.reads_need_one else None
        self._excluded = frozenset((*_BODY_HEADERS, *_CORS_HEADERS) if policy.origins.allowed else _BODY_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        direct_write = take_direct_write(scope)
        if scope["type"] != "http" or not scope["path"].startswith(_PREFIX):
            await self._serve_other(scope, receive, send, direct_write)
            return
        started = time.perf_counter()
        asset = self._catalog.find(scope["path"][len(_PREFIX) :])
        now = self._now()
        body = self._body(asset, now) if asset is not None and scope["method"] in _METHODS else None
        if_none_match = self._if_none_match(scope)
        if asset is None or body is None or if_none_match is None or scope["query_string"]:
            await self._app(scope, receive, send)
            return
        not_modified = bool(if_none_match) and matches(body.etag, if_none_match)
        reply = body.not_modified if not_modified else body.reply
        content = reply.raw if scope["method"] == "GET" else b""
        if direct_write is None or not direct_write(reply.status, reply.head, content):
            await send(reply.start)
            await send(reply.end)
        age = now - body.price.timestamp
        self._metrics.add(asset, time.perf_counter() - started, age, not_modified=not_modified)

    async def _serve_other(self, scope: Scope, receive: Receive, send: Send, direct_write: DirectWrite | None) -> None:
        """Serve one request that is not for a price: one of the trade stream's, or the application's."""
        first, _, symbol = scope["path"][1:].partition("/") if scope["type"] == "http" else ("", "", "")
        bodies = self._hot.get(first)
        if bodies is None:
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        is_plain = scope["method"] in _METHODS and not scope["query_string"]
        reply = bodies.of(symbol) if is_plain and self._catalog.find(symbol) is not None else None
        if reply is None or self._if_none_match(scope) is None:
            await self._app(scope, receive, send)
            return
        content = reply.raw if scope["method"] == "GET" else b""
        if direct_write is None or not direct_write(reply.status, reply.head, content):
            await send(reply.start)
            await send(reply.end)
        self._metrics.add_other(f"/{first}", time.perf_counter() - started)

    def _body(self, asset: Asset, now: float) -> Body | None:
        """Return the rendered price; None if the local cache has none, or one too old or too far in the future."""
        price = self._cache.peek(asset.symbol)
        if price is None:
            return None
        if not -FUTURE_TOLERANCE <= now - price.timestamp <= self._catalog.cadence[asset.tier].gone_after:
            return None
        return self._bodies.of(asset, price)

    def _if_none_match(self, scope: Scope) -> bytes | None:
        """Return the If-None-Match header, empty if there is none; None if the application must serve the request.

        That is the case if the request has a body (the application bounds its size), two Host headers, or a host, key
        or origin that the policy has to check.
        """
        found, host, excluded = b"", None, self._excluded
        for name, value in scope["headers"]:
            if name == b"host":
                if host is not None:
                    return None
                host = value
            elif name == b"if-none-match":
                found = value
            elif name in excluded:
                return None
        if host not in self._hosts.seen and not (host and self._hosts.allows(host)):
            return None
        if self._keys is not None and not self._keys.may_read(_client_address(scope), scope["headers"]):
            return None
        return found


def _client_address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
