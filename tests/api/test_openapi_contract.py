"""The published contract holds: clients were generated from it.

`openapi_contract.json` has the paths, parameters, statuses, schemas and headers of version 1, without descriptions and
examples. New paths are allowed. If you change a published operation on purpose, change it in that file too.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.openapi_parts import Json, whole_document

CONTRACT: Json = json.loads(Path(__file__).with_name("openapi_contract.json").read_text(encoding="utf-8"))
PROSE = {"description", "summary", "examples", "title"}
GROWING = {"/page/{file}", "/docs/{file}"}  # the names of their files are no contract


@pytest.fixture(scope="module")
def served() -> Json:
    """Return the document of the whole API."""
    return whole_document()


@pytest.mark.parametrize("path", CONTRACT["paths"])
def test_a_path_is_as_published(served: Json, path: str) -> None:
    """Methods, parameters, statuses, response schemas and headers are the same, with all references resolved."""
    published, now = meaning(CONTRACT, CONTRACT["paths"][path]), meaning(served, served["paths"][path])
    if path in GROWING:
        for operations in (published, now):
            del operations["get"]["parameters"]["path file"]["schema"]["enum"]
    assert now == published


def test_a_difference_is_noticed(served: Json) -> None:
    """In a parameter's schema, a response's schema, a header, or a status."""
    path = served["paths"]["/prices/{asset}/history"]
    published = meaning(served, path)
    raw = json.dumps(path)
    for before, after in (
        ('"maximum": 1000', '"maximum": 999'),
        ("schemas/HistoryPage", "schemas/CandleList"),
        ("headers/Link", "headers/ETag"),
        ('"503"', '"500"'),
        ('"name": "limit"', '"name": "most"'),
    ):
        assert before in raw
        assert meaning(served, json.loads(raw.replace(before, after))) != published


def meaning(found: Json, node: Any, *, names: bool = False) -> Any:
    """Return a part of the document without prose and order, with defaults filled in and references resolved.

    `names` tells that the keys of the node are names, of properties for instance, and so are all kept.
    """
    if isinstance(node, list):
        parts = [meaning(found, part) for part in node]
        if parts and all(isinstance(part, dict) and "in" in part for part in parts):
            return {f"{part['in']} {part['name']}": part for part in parts}
        return sorted(parts) if all(isinstance(part, str) for part in parts) else parts
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        _, _, kind, name = node["$ref"].split("/")
        return meaning(found, found["components"][kind][name] | {key: node[key] for key in node if key != "$ref"})
    kept = node if names else {key: part for key, part in node.items() if key not in PROSE}
    resolved = {
        key: meaning(found, part, names=key in {"properties", "headers", "links"}) for key, part in kept.items()
    }
    if not names and "schema" in resolved and not resolved.get("required"):
        resolved["required"] = False
    return resolved
