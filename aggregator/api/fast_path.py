"""GET /prices/{asset} for a price in this process: nearly all requests are this one, so it is answered first.

It says and counts what the route in `prices.py` would; whatever is out of the ordinary is left to that.
"""

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from aggregator.api.buffered_metrics import BufferedMetrics
from aggregator.api.policy import Policy
from aggregator.api.price_bodies import Body, PriceBodies, matches
from aggregator.models import FUTURE_TOLERANCE, Asset
from aggregator.ports import LocalCache
from aggregator.prices.tiers import Catalog

# Where our server puts its way of sending a whole answer, status, head and body: what it returns says whether it has.
AT_ONCE = "aggregator.at_once"
AtOnce = Callable[[int, bytes, bytes], bool]

_PREFIX = "/prices/"
_METHODS = ("GET", "HEAD")
_BODY = (b"content-length", b"transfer-encoding")
_CORS = (b"origin",)


class FastPath:
    """Stands before the application. Costs a lookup in three dicts and a set, and a tally.

    The `policy` holds here too: a host or a key that is not known to be good takes the long way, where it is refused,
    and so does a page's request where CORS has to be answered.
    """

    def __init__(
        self,
        app: ASGIApp,
        catalog: Catalog,
        near: LocalCache,
        bodies: PriceBodies,
        tally: BufferedMetrics,
        now: Callable[[], float] = time.time,
        policy: Policy | None = None,
    ) -> None:
        self._app = app
        self._catalog = catalog
        self._near = near
        self._bodies = bodies
        self._tally = tally
        self._now = now
        policy = policy or Policy()
        self._hosts = policy.hosts
        self._keys = policy.keys if policy.keys.reads_need_one else None
        self._long_way = frozenset((*_BODY, *_CORS) if policy.origins.allowed else _BODY)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        at_once = _taken_out(scope)
        if scope["type"] != "http" or not scope["path"].startswith(_PREFIX):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        asset = self._catalog.find(scope["path"][len(_PREFIX) :])
        now = self._now()
        body = self._body(asset, now) if asset is not None and scope["method"] in _METHODS else None
        seen = self._if_none_match(scope)
        if asset is None or body is None or seen is None or scope["query_string"]:
            await self._app(scope, receive, send)
            return
        not_modified = bool(seen) and matches(body.etag, seen)
        reply = body.not_modified if not_modified else body.reply
        if at_once is None or not at_once(reply.status, reply.head, reply.raw if scope["method"] == "GET" else b""):
            await send(reply.start)
            await send(reply.end)
        age = now - body.price.timestamp
        self._tally.add(asset, time.perf_counter() - started, age, not_modified=not_modified)

    def _body(self, asset: Asset, now: float) -> Body | None:
        price = self._near.peek(asset.symbol)
        if price is None:
            return None
        if not -FUTURE_TOLERANCE <= now - price.timestamp <= self._catalog.cadence[asset.tier].gone_after:
            return None
        return self._bodies.of(asset, price)

    def _if_none_match(self, scope: Scope) -> bytes | None:
        """Return the header, empty when there is none; None when the request has to take the long way.

        It has a body, which somebody has to bound, or what the policy has to look at.
        """
        found, host, long_way = b"", None, self._long_way
        for name, value in scope["headers"]:
            if name == b"host":
                if host is not None:
                    return None
                host = value
            elif name == b"if-none-match":
                found = value
            elif name in long_way:
                return None
        if host not in self._hosts.seen and not (host and self._hosts.allows(host)):
            return None
        if self._keys is not None and not self._keys.may_read(_client_of(scope), scope["headers"]):
            return None
        return found


def _client_of(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _taken_out(scope: Scope) -> AtOnce | None:
    """Take the server's way out of the scope, which it knows: in a circle, requests would be left to the collector."""
    way: AtOnce | None = scope["state"].pop(AT_ONCE, None) if "state" in scope else None
    return way
