"""The responses of the service match its /openapi.json."""

import json
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import jsonschema_rs
import pytest

from aggregator.api.openapi import PATH
from tests.api.openapi_parts import OPENAPI, Json, operations, parts, resolved
from tests.parts.exchanges import Market
from tests.parts.process import wait_for
from tests.parts.routes import every_route
from tests.parts.service import Answer, Service, call

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def service(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service in memory, with two assets and a key."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "symbols.csv").write_text("symbol\nbtcusdt\nethusdt\n")
    shared_market.sound()
    settings = {"symbols_file": folder / "symbols.csv", "api_keys": "new", "stream_seconds": 0.02, "news": "mock"}
    running = Service(folder, exchanges=shared_market.setting, **settings)
    running.started()
    wait_for(lambda: running.get("/prices/ethusdt/history").json["prices"] != [])
    trade = {"asset": "btcusdt", "price": 100, "volume": 1, "timestamp": time.time(), "venue": "exchange1", "id": "1"}
    headers = {"X-API-Key": "new", "Content-Type": "application/json"}
    call("POST", f"{running.url}/ingest", headers, json.dumps(trade).encode())
    yield running
    assert running.process.stop() == 0


def test_the_service_serves_every_route(service: Service) -> None:
    """`build_api` and tests/parts/routes.py, from which the tests of the document are made, list the same routes."""
    served = {
        f"{method.upper()} {path}" for path, methods in service.get(PATH).json["paths"].items() for method in methods
    }
    assert served == {OPENAPI, *(str(route) for route in every_route() if route.method != "WEBSOCKET")}


def test_the_examples_of_every_read_work(service: Service) -> None:
    """As /docs fills them in: each parameter that has examples gets the first one. A stream ends by itself."""
    told, statuses = service.get(PATH).json, {}
    for operation, described in operations(told).items():
        method, path = operation.split()
        if method != "GET" or "{file}" in path or path == "/guide":  # which an installation need not have
            continue
        parameters = [resolved(told, one) for one in described["parameters"]]
        given = {one["name"]: next(iter(one["examples"].values()))["value"] for one in parameters if "examples" in one}
        for name, value in given.items():
            given[name] = ",".join(value) if isinstance(value, list) else value
            path = path.replace(f"{{{name}}}", str(value))
        query = urlencode(
            {one["name"]: given[one["name"]] for one in parameters if one["in"] == "query" and one["name"] in given}
        )
        statuses[path] = service.get(f"{path}?{query}").status
    unusual = {path: status for path, status in statuses.items() if status != 200}
    assert unusual == {"/ws": 426, "/prices/btcusdt/at": 404}  # it is no WebSocket; no price is as old as the example


@pytest.fixture(scope="module")
def strict(service: Service) -> Json:
    """Return the served document, with schemas that allow no additional properties."""
    found: Json = json.loads(service.get(PATH).body)
    for part in parts(found["components"]["schemas"]):
        if "properties" in part and part.get("type") == "object":
            part["additionalProperties"] = False
    return found


@pytest.mark.parametrize(
    ("operation", "path", "status", "headers"),
    [
        ("GET /prices/{asset}", "/prices/btcusdt", 200, {}),
        ("GET /prices/{asset}", "/prices/BTCUSDT?x=1", 200, {}),
        ("GET /prices/{asset}", "/prices/btcusdt?details=true", 200, {}),
        ("GET /prices/{asset}", "/prices/btcusdt?details=true&numbers=string", 200, {}),
        ("GET /prices/{asset}", "/prices/btcusdt?numbers=text", 400, {}),
        ("GET /prices/{asset}", "/prices/btcusdt", 304, {"If-None-Match": "*"}),
        ("GET /prices/{asset}", "/prices/nosuch", 404, {}),
        ("GET /prices/{asset}", "/prices/a.b", 400, {}),
        ("GET /prices", "/prices?assets=btcusdt,nosuch,a.b", 200, {}),
        ("GET /prices", "/prices?tier=hot", 200, {}),
        ("GET /prices", "/prices?tier=hot&details=true&numbers=string", 200, {}),
        ("GET /prices", "/prices?tier=hot", 304, {"If-None-Match": "*"}),
        ("GET /prices", "/prices", 400, {}),
        ("GET /prices/{asset}", "/prices/" + "a" * 60_000, 414, {}),
        ("GET /sparklines", "/sparklines?assets=btcusdt,nosuch", 200, {}),
        ("GET /sparklines", "/sparklines", 400, {}),
        ("GET /prices/{asset}/sources", "/prices/btcusdt/sources", 200, {}),
        ("GET /prices/{asset}/sources", "/prices/btcusdt/sources?numbers=string", 200, {}),
        ("GET /prices/{asset}/history", "/prices/btcusdt/history?limit=1", 200, {}),
        ("GET /prices/{asset}/history", "/prices/btcusdt/history?limit=1&numbers=string", 200, {}),
        ("GET /prices/{asset}/history", "/prices/btcusdt/history?limit=1", 200, {"Accept": "text/csv"}),
        ("GET /prices/{asset}/history", "/prices/btcusdt/history?limit=1&sources=true", 200, {}),
        ("GET /prices/{asset}/history", "/prices/btcusdt/history?limit=0", 400, {}),
        ("GET /prices/{asset}/at", "/prices/btcusdt/at?time=9999-12-31", 200, {}),
        ("GET /prices/{asset}/at", "/prices/btcusdt/at?time=9999-12-31", 200, {"Accept": "text/csv"}),
        ("GET /prices/{asset}/at", "/prices/btcusdt/at?time=9999-12-31&sources=true", 200, {}),
        ("GET /prices/{asset}/at", "/prices/btcusdt/at?time=2001-01-01", 404, {}),
        ("GET /prices/{asset}/candles", "/prices/btcusdt/candles?interval=1d", 200, {}),
        ("GET /prices/{asset}/candles", "/prices/btcusdt/candles?interval=1d", 200, {"Accept": "text/csv"}),
        ("GET /udf/config", "/udf/config", 200, {}),
        ("GET /udf/time", "/udf/time", 200, {}),
        ("GET /udf/symbols", "/udf/symbols?symbol=BTC-USDT", 200, {}),
        ("GET /udf/symbols", "/udf/symbols?symbol=a.b", 400, {}),
        ("GET /udf/symbols", "/udf/symbols?symbol=btcusd", 404, {}),
        ("GET /udf/search", "/udf/search?query=btc&type=&exchange=&limit=30", 200, {}),
        ("GET /udf/search", "/udf/search?limit=0", 400, {}),
        ("GET /udf/history", "/udf/history?symbol=btcusdt&resolution=1&countback=300", 200, {}),
        ("GET /udf/history", "/udf/history?symbol=btcusdt&resolution=1D&from=0&to=1", 200, {}),
        ("GET /udf/history", "/udf/history?symbol=btcusdt&resolution=2&countback=300", 400, {}),
        ("GET /udf/history", "/udf/history?symbol=nosuch&resolution=1&countback=300", 404, {}),
        ("GET /prices/{asset}/candles", "/prices/btcusdt/candles?numbers=string", 200, {}),
        ("GET /prices/{asset}/candles", "/prices/btcusdt/candles?source=trades", 200, {}),
        ("GET /prices/{asset}/candles", "/prices/btcusdt/candles?source=trades&numbers=string", 200, {}),
        ("GET /udf/history", "/udf/history?symbol=TRADES:btcusdt&resolution=1&countback=300", 200, {}),
        ("GET /trades/{asset}", "/trades/btcusdt", 200, {}),
        ("GET /trades/{asset}", "/trades/btcusdt?numbers=string", 200, {}),
        ("GET /trades/{asset}", "/trades/btcusdt", 200, {"Accept": "text/csv"}),
        ("GET /trades/{asset}", "/trades/btcusdt?limit=0", 400, {}),
        ("GET /trades/{asset}", "/trades/nosuch", 404, {}),
        ("GET /query", "/query?ticker=BTC-USDT&limit=1", 200, {}),
        ("GET /query", "/query", 400, {}),
        ("GET /query", "/query?symbol=nosuch", 404, {}),
        ("GET /quotes/{asset}", "/quotes/btcusdt", 200, {}),
        ("GET /quotes/{asset}", "/quotes/BTCUSDT?numbers=string", 200, {}),
        ("GET /quotes/{asset}", "/quotes/ethusdt", 404, {}),
        ("GET /quotes/{asset}", "/quotes/a.b", 400, {}),
        ("GET /aggregations/{asset}", "/aggregations/btcusdt", 200, {}),
        ("GET /aggregations/{asset}", "/aggregations/ethusdt", 404, {}),
        ("GET /aggregations/{asset}", "/aggregations/a.b", 400, {}),
        ("GET /features/{asset}", "/features/btcusdt", 200, {}),
        ("GET /features/{asset}", "/features/nosuch", 404, {}),
        ("GET /signals/{asset}", "/signals/btcusdt", 200, {}),
        ("GET /signals/{asset}", "/signals/btcusdt?numbers=string", 200, {}),
        ("GET /signals/{asset}", "/signals/btcusdt", 200, {"Accept": "text/csv"}),
        ("GET /signals/{asset}", "/signals/btcusdt?limit=0", 400, {}),
        ("GET /signals/{asset}", "/signals/nosuch", 404, {}),
        ("GET /positions", "/positions", 200, {}),
        ("GET /positions", "/positions?asset=a.b", 400, {}),
        ("GET /positions", "/positions?asset=nosuch", 404, {}),
        ("GET /positions/closed", "/positions/closed", 200, {}),
        ("GET /positions/closed", "/positions/closed?asset=btcusdt&numbers=string", 200, {}),
        ("GET /positions/closed", "/positions/closed", 200, {"Accept": "text/csv"}),
        ("GET /positions/closed", "/positions/closed?cursor=x", 400, {}),
        ("GET /positions/closed", "/positions/closed?asset=nosuch", 404, {}),
        ("GET /anomalies/{asset}", "/anomalies/btcusdt", 200, {}),
        ("GET /anomalies/{asset}", "/anomalies/btcusdt?hours=169", 400, {}),
        ("GET /anomalies/{asset}", "/anomalies/nosuch", 404, {}),
        ("GET /sentiment/{asset}", "/sentiment/btcusdt", 200, {}),
        ("GET /sentiment/{asset}", "/sentiment/BTC-USDT?hours=168", 200, {}),
        ("GET /sentiment/{asset}", "/sentiment/btcusdt?hours=169", 400, {}),
        ("GET /sentiment/{asset}", "/sentiment/nosuch", 404, {}),
        ("POST /refresh/{asset}", "/refresh/btcusdt", 200, {"X-API-Key": "new"}),
        ("POST /refresh/{asset}", "/refresh/btcusdt", 401, {}),
        ("POST /refresh/{asset}", "/refresh/btcusdt", 403, {"X-API-Key": "wrong"}),
        ("POST /refresh/{asset}", "/refresh/nosuch", 404, {"X-API-Key": "new"}),
        ("GET /alerts", "/alerts", 200, {}),
        ("GET /alerts", "/alerts?numbers=x", 400, {}),
        ("POST /alerts", "/alerts", 400, {"X-API-Key": "new"}),
        ("POST /alerts", "/alerts", 401, {}),
        ("DELETE /alerts/{id}", "/alerts/nosuch", 404, {"X-API-Key": "new"}),
        ("GET /alerts/fired/{asset}", "/alerts/fired/btcusdt", 200, {}),
        ("GET /alerts/fired/{asset}", "/alerts/fired/btcusdt?hours=169", 400, {}),
        ("GET /stream", "/stream", 200, {}),
        ("GET /stream", "/stream?assets=btcusdt,nosuch", 200, {"Last-Event-ID": "x"}),
        ("GET /stream", "/stream?tier=hot,cold", 200, {}),
        ("GET /stream", "/stream?tier=warm", 400, {}),
        ("GET /stream", "/stream?assets=nosuch", 404, {}),
        ("GET /ws", "/ws", 426, {}),
        ("GET /exchanges", "/exchanges", 200, {}),
        ("GET /exchanges", "/exchanges", 200, {"Accept": "text/csv"}),
        ("GET /exchanges", "/exchanges?format=xml", 400, {}),
        ("GET /exchanges/{name}", "/exchanges/exchange1", 200, {}),
        ("GET /exchanges/{name}", "/exchanges/exchange9", 404, {}),
        ("GET /assets", "/assets", 200, {}),
        ("GET /assets", "/assets", 413, {"Content-Length": "70000"}),
        ("GET /health", "/health", 200, {}),
        ("GET /health", "/health", 200, {"Accept": "application/json"}),
        ("GET /ready", "/ready", 200, {}),
        ("GET /metrics", "/metrics", 200, {}),
        ("GET /", "/", 200, {}),
        ("GET /", "/", 304, {"If-None-Match": "*"}),
        ("GET /page/{file}", "/page/main.js", 200, {"Accept-Encoding": "gzip"}),
        ("GET /page/{file}", "/page/nosuch.js", 404, {}),
        ("GET /docs", "/docs", 200, {}),
        ("GET /docs/{file}", "/docs/swagger-ui.css", 200, {}),
        ("GET /guide/{file}", "/guide/nosuch.html", 404, {}),
        (OPENAPI, PATH, 200, {}),
        (OPENAPI, PATH, 304, {"If-None-Match": "*"}),
    ],
)
def test_a_response_is_as_documented(
    service: Service, strict: Json, operation: str, path: str, status: int, headers: dict[str, str]
) -> None:
    """Status, content type and headers, and no more and no fewer JSON fields than documented."""
    answer = call(operation.split(maxsplit=1)[0], service.url + path, headers)
    assert answer.status == status
    documented = resolved(strict, operations(strict)[operation]["responses"][str(status)])
    kind = answer.headers.get("content-type", "").partition(";")[0]
    assert ({kind} & set(documented.get("content", {}))) or (not kind and not answer.body)
    if kind == "application/json":
        schema = documented["content"][kind]["schema"] | {"components": strict["components"]}
        jsonschema_rs.validate(schema, json.loads(answer.body))
    check_headers(strict, documented, answer)


def check_headers(openapi: Json, documented: Json, answer: Answer) -> None:
    """Check that required headers are present, and that headers are valid by their schemas."""
    for name, header in documented.get("headers", {}).items():
        found = answer.headers.get(name.lower())
        wanted = resolved(openapi, header)
        assert found is not None or not wanted.get("required"), name
        if found is not None:
            jsonschema_rs.validate(wanted["schema"], found)
