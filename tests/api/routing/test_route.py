"""A route describes itself, for the document, the metrics and the access checks; or the start fails."""

import re

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.responses import Response as HttpResponse
from starlette.routing import Route as StarletteRoute

from aggregator.api.access.keys import Keys
from aggregator.api.access.policy import Policy
from aggregator.api.app import Application, build
from aggregator.api.openapi import PATH
from aggregator.api.routing.description import Parameter, Response, json
from aggregator.api.routing.responses import Refusal
from aggregator.api.routing.route import Route, RouteTable, UndescribedRoute, routes_of
from aggregator.observability.metrics import Metrics
from tests.parts import asgi
from tests.parts.routes import every_route

ASSET = Parameter("asset", "path", "An asset", {"type": "string"}, required=True)
OK = {200: Response("It is fine", (json(Refusal),))}


class Spreads:
    """An example of routes: complete descriptions beside their handlers."""

    def routes(self) -> list[Route]:
        """Return the routes."""
        return routes_of(self)

    @Route("GET", "/spreads", label="/spreads", operation_id="getSpreads", tag="prices", summary="All", responses=OK)
    async def every(self, _: Request) -> HttpResponse:
        """Return something."""
        return PlainTextResponse("every")

    @Route(
        "POST",
        "/spreads/{asset:path}",
        label="/spreads",
        operation_id="postSpread",
        tag="prices",
        summary="One",
        parameters=[ASSET],
        responses=OK,
        access="write",
    )
    async def one(self, request: Request) -> HttpResponse:
        """Return something else."""
        return PlainTextResponse(request.path_params["asset"])

    @Route(
        "POST",
        "/spreads/{asset}/now",
        label="/spreads",
        operation_id="postSpreadNow",
        tag="prices",
        summary="One now",
        parameters=[ASSET],
        responses=OK,
    )
    async def now(self, _: Request) -> HttpResponse:
        """Return something else."""
        return PlainTextResponse("now")


def application(*routes: Route, metrics: Metrics | None = None, policy: Policy | None = None) -> Application:
    """Return the application of these routes."""
    return build(routes, metrics or Metrics(CollectorRegistry()), policy=policy)


async def handler(_: Request) -> HttpResponse:
    """Return nothing."""
    return PlainTextResponse("")


@pytest.mark.parametrize(
    ("route", "sentence"),
    [
        (
            Route("GET", "/bare", handler=handler),
            (
                "GET /bare lacks a metric label (label=), an operation id (operation_id=), a tag of prices, history,"
                " trades, alerts, strategy, live, service, pages (tag=), a summary (summary=), a response (responses=)."
                " Add this to its Route in tests.api.routing.test_route.handler."
            ),
        ),
        (
            Route("GET", "/x", "/x", "getX", "prices", "It is", handler=handler),
            "GET /x lacks a response (responses=). Add this",
        ),
        (
            Route("GET", "/x", "", "getX", "prices", "It is", OK, handler=handler),
            "GET /x lacks a metric label (label=). Add this",
        ),
        (
            Route("GET", "/x", "/x", "getX", "prices", "", OK, handler=handler),
            "GET /x lacks a summary (summary=). Add this",
        ),
        (
            Route("GET", "/x/{one}/{two:path}", "/x", "getX", "prices", "It is", OK, handler=handler),
            (
                "GET /x/{one}/{two} lacks a description of its path parameter one (parameters=), a description of its"
                " path parameter two (parameters=)."
            ),
        ),
        (Route("GET", "/x", "/x", "getX", "prices", "It is", OK), "GET /x lacks a handler (handler=)."),
        (
            Route("GET", "/x", "/x", "getX", "nonsense", "It is", OK, handler=handler),
            "GET /x lacks a tag of prices, history, trades, alerts, strategy, live, service, pages (tag=).",
        ),
        (Route("WEBSOCKET", "/x", "/x", handler=handler), "WEBSOCKET /x lacks a GET route of the same path"),
    ],
)
def test_an_incomplete_route_fails_at_the_start(route: Route, sentence: str) -> None:
    """With a sentence that names the route, what is missing, and where to add it."""
    with pytest.raises(UndescribedRoute, match=re.escape(sentence)):
        application(*Spreads().routes(), route)


def test_a_route_of_starlette_fails_at_the_start() -> None:
    """It cannot have a description."""
    bare = StarletteRoute("/bare", handler)
    with pytest.raises(
        UndescribedRoute, match=r"/bare.* lacks a description: it is not an aggregator.api.routing.route.Route"
    ):
        application(bare)  # type: ignore[arg-type]  # the mistake


def test_every_incomplete_route_is_reported_at_once() -> None:
    """One line for each."""
    with pytest.raises(UndescribedRoute) as error:
        application(Route("GET", "/one", handler=handler), Route("GET", "/two", handler=handler))
    assert [line.split(" lacks ")[0] for line in str(error.value).splitlines()] == ["GET /one", "GET /two"]


def test_two_labels_below_one_segment_fail_at_the_start() -> None:
    """Requests are counted by the first segment of their path."""
    other = Route("GET", "/spreads/wide", "/wide", "getWide", "prices", "It is", OK, handler=handler)
    with pytest.raises(UndescribedRoute, match="GET /spreads/wide has the metric label /wide, but other routes"):
        application(*Spreads().routes(), other)


@pytest.mark.parametrize("field", ["operation_id", "path"])
def test_two_routes_of_one_name_fail_at_the_start(field: str) -> None:
    """The second would silently replace the first, in the document or in the router."""
    names = {"path": "/other", "operation_id": "getOther"} | {field: {"path": "/x", "operation_id": "getX"}[field]}
    routes = [
        Route("GET", "/x", "/x", "getX", "prices", "It is", OK, handler=handler),
        Route("GET", names["path"], names["path"], names["operation_id"], "prices", "It is", OK, handler=handler),
    ]
    with pytest.raises(UndescribedRoute, match="is there twice"):
        application(*routes)


async def test_a_description_is_enough() -> None:
    """For the document, the router and the metrics; paths that match slashes are tried last."""
    metrics = Metrics(CollectorRegistry())
    app = application(*Spreads().routes(), metrics=metrics)
    assert (await asgi.get(app, "/spreads")).body == b"every"
    assert (await asgi.get(app, "/spreads/a/now", method="POST")).body == b"now"
    assert (await asgi.get(app, "/spreads/a/b", method="POST")).body == b"a/b"
    document = (await asgi.get(app, PATH)).json
    assert document["paths"]["/spreads/{asset}"]["post"]["operationId"] == "postSpread"
    for label, count in (("/spreads", 3), (PATH, 1)):
        labels = {"endpoint": label, "status": "200"}
        assert metrics.registry.get_sample_value("price_api_requests_total", labels) == count


async def test_write_access_needs_a_key() -> None:
    """Of API_KEYS, without a line in the handler; a route with read access does not need it."""
    app = application(*Spreads().routes(), policy=Policy(keys=Keys([SecretStr("right")])))
    assert (await asgi.get(app, "/spreads/a", method="POST")).status == 401
    assert (await asgi.get(app, "/spreads/a", {"X-API-Key": "wrong"}, "POST")).status == 403
    assert (await asgi.get(app, "/spreads/a", {"X-API-Key": "right"}, "POST")).status == 200
    assert (await asgi.get(app, "/spreads")).status == 200


def test_what_the_middleware_knows_by_path() -> None:
    """The labels, streams, probes and open paths of the service."""
    table = RouteTable(every_route())
    names = "page docs guide prices sparklines refresh assets exchanges health ready metrics stream udf ws"
    names += " ingest trades query quotes aggregations features anomalies alerts sentiment"
    names += " signals positions"
    assert set(table.labels) == {"/", "/other", *(f"/{name}" for name in names.split())}
    assert table.streams == {"/stream", "/ws"}
    assert table.with_body == {"/ingest", "/alerts"}
    assert table.probes == {"/health", "/ready", "/metrics"}
    paths = ["/", "/docs", "/page/main.js", "/docs/x", "/health", "/ready", "/metrics", "/prices", "/assets", "/page"]
    assert [path for path in paths if not table.is_open(path)] == ["/prices", "/assets", "/page"]
    assert [table.label_of(path) for path in ("/prices/a/b", "/nosuch", "/", "/pricesx")] == [
        "/prices",
        "/other",
        "/",
        "/other",
    ]
