"""GET /openapi.json: the OpenAPI 3.1 document of the routes of this process, made at its first request."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.access.key_descriptions import EVERY_READ_RESPONDS, SECURITY_SCHEMES
from aggregator.api.prices.schema import FIELD_NOTES
from aggregator.api.routing.description import TAGS, Content, Header, Json, Parameter, Response, Schema, json
from aggregator.api.routing.responses import cacheable
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import (
    ETAG,
    EVERY_RESPONSE_HAS,
    EVERY_ROUTE_RESPONDS,
    EVERY_ROUTE_TAKES,
    IF_NONE_MATCH,
    MAX_AGE,
    NOT_MODIFIED,
)
from aggregator.models import encode
from aggregator.observability.version import version

PATH = "/openapi.json"
_MAX_AGE = 3600  # seconds; the document changes only with the program
_ABOUT = """One price per asset, from several exchanges, weighted by volume.

A refusal is `{"msg": "…", "code": "…"}`: the text may change, the code does not. Every GET route answers HEAD too,
without a body. Numbers have all the digits that the service computed: parse them as decimals, not as binary floating
point, or ask for strings with `numbers=string`. Where a schema has both types, it is a string only then. Responses of
history, at and candles are CSV with `format=csv`, or if `Accept` contains `text/csv`. If `READ_KEYS` is set, every
route needs a key except the pages, this document, /health, /ready and /metrics. If `CORS_ORIGINS` is set, the service
answers OPTIONS to pages of those origins.
"""
_SECURITY: Mapping[str, list[Json]] = {
    "read": [{}, {"bearer": []}, {"key": []}],
    "write": [{"bearer": []}, {"key": []}, {}],
}
_INVENTED = "An example; its numbers are invented"

T = TypeVar("T")


class OpenApiRoute:
    """Serves the document of `routes` and of itself.

    The first request makes it, in 30 ms: at the start, it would be a seventh of the CPU before the service listens.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    @cached_property
    def _raw(self) -> bytes:
        return encode(document([*self.routes(), *self._routes]))

    @cached_property
    def _etag(self) -> bytes:
        return b'W/"%b"' % hashlib.blake2b(self._raw, digest_size=12).hexdigest().encode()

    def routes(self) -> list[Route]:
        """Return the route."""
        return routes_of(self)

    @Route(
        "GET",
        PATH,
        label=PATH,
        operation_id="getOpenApi",
        tag="service",
        summary="This document",
        parameters=[IF_NONE_MATCH],
        responses={
            200: Response("An OpenAPI 3.1 document", (json({"type": "object"}),), (ETAG, MAX_AGE)),
            304: NOT_MODIFIED,
        },
        access="open",
        is_compressed=True,
    )
    async def show(self, request: Request) -> HttpResponse:
        """Return the document, or 304."""
        return cacheable(request, self._raw, self._etag, _MAX_AGE)


def document(routes: Iterable[Route]) -> Json:
    """Return the OpenAPI document of these routes. WebSocket routes are described by the GET route of their path."""
    components = _Components()
    paths: dict[str, Json] = {}
    for route in routes:
        if route.method != "WEBSOCKET":
            paths.setdefault(route.documented_path, {})[route.method.lower()] = _operation(route, components)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Price aggregator", "version": version(), "description": _ABOUT},
        "servers": [{"url": "/", "description": "This service"}],
        "paths": dict(sorted(paths.items())),
        "components": components.document(),
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
    }


def _operation(route: Route, components: "_Components") -> Json:
    responses = EVERY_ROUTE_RESPONDS | dict(route.responses)
    if route.access == "read":
        responses = EVERY_READ_RESPONDS | responses
    found: Json = {"operationId": route.operation_id, "tags": [route.tag], "summary": route.summary}
    if route.description:
        found["description"] = route.description
    if route.access in _SECURITY:
        found["security"] = _SECURITY[route.access]
    found["parameters"] = [components.parameter(one) for one in (*route.parameters, *EVERY_ROUTE_TAKES)]
    if route.body:
        contents = {one.media_type: components.content(one) for one in route.body}
        found["requestBody"] = {"required": True, "content": contents}
    found["responses"] = {str(status): components.response(one) for status, one in sorted(responses.items())}
    return found


class _Components:
    """Turns descriptions into JSON. A description with a component name becomes a reference to a component."""

    def __init__(self) -> None:
        self._models: dict[type, None] = {}
        self._parameters: Json = {}
        self._headers: Json = {}
        self._responses: Json = {}

    def parameter(self, parameter: Parameter) -> Json:
        """Return the parameter or a reference to it."""
        found: Json = {"name": parameter.name, "in": parameter.location, "description": parameter.description}
        found |= {"required": parameter.required, "schema": parameter.schema} | _examples(parameter.examples)
        if parameter.comma_separated:
            found |= {"style": "form", "explode": False}
        return _referenced(self._parameters, "parameters", parameter.component, found)

    def response(self, response: Response) -> Json:
        """Return the response, with the headers that every response has, or a reference to it."""
        headers = {one.name: self._header(one) for one in (*response.headers, *EVERY_RESPONSE_HAS)}
        found: Json = {"description": response.description, "headers": headers}
        if response.contents:
            found["content"] = {one.media_type: self.content(one) for one in response.contents}
        if response.links:
            found["links"] = response.links
        return _referenced(self._responses, "responses", response.component, found)

    def document(self) -> Json:
        """Return all components that have been referenced."""
        return {
            "schemas": _schemas(self._models),
            "parameters": self._parameters,
            "headers": self._headers,
            "responses": self._responses,
            "securitySchemes": SECURITY_SCHEMES,
        }

    def _header(self, header: Header) -> Json:
        found = {"description": header.description, "required": header.required, "schema": header.schema}
        return _referenced(self._headers, "headers", header.component, found)

    def content(self, content: Content) -> Json:
        """Return the body of a request or response."""
        self._models |= dict.fromkeys(content.models)
        return {"schema": self._schema(content.schema)} | _examples(content.examples)

    def _schema(self, schema: Schema) -> Json:
        if isinstance(schema, dict):
            return schema
        if isinstance(schema, tuple):
            return {"anyOf": [self._schema(model) for model in schema]}
        self._models[schema] = None
        return {"$ref": f"#/components/schemas/{schema.__name__}"}


def _referenced(components: Json, kind: str, name: str, found: Json) -> Json:
    if not name:
        return found
    if components.setdefault(name, found) != found:
        raise ValueError(f"two different {kind} of the OpenAPI document are called {name}: rename one of them")
    return {"$ref": f"#/components/{kind}/{name}"}


def _examples(examples: Sequence[object]) -> Json:
    named = {f"example{number}": {"summary": _INVENTED, "value": one} for number, one in enumerate(examples, 1)}
    return {"examples": named} if named else {}


def _schemas(models: Iterable[type]) -> Json:
    """Return the JSON Schema of the models, and of those they contain, by name, as `models.encode` writes them."""
    _, found = msgspec.json.schema_components(models, ref_template="#/components/schemas/{name}")
    for name in FIELD_NOTES.keys() & found.keys():
        for field, notes in FIELD_NOTES[name].items():
            found[name]["properties"][field] |= notes
    as_encoded: Json = _as_encoded(found)
    return as_encoded


def _as_encoded(schema: Any) -> Any:
    """Return the schema as the encoders of `models` write values.

    Decimals are numbers, or strings with `numbers=string`. A field that is None is left out.
    """
    if isinstance(schema, dict):
        if "default" in schema and schema["default"] is None:
            return _as_encoded(next(kind for kind in schema["anyOf"] if kind != {"type": "null"}))
        if schema.get("format") == "decimal":
            schema = schema | {"type": ["number", "string"]}
            del schema["format"]
        return {name: _as_encoded(part) for name, part in schema.items()}
    return [_as_encoded(part) for part in schema] if isinstance(schema, list) else schema
