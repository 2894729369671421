"""The fast path: GET /prices/{asset} for a price in the local cache, answered without Starlette.

Nearly all requests are of this kind, or of /quotes, /aggregations and /features of an asset whose trades this process
knows. Response and metrics are the same as those of the routes in `prices`, `trades` and `trades.features`, with two
exceptions: the response has no X-Request-ID, and the request is not counted as in flight. Every other request goes to
the Starlette application. With the setting `fast_path=false`, the application serves all requests.

The server calls `respond` as soon as it has the head of a request (`server/taskless.py`). What `respond` declines comes
again as an ASGI request.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from aggregator.api.access.policy import Policy
from aggregator.api.fast_path.buffered_metrics import BufferedMetrics
from aggregator.api.prices.bodies import Body, PriceBodies
from aggregator.api.routing.replies import Reply, matches
from aggregator.api.server.direct_write import DirectWrite, take_direct_write
from aggregator.api.trades.hot_trades import HotTrades
from aggregator.models import FUTURE_TOLERANCE, Asset
from aggregator.ports import LocalCache
from aggregator.prices.tiers import Catalog

_PRICES = "prices"
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
        """Serve one request in a task of its own."""
        direct_write = take_direct_write(scope)
        started = time.perf_counter()
        found = self._find(scope)
        if found is None:
            await self._app(scope, receive, send)
            return
        reply = found.reply
        if direct_write is None or not direct_write(reply.status, reply.head, _content(scope, reply)):
            await send(reply.start)
            await send(reply.end)
        self._count(found, time.perf_counter() - started)

    def respond(self, scope: Mapping[str, Any], write: DirectWrite) -> bool:
        """As `direct_write.Respond`."""
        started = time.perf_counter()
        found = self._find(scope)
        if found is None or not write(found.reply.status, found.reply.head, _content(scope, found.reply)):
            return False
        self._count(found, time.perf_counter() - started)
        return True

    def _find(self, scope: Mapping[str, Any]) -> "_Found | None":
        """Return the response; None if the application must serve the request."""
        if scope["type"] != "http" or scope["query_string"] or scope["method"] not in _METHODS:
            return None
        first, _, symbol = scope["path"][1:].partition("/")
        bodies = self._hot.get(first)
        if bodies is None and first != _PRICES:
            return None
        asset, if_none_match = self._catalog.find(symbol), self._if_none_match(scope)
        if asset is None or if_none_match is None:
            return None
        if bodies is not None:
            reply = bodies.of(symbol)
            return None if reply is None else _Found(reply, first)
        now = self._now()
        body = self._body(asset, now)
        if body is None:
            return None
        not_modified = bool(if_none_match) and matches(body.etag, if_none_match)
        reply = body.not_modified if not_modified else body.reply
        return _Found(reply, _PRICES, asset, now - body.price.timestamp, not_modified)

    def _count(self, found: "_Found", seconds: float) -> None:
        if found.asset is None:
            self._metrics.add_other(f"/{found.route}", seconds)
        else:
            self._metrics.add(found.asset, seconds, found.age, not_modified=found.not_modified)

    def _body(self, asset: Asset, now: float) -> Body | None:
        """Return the rendered price; None if the local cache has none, or one too old or too far in the future."""
        price = self._cache.peek(asset.symbol)
        if price is None:
            return None
        if not -FUTURE_TOLERANCE <= now - price.timestamp <= self._catalog.cadence[asset.tier].gone_after:
            return None
        return self._bodies.of(asset, price)

    def _if_none_match(self, scope: Mapping[str, Any]) -> bytes | None:
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


class _Found(NamedTuple):
    """A response, and what metrics count of it: the first segment of the path; of a price, asset and age as well."""

    reply: Reply
    route: str
    asset: Asset | None = None
    age: float = 0.0
    not_modified: bool = False


def _content(scope: Mapping[str, Any], reply: Reply) -> bytes:
    return reply.raw if scope["method"] == "GET" else b""


def _client_address(scope: Mapping[str, Any]) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""
