"""A route that describes itself: path, handler, parameters, responses, metric label and access in one place.

Write it as a decorator of the handler, so that the description stands with the code:

    class SpreadRoutes:
        @Route("GET", "/spread", label="/spread", operation_id="getSpread", tag="prices", summary="…", responses={…})
        async def spread(self, request: Request) -> Response: ...

        def routes(self) -> list[Route]:
            return routes_of(self)

`app.build` serves the routes, `openapi.py` documents them, and `RouteTable` tells the middleware about them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import msgspec
from starlette import routing
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from aggregator.api.routing.compression import COMPRESSED
from aggregator.api.routing.description import TAGS, Content, Parameter, Response

Access = Literal["open", "read", "write"]
Handler = TypeVar("Handler", bound=Callable[..., Any])
Check = Callable[[HTTPConnection], None]  # raises the refusal of a request

_ATTRIBUTE = "_route"  # of a decorated handler


class UndescribedRoute(ValueError):
    """A route lacks a part of its description. The message names the route, the part and the place."""


class Route(msgspec.Struct, frozen=True):
    """One method of one path, with its description and handler.

    `check` requires a label, an operation id, a tag, a summary, a response, and a description of every path parameter.
    `{name:path}` at the end of a path also matches slashes; such a route is tried after all others.
    """

    method: Literal["GET", "POST", "DELETE", "WEBSOCKET"]  # a GET answers HEAD too
    path: str
    label: str = ""  # `endpoint` in the request metrics; the same for all paths with the same first segment
    operation_id: str = ""
    tag: str = ""  # of description.TAGS
    summary: str = ""
    responses: Mapping[int, Response] = {}  # by status; openapi.py adds the responses that every route has
    parameters: Sequence[Parameter] = ()
    description: str = ""
    body: Sequence[Content] = ()  # what a request may send; the handler reads and bounds it itself
    access: Access = "read"  # read: needs a key if READ_KEYS is set. write: needs one if API_KEYS is set
    is_compressed: bool = False
    is_probe: bool = False  # for monitoring: has request slots of its own, and may be called by IP address
    is_stream: bool = False  # long-lived: has limits of its own. The handler of a GET is an ASGI application
    handler: Callable[..., Any] | None = None

    def __call__(self, handler: Handler) -> Handler:
        """Decorate a handler with this description."""
        setattr(handler, _ATTRIBUTE, self)
        return handler

    @property
    def documented_path(self) -> str:
        """The path as OpenAPI writes it: without Starlette's `:path`."""
        return self.path.replace(":path}", "}")

    def __str__(self) -> str:
        """Return method and path."""
        return f"{self.method} {self.documented_path}"


def routes_of(owner: object) -> list[Route]:
    """Return the decorated methods of `owner` as routes, in the order of their definition."""
    return [
        msgspec.structs.replace(route, handler=getattr(owner, name)) for name, route in described(type(owner)).items()
    ]


def described(owner: type) -> dict[str, Route]:
    """Return the routes of a class by the name of their methods, without handlers."""
    found = {name: getattr(member, _ATTRIBUTE, None) for name, member in vars(owner).items()}
    return {name: route for name, route in found.items() if route is not None}


def starlette_routes(routes: Iterable[Route], check_write: Check) -> list[routing.BaseRoute]:
    """Return the routes for Starlette's router. Those with write access call `check_write` for each request.

    A path with `{name:path}` becomes two: `{name}`, and, tried last, `{name:path}`, which alone matches slashes. Only
    `{name}` matches line breaks. Of the paths with slashes, one that ends with `{name:path}` matches all others too.
    """
    routes = list(routes)
    with_slashes = [route for route in routes if ":path}" in route.path]
    with_slashes.sort(key=lambda route: route.path.endswith(":path}"))
    found = [_starlette_route(route, route.documented_path, check_write) for route in routes] + [
        _starlette_route(route, route.path, check_write) for route in with_slashes
    ]
    for one in found:
        if isinstance(one, _Path):
            same = [other for other in found if isinstance(other, _Path) and other.path == one.path]
            one.allowed = ", ".join(sorted({method for other in same for method in other.methods or ()}))
    return found


def check(routes: Sequence[Route]) -> None:
    """Raise UndescribedRoute, with one line for each route that is incomplete or has the name of another."""
    get_paths = {route.path for route in routes if isinstance(route, Route) and route.method == "GET"}
    problems = [
        f"{route} lacks {', '.join(missing)}. Add this to its Route in {_place(route)}."
        for route in routes
        if (missing := list(_missing(route, get_paths)))
    ]
    if not problems:
        names = Counter(name for route in routes for name in {str(route), route.operation_id} if name)
        problems = [f"{name} is there twice. Give one of the routes another name." for name in names if names[name] > 1]
    if problems:
        raise UndescribedRoute("\n".join(problems))


def _missing(route: Route, get_paths: set[str]) -> Iterable[str]:
    if not isinstance(route, Route):
        yield "a description: it is not an aggregator.api.routing.route.Route"
        return
    if not route.label:
        yield "a metric label (label=)"
    if route.handler is None:
        yield "a handler (handler=)"
    if route.method == "WEBSOCKET":
        if route.path not in get_paths:
            yield "a GET route of the same path (OpenAPI cannot describe a WebSocket, so the GET does)"
        return
    if not route.operation_id:
        yield "an operation id (operation_id=)"
    if route.tag not in TAGS:
        yield f"a tag of {', '.join(TAGS)} (tag=)"
    if not route.summary:
        yield "a summary (summary=)"
    if not route.responses:
        yield "a response (responses=)"
    in_path = set(re.findall(r"{(\w+)", route.path))
    described = {one.name for one in route.parameters if one.location == "path"}
    yield from (f"a description of its path parameter {name} (parameters=)" for name in sorted(in_path - described))


def _place(route: Route) -> str:
    handler = getattr(route, "handler", None) or getattr(route, "endpoint", None)
    name = getattr(handler, "__qualname__", type(handler).__qualname__)
    return f"{getattr(handler, '__module__', '?')}.{name}"


def _starlette_route(route: Route, path: str, check_write: Check) -> routing.BaseRoute:
    handler: Any = route.handler
    if route.method == "WEBSOCKET":
        return routing.WebSocketRoute(path, handler)
    middleware = [Middleware(_WriteCheck, check_write)] if route.access == "write" else []
    middleware += COMPRESSED if route.is_compressed else []
    endpoint = _Asgi(handler) if route.is_stream else handler
    return _Path(path, endpoint, methods=[route.method], middleware=middleware)


class _Path(routing.Route):
    """One method of a path. Its refusal of other methods names those of all routes of the path."""

    allowed = ""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or raise the response 405."""
        if scope["method"] not in (self.methods or ()):
            raise HTTPException(405, f"This path takes {self.allowed} only", {"Allow": self.allowed})
        await super().handle(scope, receive, send)


class _Asgi:
    """An ASGI application made of a bound method. Starlette calls a method itself with a Request."""

    def __init__(self, handler: ASGIApp) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._handler(scope, receive, send)


class _WriteCheck:
    """Checks a request before the handler is called."""

    def __init__(self, app: ASGIApp, check: Check) -> None:
        self._app = app
        self._check = check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._check(HTTPConnection(scope))
        await self._app(scope, receive, send)


OTHER = "/other"  # the label of paths that belong to no route


class RouteTable:
    """The properties of routes that the middleware needs, by path. Raises UndescribedRoute for a label conflict."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._labels: dict[str, str] = {}  # by the first segment of the path
        self._open_paths: set[str] = set()
        self._open_prefixes: tuple[str, ...] = ()
        self.streams: set[str] = set()
        self.with_body: set[str] = set()
        self.probes: set[str] = set()
        for route in routes:
            self._add(route)

    @property
    def labels(self) -> list[str]:
        """Every label that `label_of` returns."""
        return [*dict.fromkeys(self._labels.values()), OTHER]

    def label_of(self, path: str) -> str:
        """Return the metric label of a path.

        A label never contains what a client sent: clients could otherwise create any number of time series.
        """
        return self._labels.get(_first_segment(path), OTHER)

    def is_open(self, path: str) -> bool:
        """Whether the path never needs a key."""
        return path in self._open_paths or path.startswith(self._open_prefixes)

    def _add(self, route: Route) -> None:
        label = self._labels.setdefault(_first_segment(route.path), route.label)
        if label != route.label:
            raise UndescribedRoute(
                f"{route} has the metric label {route.label}, but other routes below /{_first_segment(route.path)} have"
                f" {label}. Requests are counted by the first segment of their path: use one label for all of them."
            )
        if route.is_stream:
            self.streams.add(route.path)
        if route.is_probe:
            self.probes.add(route.path)
        if route.body:
            self.with_body.add(route.path)
        if route.access == "open":
            prefix, parameter, _ = route.path.partition("{")
            if parameter:
                self._open_prefixes += (prefix,)
            else:
                self._open_paths.add(route.path)


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]
