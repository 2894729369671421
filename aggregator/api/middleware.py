"""Middleware before all routes: request ids, limits of concurrent requests, and a response to cancelled requests.

Prices from the local cache do not pass it: `fast_path.get` answers them first, and nothing is logged about them.
"""

import asyncio
import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from aggregator.api.routing.responses import OVERLOADED, RETRY_SOON, STOPPING, refused
from aggregator.api.routing.route import RouteTable
from aggregator.api.routing.shared_descriptions import REQUEST_ID_FORM
from aggregator.observability.metrics import Metrics

HEADER = b"x-request-id"
_SANE = re.compile(REQUEST_ID_FORM.encode())
_ANSWERS = ("http.response.start", "websocket.accept")


class RequestIds:
    """Gives each request an id, the client's if that is well-formed, and adds it to the response and to log lines."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        name = _given(scope) or secrets.token_hex(16).encode()
        bind_contextvars(request_id=name.decode())  # never unbound: the server runs each request in a task of its own

        async def identified(message: Message) -> None:
            if message["type"] in _ANSWERS:
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, name)]}
            await send(message)

        await self._app(scope, receive, identified)


def _given(scope: Scope) -> bytes | None:
    """Return the id in the header, or None if it is too long or has characters that could forge a log line."""
    found = next((value for name, value in scope["headers"] if name == HEADER), b"")
    return found if _SANE.fullmatch(found) else None


_MOST_PROBES = 100
_TOO_MANY = refused(503, OVERLOADED, RETRY_SOON)


class _Slots:
    """The free slots of a concurrency limit."""

    def __init__(self, most: int) -> None:
        self.free = most


class Admission:
    """Limits concurrent requests to `most`. A request holds its slot until the last byte of its response is sent.

    Probes have slots of their own, so that monitoring works under full load. Streams have limits of their own.
    """

    def __init__(self, app: ASGIApp, most: int, metrics: Metrics, table: RouteTable) -> None:
        self._app = app
        self._table = table
        self._slots = _Slots(most)
        self._probe_slots = _Slots(_MOST_PROBES)
        self._in_flight = metrics.in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it with 503."""
        if scope["path"] in self._table.streams:
            await self._app(scope, receive, send)
            return
        slots = self._probe_slots if scope["type"] == "http" and scope["path"] in self._table.probes else self._slots
        if not slots.free:
            await _TOO_MANY(scope, receive, send)
            return
        slots.free -= 1
        self._in_flight.inc()
        try:
            await self._app(scope, receive, send)
        finally:
            slots.free += 1
            self._in_flight.dec()


_STOPPING = refused(503, STOPPING, RETRY_SOON)


class Interrupted:
    """Answers a cancelled request with 503, unless its response has begun. The server would send 500.

    The server cancels requests only when its time to stop is over. A refresh can take longer, for example if the
    process that should do it has been killed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:
            if begun or scope["type"] != "http":
                raise
            await _STOPPING(scope, receive, send)
