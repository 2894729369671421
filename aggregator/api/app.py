"""The ASGI application: routes behind middleware that bounds, counts and refuses requests."""

import time
from collections.abc import Callable, Sequence

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars

from aggregator.api.access.policy import Policy
from aggregator.api.middleware import Admission, Interrupted, RequestIds
from aggregator.api.openapi import OpenApiRoute
from aggregator.api.routing.responses import refused, response_of
from aggregator.api.routing.route import Route, RouteTable, check, starlette_routes
from aggregator.errors import StoreError
from aggregator.observability.metrics import Metrics

_MOST_BODY = 64 * 1024  # bytes; most routes read no body, but some clients send a small one
_MOST_URL = 48 * 1024  # bytes; enough for 1000 of the longest symbols
_MOST_LOGGED = 200  # bytes of a path
_CLOSE = {"Connection": "close"}  # of an answer before the end of the body


class Application:
    """The ASGI application. `label_of` returns the metric label of a path."""

    def __init__(self, app: ASGIApp, label_of: Callable[[str], str]) -> None:
        self._app = app
        self.label_of = label_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. White space behind a header's value, which the parser keeps, is no part of the value."""
        scope["headers"] = [(name, value.rstrip(b" \t")) for name, value in scope["headers"]]
        await self._app(scope, receive, send)


def build(
    routes: Sequence[Route], metrics: Metrics, most_in_flight: int = 1000, policy: Policy | None = None
) -> Application:
    """Return the application of these routes and of /openapi.json, which documents them.

    At most `most_in_flight` requests are served at once; without a `policy` every client is allowed. Raises
    UndescribedRoute if a route lacks a description, a metric label or a documented response.
    """
    check(routes)
    policy = policy or Policy()
    routes = [*OpenApiRoute(routes).routes(), *routes]
    table = RouteTable(routes)
    app = Starlette(
        routes=starlette_routes(routes, policy.keys.check_write),
        exception_handlers={HTTPException: _refusal, Exception: _crash},  # type: ignore[dict-item]  # narrower errors
    )
    app.router.redirect_slashes = False
    limited = Interrupted(Admission(Bounded(app, table), most_in_flight, metrics, table))
    return Application(RequestIds(Counted(policy.before(limited, table), metrics, table)), table.label_of)


async def _refusal(_: Request, error: HTTPException) -> Response:
    return response_of(error)


async def _crash(request: Request, _: Exception) -> Response:
    """Answer 500 to an unexpected exception. Starlette raises it again, and the server logs it with this path."""
    bind_contextvars(path=_path(request.scope))
    return refused(500, "Internal error")


class Bounded:
    """Refuses bodies (413) and URLs (414) that are too large, and unknown transfer codings, before a body is read.

    It also refuses WebSockets at other paths.
    """

    def __init__(self, app: ASGIApp, table: RouteTable) -> None:
        self._app = app
        self._streams = table.streams
        self._with_body = table.with_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        with_body = scope["path"] in self._with_body
        refusal = _refused_head(scope, with_body=with_body) if scope["type"] == "http" else self._misplaced(scope)
        await (refusal or self._app)(scope, receive, send)

    def _misplaced(self, scope: Scope) -> Response | None:
        return None if scope["path"] in self._streams else refused(404, "There are WebSockets at /ws only")


def _refused_head(scope: Scope, *, with_body: bool) -> Response | None:
    """Return the refusal of a request that is too large, or whose body has a coding that nothing here decodes.

    A route that takes a body bounds it itself.
    """
    if len(scope["raw_path"]) + len(scope["query_string"]) > _MOST_URL:
        return refused(414, f"The address is longer than {_MOST_URL} bytes")
    length, codings = b"0", []
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = value.strip()  # the parser keeps white space behind a value
        elif name == b"transfer-encoding":
            codings.append(value.strip().lower())
    if codings not in ([], [b"chunked"]):  # the parser takes any coding before `chunked`, and decodes the chunks only
        return refused(400, "The only transfer coding is chunked", _CLOSE)
    if with_body:
        return None
    if not length.isdigit() or len(length) > len(str(_MOST_BODY)) or int(length) > _MOST_BODY:
        return refused(413, f"The body is larger than {_MOST_BODY} bytes", _CLOSE)
    return None


class Counted:
    """Counts and times every response by its status and by the metric label of its path."""

    def __init__(self, app: ASGIApp, metrics: Metrics, table: RouteTable) -> None:
        self._app = app
        self._table = table
        self._requests = metrics.api_requests
        self._log = structlog.get_logger()
        self._seconds = {label: metrics.api_seconds.labels(label) for label in table.labels}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["path"] in self._table.streams or scope["type"] != "http":
            await self._serve_stream(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500  # the status of a crash, which sends no response through here
        has_begun = False

        async def send_and_note(message: Message) -> None:
            nonlocal status, has_begun
            if message["type"] == "http.response.start":
                status, has_begun = message["status"], True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except StoreError as error:
            if not has_begun:
                raise
            # The server closes the connection of a response without an end, so the client sees that it is cut off.
            self._log.warning("response_cut_off", path=scope["path"], error=str(error))
        finally:
            self._count(scope, status, started)

    async def _serve_stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a stream. It is counted and timed when it begins: its end depends on the client."""
        started = time.perf_counter()

        async def send_and_count(message: Message) -> None:
            status = 101 if message["type"] == "websocket.accept" else message.get("status")
            if status is not None:
                self._count(scope, status, started)
            await send(message)

        await self._app(scope, receive, send_and_count)

    def _count(self, scope: Scope, status: int, started: float) -> None:
        label, seconds = self._table.label_of(scope["path"]), time.perf_counter() - started
        self._requests.labels(label, str(status)).inc()
        self._seconds[label].observe(seconds)
        method = scope.get("method", "GET")  # the scope of a WebSocket has no method; its handshake is a GET
        self._log.debug("request", method=method, path=_path(scope), status=status, seconds=round(seconds, 6))


def _path(scope: Scope) -> str:
    """Return the path as it was sent: undecoded, it has no character that could begin a new line in the log."""
    path: bytes = scope["raw_path"][:_MOST_LOGGED]
    return path.decode("ascii", "backslashreplace")
