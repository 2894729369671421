"""The values with which a route describes its parameters and responses. `openapi.py` makes the document from them.

A value with a `component` name is written once in the document, and every use of it is a reference.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

TAGS = {  # the groups of the document
    "prices": "Current prices",
    "history": "Stored prices",
    "trades": "Trades: single executions at venues, and what is computed from them",
    "alerts": "Rules that watch prices, anomalies and headlines",
    "strategy": "Paper trading: signals and positions of a strategy that sends no orders",
    "live": "Live streams of prices",
    "service": "The state of the service",
    "pages": "Pages for browsers",
}

Json = dict[str, Any]  # a part of the OpenAPI document
Schema = Json | type | tuple[type, ...]  # JSON Schema, a model, or several models of which a body is one


class Header(Struct, frozen=True):
    """A response header: `name` is the name on the wire."""

    name: str
    component: str
    description: str
    schema: Json
    required: bool = True


class Parameter(Struct, frozen=True):
    """A parameter of a request. Path parameters are always required."""

    name: str
    location: Literal["path", "query", "header"]
    description: str
    schema: Json
    examples: tuple[object, ...] = ()
    required: bool = False
    comma_separated: bool = False  # a list in one value: assets=btcusdt,ethusdt
    component: str = ""


class Content(Struct, frozen=True):
    """A response body of one media type. `models` are models to which a schema of JSON Schema refers."""

    media_type: str
    schema: Schema
    examples: tuple[object, ...] = ()
    models: tuple[type, ...] = ()


class Response(Struct, frozen=True):
    """A response. The document adds the headers that every response has."""

    description: str
    contents: tuple[Content, ...] = ()
    headers: tuple[Header, ...] = ()
    links: Mapping[str, Json] = {}
    component: str = ""


def json(schema: Schema, *examples: object) -> Content:
    """Return a JSON body with examples of it."""
    return Content("application/json", schema, examples)


def text(media_type: str, *examples: str) -> Content:
    """Return a body that is text of this media type."""
    return Content(media_type, {"type": "string"}, examples)


def query(name: str, description: str, schema: Json, *examples: object, required: bool = False) -> Parameter:
    """Return a parameter of the query string."""
    return Parameter(name, "query", description, schema, examples, required)


def query_list(name: str, description: str, schema: Json, *examples: object) -> Parameter:
    """Return a parameter of the query string that is a comma-separated list."""
    return Parameter(name, "query", description, schema, examples, comma_separated=True)
