"""The access policy: Host, Origin and key are checked before all routes, and by `fast_path.get`.

A page of another site can send requests to this service through the browser of its visitor. There are three cases:

1. DNS rebinding: the site gives its own name our IP address, so the browser treats our responses as the site's own.
   The Host header still has the site's name, so hosts that are not allowed are refused.
2. The page reads from our origin: the browser asks for permission by CORS, and the page gets nothing without it.
3. The page sends a POST or opens a WebSocket: the browser asks for no permission. The Origin header names the page's
   site, so origins that are not allowed are refused.

Starlette's CORSMiddleware handles case 2. Starlette's TrustedHostMiddleware is not enough for case 1: its refusal is
plain text that cannot name the setting, it ignores a trailing dot and a second Host header, it cannot except probes
that send an IP address, and as a middleware it would cost each price from the local cache a coroutine.
"""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.datastructures import Headers as RequestHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aggregator.api.access.hosts import EVERY, host_and_port, is_address, is_same_origin, matches
from aggregator.api.access.keys import Headers, Keys
from aggregator.api.routing.responses import Code, Refusal, refused, response_of
from aggregator.api.routing.route import RouteTable

FOREIGN_ORIGIN = Refusal(
    "Pages of this origin may not do this; if they should, add it to AGGREGATOR_CORS_ORIGINS", Code.FOREIGN_ORIGIN
)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # a WebSocket has no method, and is none of them
_MOST_SEEN = 1000
_REQUEST_HEADERS = ("Authorization", "X-API-Key", "If-None-Match", "Last-Event-ID", "X-Request-ID", "Cache-Control")
_KEY_HEADERS = [b"Authorization", b"X-API-Key"]
_RESPONSE_HEADERS = ("ETag", "Link", "Retry-After", "X-Request-ID", "WWW-Authenticate")


class Hosts:
    """The allowed hosts. `seen` caches allowed Host headers as they were sent; it has None if no header is needed."""

    def __init__(self, allowed: Sequence[str] = (EVERY,), *, any_address: bool = False) -> None:
        self._allowed = tuple(allowed)
        self._any_address = any_address
        self._first_seen: set[bytes | None] = {None} if EVERY in self._allowed else set()
        self.seen = self._first_seen.copy()

    def allows(self, header: bytes) -> bool:
        """Whether a Host header names an allowed host. Its port does not matter."""
        if header in self.seen:
            return True
        found = host_and_port(header.decode("latin-1"))
        if found is None or not (matches(found[0], self._allowed) or (self._any_address and is_address(found[0]))):
            return False
        if len(self.seen) >= _MOST_SEEN:  # wildcards and ports allow any number of different headers
            self.seen = self._first_seen.copy()
        self.seen.add(header)
        return True

    def refusal(self, scope: Scope, *, is_probe: bool = False) -> Response | None:
        """Return the response to a request for another host, or None if the host is allowed.

        Probes and scrapers often send an IP address or no Host header. A probe may: DNS rebinding needs a name.
        """
        headers = _all(scope, b"host")
        if EVERY in self._allowed or (len(headers) == 1 and self.allows(headers[0])):
            return None
        found = host_and_port(headers[0].decode("latin-1")) if len(headers) == 1 else None
        if is_probe and (not headers or (found is not None and is_address(found[0]))):
            return None
        if found is None:
            return refused(400, "The request needs one Host header, which names a host")
        message = f"The host {found[0]!r} is not served here; if it should be, add it to AGGREGATOR_ALLOWED_HOSTS"
        return refused(421, message)


class Origins:
    """The origins other than our own whose pages may read, write and open WebSockets."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self.allowed = tuple(allowed)

    def refusal(self, scope: Scope) -> Response | None:
        """Return the response to a page of a foreign origin, or None for a read and for a client that is no browser."""
        if scope.get("method") in _SAFE:
            return None
        origins = _all(scope, b"origin")
        host = next(iter(_all(scope, b"host")), b"").decode("latin-1")
        if all(self._is_allowed(origin.decode("latin-1"), host) for origin in origins):
            return None
        return refused(403, FOREIGN_ORIGIN)

    def _is_allowed(self, origin: str, host: str) -> bool:
        """Whether an Origin header is allowed. `null` never is: any page can make a browser send it."""
        if origin == "null":
            return False
        return origin in self.allowed or EVERY in self.allowed or is_same_origin(origin, host)


class Policy:
    """The hosts, origins and keys of one process. Without arguments, every request is allowed."""

    def __init__(self, hosts: Hosts | None = None, origins: Origins | None = None, keys: Keys | None = None) -> None:
        self.hosts = hosts or Hosts()
        self.origins = origins or Origins()
        self.keys = keys or Keys()
        self.vary = [b"Origin"] if self.origins.allowed else []
        if self.keys.reads_need_one:
            self.vary += _KEY_HEADERS

    def before(self, app: ASGIApp, table: RouteTable) -> ASGIApp:
        """Return the application behind the checks: first the host, then CORS, then origin and key.

        CORS comes before the key, so that allowed pages can read refusals, and preflight requests need no key.
        """
        inner: ASGIApp = _OriginAndKey(app, self, table)
        if self.origins.allowed:
            inner = _Cors(
                inner,
                allow_origins=self.origins.allowed,
                allow_methods=("GET", "HEAD", "POST", "DELETE"),
                allow_headers=_REQUEST_HEADERS,
                allow_private_network=True,
                expose_headers=_RESPONSE_HEADERS,
            )
        return _Host(inner, self.hosts, table)


class _Cors(CORSMiddleware):
    """Starlette's middleware, whose refusal of a preflight request is plain text."""

    def preflight_response(self, request_headers: RequestHeaders) -> Response:
        """Return the permission, or a refusal in the form of all refusals."""
        response = super().preflight_response(request_headers)
        if response.status_code == HTTPStatus.OK:
            return response
        is_foreign = not self.is_allowed_origin(request_headers["origin"])
        why = FOREIGN_ORIGIN if is_foreign else bytes(response.body).decode()
        del response.headers["content-length"], response.headers["content-type"]
        return refused(HTTPStatus.BAD_REQUEST, why, response.headers)


class _Host:
    """Refuses requests for hosts that are not allowed."""

    def __init__(self, app: ASGIApp, hosts: Hosts, table: RouteTable) -> None:
        self._app = app
        self._hosts = hosts
        self._probes = table.probes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._hosts.refusal(scope, is_probe=scope["path"] in self._probes)
        await (refusal or self._app)(scope, receive, send)


class _OriginAndKey:
    """Refuses requests of foreign origins, and requests that need a key and have none."""

    def __init__(self, app: ASGIApp, policy: Policy, table: RouteTable) -> None:
        self._app = app
        self._origins = policy.origins
        self._keys = policy.keys
        self._table = table

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._keys.reads_need_one and scope["type"] == "http" and scope["path"] not in self._table.streams:
            send = _vary_by_key(send)
        await (self._origins.refusal(scope) or self._key_refusal(scope) or self._app)(scope, receive, send)

    def _key_refusal(self, scope: Scope) -> Response | None:
        if self._table.is_open(scope["path"]):
            return None
        error = self._keys.refused_read(HTTPConnection(scope))
        return response_of(error) if error else None


def _vary_by_key(send: Send) -> Send:
    """Return a `send` that adds the header Vary, so that caches give a response only to requests with the same key."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"vary", b", ".join(_KEY_HEADERS))]}
        await send(message)

    return sent


def _all(scope: Scope, name: bytes) -> list[bytes]:
    headers: Headers = scope["headers"]
    return [value for key, value in headers if key == name]
