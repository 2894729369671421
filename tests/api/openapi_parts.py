"""The document of the whole API, and ways into it, for tests."""

import json
from collections.abc import Iterator
from typing import Any

from aggregator.api.openapi import PATH, OpenApiRoute, document
from aggregator.models import encode
from tests.parts.routes import every_route

Json = dict[str, Any]

OPENAPI = f"GET {PATH}"


def whole_document() -> Json:
    """Return the document of the whole API."""
    found: Json = json.loads(encode(document([*OpenApiRoute(every_route()).routes(), *every_route()])))
    return found


def operations(openapi: Json) -> dict[str, Json]:
    """Return the operations of a document by "GET /path"."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in openapi["paths"].items()
        for method, operation in methods.items()
    }


def parts(node: Any) -> Iterator[Json]:
    """Yield every object in the document except examples."""
    if isinstance(node, dict):
        yield node
        for name, child in node.items():
            if name != "examples":
                yield from parts(child)
    elif isinstance(node, list):
        for child in node:
            yield from parts(child)


def resolved(openapi: Json, part: Json) -> Json:
    """Return the component if the part is a reference, else the part."""
    if "$ref" not in part:
        return part
    _, _, kind, name = part["$ref"].split("/")
    found: Json = openapi["components"][kind][name]
    return found
