"""The ASGI application: routes, refusals in one form, bounds on what comes in, and a count of every answer."""

import time
from collections.abc import Sequence

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from aggregator.api.middleware import STREAMS, Admission, Interrupted, RequestIds
from aggregator.api.openapi.document import described
from aggregator.api.policy import Policy
from aggregator.api.responses import answer
from aggregator.observability.metrics import Metrics

_MOST_BODY = 64 * 1024  # no route reads a body; this is patience, not need
_MOST_URL = 48 * 1024  # room for 1000 of the longest symbols
_MOST_LOGGED = 200
_ENDPOINTS = (
    "",
    "page",
    "docs",
    "prices",
    "refresh",
    "assets",
    "health",
    "ready",
    "metrics",
    "openapi.json",
    "stream",
    "ws",
)


def build(
    routes: Sequence[BaseRoute], metrics: Metrics, most_in_flight: int = 1000, policy: Policy | None = None
) -> ASGIApp:
    """Return the application behind its bounds and counts, with the document of these routes beside them.

    A request beyond `most_in_flight` is refused, and what the `policy` does not let in.
    """
    app = Starlette(
        routes=described(routes),
        exception_handlers={HTTPException: _refusal, Exception: _crash},  # type: ignore[dict-item]  # narrower errors
    )
    app.router.redirect_slashes = False
    inside = Interrupted(Admission(Bounded(app), most_in_flight, metrics))
    return RequestIds(Counted((policy or Policy()).before(inside), metrics))


async def _refusal(_: Request, error: HTTPException) -> Response:
    return answer({"msg": error.detail}, error.status_code, error.headers)


async def _crash(request: Request, _: Exception) -> Response:
    """Answer what nobody planned; Starlette raises it again, and the server logs it, with what we know of it."""
    bind_contextvars(path=_path(request.scope))
    return answer({"msg": "Internal error"}, 500)


class Bounded:
    """Refuses what is too large before anything reads it: 413 for a body, 414 for an address; and stray WebSockets."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        refusal = _too_large(scope) if scope["type"] == "http" else _astray(scope)
        await (refusal or self._app)(scope, receive, send)


def _astray(scope: Scope) -> Response | None:
    return None if scope["path"] in STREAMS else answer({"msg": "There are WebSockets at /ws only"}, 404)


def _too_large(scope: Scope) -> Response | None:
    if len(scope["raw_path"]) + len(scope["query_string"]) > _MOST_URL:
        return answer({"msg": f"The address is longer than {_MOST_URL} bytes"}, 414)
    length = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if not length.isdigit() or len(length) > len(str(_MOST_BODY)) or int(length) > _MOST_BODY:
        return answer({"msg": f"The body is larger than {_MOST_BODY} bytes"}, 413, {"Connection": "close"})
    return None


class Counted:
    """Counts and times every answer under its true status, by the first part of its path."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._requests = metrics.api_requests
        self._log = structlog.get_logger()
        self._seconds = {name: metrics.api_seconds.labels(f"/{name}") for name in (*_ENDPOINTS, "other")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"] in STREAMS or scope["type"] != "http":
            await self._count_begun(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500  # what a crash becomes

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            self._count(scope, status, started)

    async def _count_begun(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a stream, counted and timed as it begins: its end says nothing of how fast we are."""
        started = time.perf_counter()

        async def noted(message: Message) -> None:
            status = 101 if message["type"] == "websocket.accept" else message.get("status")
            if status is not None:
                self._count(scope, status, started)
            await send(message)

        await self._app(scope, receive, noted)

    def _count(self, scope: Scope, status: int, started: float) -> None:
        name, seconds = endpoint_of(scope["path"]), time.perf_counter() - started
        self._requests.labels(f"/{name}", str(status)).inc()
        self._seconds[name].observe(seconds)
        method = scope.get("method", "GET")  # a WebSocket has none, and begins with a GET
        self._log.debug("request", method=method, path=_path(scope), status=status, seconds=round(seconds, 6))


def _path(scope: Scope) -> str:
    """Return the path as it came: undecoded, it has no sign that would begin another line in the log."""
    path: bytes = scope["raw_path"][:_MOST_LOGGED]
    return path.decode("ascii", "backslashreplace")


def endpoint_of(path: str) -> str:
    """Return the first part of the path if it is one of ours: a label must not be made of what callers send."""
    first = path[1:].partition("/")[0]
    return first if first in _ENDPOINTS else "other"
