"""Every request has an id, in its answer and in every line that is logged on its way.

Prices in near memory are answered before they come here (`at_hand.py`): nothing is logged of them.
"""

import asyncio
import re
import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from aggregator.api.responses import answer
from aggregator.observability.metrics import Metrics

HEADER = b"x-request-id"
SANE = "[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}"
_SANE = re.compile(SANE.encode())
_ANSWERS = ("http.response.start", "websocket.accept")


class RequestIds:
    """Takes the caller's id if it can be one, or makes one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        name = _given(scope) or secrets.token_hex(16).encode()
        bind_contextvars(request_id=name.decode())  # for good: the server has a task, and so a context, for each

        async def identified(message: Message) -> None:
            if message["type"] in _ANSWERS:
                message = {**message, "headers": [*message.get("headers", ()), (HEADER, name)]}
            await send(message)

        await self._app(scope, receive, identified)


def _given(scope: Scope) -> bytes | None:
    """Return the id in the header: none that is too long, or has signs that could pass for something else in a log."""
    found = next((value for name, value in scope["headers"] if name == HEADER), b"")
    return found if _SANE.fullmatch(found) else None


STREAMS = frozenset({"/stream", "/ws"})  # they have a bound of their own, as theirs last
_OPS = frozenset({"/health", "/ready", "/metrics"})
_MOST_OPS = 100
_TOO_MANY = answer({"msg": "Too many requests under way"}, 503, {"Retry-After": "1"})


class _Slots:
    """So many and no more."""

    def __init__(self, most: int) -> None:
        self.free = most


class Admission:
    """Stands before the application. An answer counts until its last byte has been handed over.

    What operators ask has slots of its own, so that it is answered however many others ask.
    """

    def __init__(self, app: ASGIApp, most: int, metrics: Metrics) -> None:
        self._app = app
        self._slots = _Slots(most)
        self._ops_slots = _Slots(_MOST_OPS)
        self._in_flight = metrics.in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it: 503."""
        if scope["path"] in STREAMS:
            await self._app(scope, receive, send)
            return
        slots = self._ops_slots if scope["type"] == "http" and scope["path"] in _OPS else self._slots
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


_STOPPING = answer({"msg": "The service is stopping"}, 503, {"Retry-After": "1"})


class Interrupted:
    """Answers a cancelled request with 503, unless its answer has begun: the server would make it a 500.

    The server cancels requests only when its time to stop is over. A refresh can take longer than that, as when the
    process it was asked of has been killed.
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
