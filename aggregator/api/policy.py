"""The access policy: Host, Origin and key are checked before all routes, and by `at_hand.py`.

A page of another site reaches this service through its visitor's browser. There are three cases:

1. It gives its own name our address (DNS rebinding): the browser then takes our answers for its own. The Host header
   still has that name, so hosts that are not ours are refused.
2. It reads from our origin: the browser asks for permission by CORS, and gives the page nothing without.
3. It sends a POST or opens a WebSocket, for which the browser asks nobody. The Origin header says whose page it is.

Starlette's CORSMiddleware does the second. Its TrustedHostMiddleware does not do the first: its refusal is plain text
that cannot name the setting, a trailing dot or a second Host header is not looked at, probes that send an address
cannot be let in, and as a middleware of its own it would cost a coroutine for each price from memory.
"""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aggregator.api.hosts import EVERY, host_and_port, is_address, is_same_origin, matches
from aggregator.api.keys import Headers, Keys
from aggregator.api.middleware import STREAMS
from aggregator.api.responses import answer

_PROBED = frozenset({"/health", "/ready", "/metrics"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # a WebSocket has no method, and is none of them
_MOST_SEEN = 1000
_SENT = ("Authorization", "X-API-Key", "If-None-Match", "Last-Event-ID", "X-Request-ID", "Cache-Control")
_SHOW_KEYS = [b"Authorization", b"X-API-Key"]
_SHOWN = ("ETag", "Link", "Retry-After", "X-Request-ID", "WWW-Authenticate")


class Hosts:
    """The Host headers that are served; `seen` are those found good, as they came, and None where none is needed."""

    def __init__(self, allowed: Sequence[str] = (EVERY,), *, any_address: bool = False) -> None:
        self._allowed = tuple(allowed)
        self._any_address = any_address
        self._first_seen: set[bytes | None] = {None} if EVERY in self._allowed else set()
        self.seen = self._first_seen.copy()

    def allows(self, header: bytes) -> bool:
        """Whether a Host header is one of ours; the port is not looked at."""
        if header in self.seen:
            return True
        found = host_and_port(header.decode("latin-1"))
        if found is None or not (matches(found[0], self._allowed) or (self._any_address and is_address(found[0]))):
            return False
        if len(self.seen) >= _MOST_SEEN:  # wildcards and ports have no end
            self.seen = self._first_seen.copy()
        self.seen.add(header)
        return True

    def refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that is not for us, or None for one that is.

        Probes and scrapers call a machine by its address, or by nothing: a rebound name can do neither.
        """
        headers = _all(scope, b"host")
        if EVERY in self._allowed or (len(headers) == 1 and self.allows(headers[0])):
            return None
        found = host_and_port(headers[0].decode("latin-1")) if len(headers) == 1 else None
        if scope["path"] in _PROBED and (not headers or (found is not None and is_address(found[0]))):
            return None
        if found is None:
            return answer({"msg": "The request needs one Host header, which names a host"}, 400)
        told = f"The host {found[0]!r} is not served here; if it should be, add it to AGGREGATOR_ALLOWED_HOSTS"
        return answer({"msg": told}, 421)


class Origins:
    """The origins whose pages may read, force refreshes and open WebSockets, beside our own."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self.allowed = tuple(allowed)

    def refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a page of another site, or None: of who only reads, and of what is no browser."""
        if scope.get("method") in _SAFE:
            return None
        origins = _all(scope, b"origin")
        host = next(iter(_all(scope, b"host")), b"").decode("latin-1")
        if all(self._is_allowed(origin.decode("latin-1"), host) for origin in origins):
            return None
        told = "Pages of this origin may not do this; if they should, add it to AGGREGATOR_CORS_ORIGINS"
        return answer({"msg": told}, 403)

    def _is_allowed(self, origin: str, host: str) -> bool:
        """Whether an Origin header is one of ours; `null` stands for anyone, so it is none."""
        if origin == "null":
            return False
        return origin in self.allowed or EVERY in self.allowed or is_same_origin(origin, host)


class Policy:
    """The hosts, origins and keys of one process; without any, everybody may do everything."""

    def __init__(self, hosts: Hosts | None = None, origins: Origins | None = None, keys: Keys | None = None) -> None:
        self.hosts = hosts or Hosts()
        self.origins = origins or Origins()
        self.keys = keys or Keys()
        self.vary = [b"Origin"] if self.origins.allowed else []
        if self.keys.reads_need_one:
            self.vary += _SHOW_KEYS

    def before(self, app: ASGIApp) -> ASGIApp:
        """Return the application behind the checks: of the host first, then CORS, then of origin and key.

        A page whose origin may read can so read these refusals as well, and preflights need no key.
        """
        inner: ASGIApp = _OriginAndKey(app, self)
        if self.origins.allowed:
            inner = CORSMiddleware(
                inner,
                allow_origins=self.origins.allowed,
                allow_methods=("GET", "HEAD", "POST"),
                allow_headers=_SENT,
                allow_private_network=True,
                expose_headers=_SHOWN,
            )
        return _Host(inner, self.hosts)


class _Host:
    """Stands before the application."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._hosts.refusal(scope) or self._app)(scope, receive, send)


class _OriginAndKey:
    """Stands before the application."""

    def __init__(self, app: ASGIApp, policy: Policy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._policy.keys.reads_need_one and scope["type"] == "http" and scope["path"] not in STREAMS:
            send = _varying(send)
        await (self._policy.origins.refusal(scope) or self._key(scope) or self._app)(scope, receive, send)

    def _key(self, scope: Scope) -> Response | None:
        refused = self._policy.keys.refused_read(HTTPConnection(scope))
        return answer({"msg": refused.detail}, refused.status_code, refused.headers) if refused else None


def _varying(send: Send) -> Send:
    """Return what sends an answer that is only for who shows such a key, also for a cache on the way."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"vary", b", ".join(_SHOW_KEYS))]}
        await send(message)

    return sent


def _all(scope: Scope, wanted: bytes) -> list[bytes]:
    headers: Headers = scope["headers"]
    return [value for name, value in headers if name == wanted]
