"""Compression of responses by gzip, for clients that accept it."""

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Receive, Scope, Send

from aggregator.api.routing.responses import accepts

ACCEPT, GZIP = "accept-encoding", "gzip"


class _Gzip(GZipMiddleware):
    """Starlette's middleware, which takes `gzip;q=0` for `gzip`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not accepts(Headers(scope=scope), ACCEPT, GZIP):
            others = [(name, value) for name, value in scope["headers"] if name != ACCEPT.encode()]
            scope = {**scope, "headers": others}
        await super().__call__(scope, receive, send)


# For lists: a single price is too small to gain from compression. 200 prices (42 kB) shrink to 16 % in 0.09 ms at level
# 1, and to 14 % in 0.56 ms at the default level 9.
COMPRESSED = [Middleware(_Gzip, minimum_size=2000, compresslevel=1)]
