"""The clients have all of /openapi.json: a route, a parameter or a field that is new fails a test here."""

import ast
import re
import sys
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from rt_price_aggregator_client.calls.alerts import add_alert_rule
from rt_price_aggregator_client.events import TOPICS
from rt_price_aggregator_client.stream_session import StreamOptions

from scripts.client_models.files import files
from scripts.client_models.names import LEFT_OUT, MODULES, SAME_AS
from scripts.client_models.schemas import NAMES, fields_of
from tests.api.openapi_parts import Json, operations, resolved, whole_document
from tests.clients.client_calls import CALLS, RULES, RequestRecorder, every_item, methods
from tests.parts.process import ROOT

PYTHON = ROOT / "clients/python"
LEFT_OUT_ROUTES = {
    "GET /": "the page, for people",
    "GET /page/{file}": "a file of the page",
    "GET /docs": "a page, for people",
    "GET /docs/{file}": "a file of that page",
    "GET /guide": "a page, for people",
    "GET /guide/{file}": "a file of that page",
    "GET /openapi.json": "the contract that the client is made from",
    "GET /metrics": "Prometheus reads it",
    "GET /udf/config": "TradingView's library reads it",
    "GET /udf/history": "TradingView's library reads it",
    "GET /udf/search": "TradingView's library reads it",
    "GET /udf/symbols": "TradingView's library reads it",
    "GET /udf/time": "TradingView's library reads it",
    "GET /ws": "/stream has the same events, with resume",
}
OTHER_METHODS = {"POST /ingest": "ingest", "GET /stream": "stream"}  # which have tests of their own
# The one of the names of an asset that the methods do not send; `ticker` is never sent.
OTHER_NAMES = {"GET /query": "asset", "GET /positions": "symbol", "GET /positions/closed": "symbol"}
LEFT_OUT_PARAMETERS = {
    "format": "the client reads JSON",
    "numbers": "it reads decimals from numbers",
    "If-None-Match": "it has no cache",
    "X-Request-ID": "the service makes one, which errors have",
    "seconds": "the caller ends a stream",
    "ticker": "another name of symbol",
}


@pytest.fixture(scope="module")
def document() -> Json:
    """Return the document of the whole API."""
    return whole_document()


def test_the_models_are_current() -> None:
    """They are what `scripts/client_models` makes of the schemas, with every field of them."""
    for path, text in files().items():
        assert path.read_text(encoding="utf-8") == text, "run .venv/bin/python -m scripts.client_models"


def test_every_schema_has_a_model(document: Json) -> None:
    """Or is the enumeration of a field, or is left out with a reason."""
    schemas = document["components"]["schemas"]
    enums = {name for name, schema in schemas.items() if "enum" in schema}
    assert {*NAMES, *LEFT_OUT} == set(schemas) - enums
    assert len(set(NAMES.values())) == sum(len(models) for models in MODULES.values())


@pytest.mark.parametrize(("schema", "other"), SAME_AS.items())
def test_a_shared_model_has_all_fields(document: Json, schema: str, other: str) -> None:
    """A value of a stream and one of an answer have one model, with the fields of both. It requires those of both."""
    fields = {field.name: field for field in fields_of(document, other)}
    for field in fields_of(document, schema):
        assert fields[field.name].kind._replace(nullable=False) == field.kind._replace(nullable=False)
    assert {name for name, field in fields.items() if not field.optional} <= {
        field.name for field in fields_of(document, schema)
    }


def test_every_route_is_a_method(document: Json) -> None:
    """With every parameter of it, except those left out with a reason; and no method has another parameter."""
    sent = sent_by_route(document)
    served = operations(document)
    assert set(sent) == set(served) - set(LEFT_OUT_ROUTES) - set(OTHER_METHODS)
    for route, names in sent.items():
        known = {resolved(document, one)["name"] for one in served[route].get("parameters", [])}
        known -= set(re.findall(r"{(\w+)}", route)) | set(LEFT_OUT_PARAMETERS)
        assert names == known - {OTHER_NAMES.get(route)}, route


def test_a_stream_has_every_topic_and_parameter(document: Json) -> None:
    """Of those that the service has."""
    found = [resolved(document, one) for one in document["paths"]["/stream"]["get"]["parameters"]]
    parameters = {one["name"]: one for one in found}
    options = StreamOptions(topics=["prices"], assets=["btcusdt"], tiers=["hot"])
    assert dict(options.parameters()).keys() == parameters.keys() - set(LEFT_OUT_PARAMETERS) - {"Last-Event-ID"}
    assert set(parameters["topics"]["schema"]["items"]["enum"]) == set(TOPICS)


def test_a_rule_has_every_field(document: Json) -> None:
    """`add_alert_rule` has a parameter for each field of the body."""
    body = document["paths"]["/alerts"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    parameters = add_alert_rule.__annotations__.keys() - {"return"}
    assert parameters == set(body["properties"])


def test_neither_imports_the_other() -> None:
    """The service and the client know each other over HTTP only; the client imports what it declares."""
    package = PYTHON / "src/rt_price_aggregator_client"
    service = imports_of(ROOT / "aggregator") | imports_of(ROOT / "mock_exchange")
    assert "rt_price_aggregator_client" not in service
    declared = tomllib.loads((PYTHON / "pyproject.toml").read_text())["project"]
    needed = [*declared["dependencies"], *declared["optional-dependencies"]["pandas"]]
    names = {re.split(r"\W", one)[0] for one in needed}
    assert imports_of(package) - set(sys.stdlib_module_names) - {"rt_price_aggregator_client"} == names


def imports_of(folder: Path) -> set[str]:
    """Return the top-level names that the modules in a folder import."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found


def sent_by_route(document: Json) -> dict[str, set[str]]:
    """Return the names of the parameters that the methods send, by the route that they call."""
    assert {name.partition(" ")[0] for name in [*CALLS, *RULES]} == methods()
    sent: dict[str, set[str]] = defaultdict(set)
    for call in [*CALLS.values(), *RULES.values()]:
        recorder: Any = RequestRecorder()
        every_item(call(recorder))
        for request in recorder.requests:
            sent[route_of(document, request.method, request.path)] |= {name for name, _ in request.parameters}
    return sent


def route_of(document: Json, method: str, path: str) -> str:
    """Return the route of a path; one without a variable comes before one with it."""
    for route in sorted(operations(document), key=lambda route: route.count("{")):
        if re.fullmatch(re.sub(r"{\w+}", "[^/]+", route), f"{method} {path}"):
            return route
    raise AssertionError(path)
