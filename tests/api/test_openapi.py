"""GET /openapi.json describes every route, in a valid document."""

import json
from typing import Any

import jsonschema_rs
import pytest
from prometheus_client import CollectorRegistry

from aggregator.api.app import build
from aggregator.api.openapi import PATH
from aggregator.observability.metrics import Metrics
from tests.api.openapi_parts import OPENAPI, Json, operations, parts, whole_document
from tests.parts import asgi
from tests.parts.routes import OPS, every_route


async def document_of(*routes: Any) -> Json:
    """Return the document of an application with these routes."""
    answer = await asgi.get(build(routes, Metrics(CollectorRegistry())), PATH)
    found: Json = json.loads(answer.body)
    return found


@pytest.fixture(scope="module")
def openapi() -> Json:
    """Return the document of the whole API."""
    return whole_document()


async def test_exactly_the_routes_are_documented() -> None:
    """With its methods, in a process of any role, and no other operation."""
    every = every_route()
    documented = {str(route) for route in every if route.method != "WEBSOCKET"}
    assert set(operations(await document_of(*every))) == {OPENAPI, *documented}
    assert set(operations(await document_of(*OPS))) == {OPENAPI, *map(str, OPS)}


async def test_the_document_can_be_cached() -> None:
    """It changes only with the program."""
    app = build(OPS, Metrics(CollectorRegistry()))
    first = await asgi.get(app, PATH)
    assert first.headers["cache-control"] == "max-age=3600"
    again = await asgi.get(app, PATH, {"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


def test_the_document_is_valid(openapi: Json) -> None:
    """Valid by the meta-schemas of OpenAPI 3.1 and JSON Schema, and without dangling references."""
    import schemathesis  # noqa: PLC0415  # a second of CPU time, in each process of pytest

    schemathesis.openapi.from_dict(openapi).validate()
    for schema in openapi["components"]["schemas"].values():
        jsonschema_rs.meta.validate(schema)
    for part in parts(openapi):
        if "$ref" in part:
            _, _, kind, name = part["$ref"].split("/")
            assert name in openapi["components"][kind], part["$ref"]


def test_every_component_is_used(openapi: Json) -> None:
    """A component without references would be left over."""
    pointed = {part["$ref"] for part in parts(openapi) if "$ref" in part}
    pointed |= {f"#/components/securitySchemes/{name}" for name in ("bearer", "key")}
    there = {f"#/components/{kind}/{name}" for kind, named in openapi["components"].items() for name in named}
    assert pointed == there


def test_every_example_is_valid(openapi: Json) -> None:
    """Each example is valid by its schema."""
    seen = 0
    for part in parts(openapi):
        for example in part.get("examples", {}).values():
            jsonschema_rs.validate(part["schema"] | {"components": openapi["components"]}, example["value"])
            seen += 1
    assert seen > 40
