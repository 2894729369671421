"""Every malformed request gets `{"msg", "code"}` with the right status; never a 500, never a traceback."""

import socket
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.parts.exchanges import Market
from tests.parts.limits import examples
from tests.parts.service import Service, call

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def service(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service in memory, with two assets."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "symbols.csv").write_text("symbol\nbtcusdt\nethusdt\n")
    settings = {"symbols_file": folder / "symbols.csv", "api_keys": "new,old", "refresh_cooldown": 0}
    running = Service(folder, exchanges=shared_market.setting, **settings)
    yield running.started()
    assert running.process.stop() == 0
    assert "Traceback" not in running.process.output


def send(service: Service, raw: bytes) -> bytes:
    """Send these bytes and return the response until the connection ends."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received


def get_raw(service: Service, target: bytes) -> tuple[int, bytes]:
    """GET a target without escaping it; return status and body."""
    raw = send(service, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    head, _, body = raw.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body


@pytest.mark.parametrize(
    "symbol",
    [
        "btc/us/dt",
        "btc%2Fus%2Fdt",
        "/btcusdt",
        "..%2f..%2fetc%2fpasswd",
        "btcusdt%00",
        "%00",
        "btc%20usdt",
        "btc--usdt",
        "-usdt",
        "btc_",
        "%D0%B2tcusdt",  # a Cyrillic look-alike
        "%E2%84%AArwusdt",  # the Kelvin sign, which lower() turns into k
        "%EF%BD%82tcusdt",  # a full-width b
        "%FF%FE",
        "%",
        "%zz",
        "a" * 33,
        "a" * 10_000,
        "",
        "btcusdt/",
        "btcusdt;x",
        "%7Bmsg%7D",
        "btcusdt%0d%0aX-Injected:%201",
    ],
)
@pytest.mark.parametrize("route", ["/prices/", "POST /refresh/"])
def test_malformed_symbols(service: Service, symbol: str, route: str) -> None:
    """A malformed symbol gets 400 with the message of the contract."""
    if route.startswith("POST"):
        answer = service.post(f"/refresh/{symbol}", {"X-API-Key": "new"})
    else:
        answer = service.get(f"/prices/{symbol}")
    assert (answer.status, answer.json) == (400, {"msg": "Invalid asset symbol", "code": "invalid_symbol"})
    assert "x-injected" not in answer.headers


@pytest.mark.parametrize("path", ["/prices/nosuch", "/prices/nosuch/sources", "/prices/nosuch/history"])
def test_unlisted_assets(service: Service, path: str) -> None:
    """An unlisted asset gets 404 with the message of the contract."""
    answer = service.get(path)
    assert (answer.status, answer.json) == (404, {"msg": "Asset not found", "code": "asset_not_found"})


@pytest.mark.parametrize("symbol", ["BTCUSDT", "BTC-USDT", "btc_usdt", "BTC/USDT", "BTC%2FUSDT"])
def test_symbols_as_other_services_write_them(service: Service, symbol: str) -> None:
    """The response has the symbol in lower case and without a separator, on every route of an asset."""
    for path in (
        f"/prices/{symbol}",
        f"/prices/{symbol}/sources",
        f"/prices/{symbol}/history",
        f"/prices/{symbol}/candles",
    ):
        answer = service.get(path)
        assert (answer.status, answer.json["asset"]) == (200, "btcusdt"), path
    assert service.get(f"/prices/{symbol}/at?time=1").status == 404
    assert service.post(f"/refresh/{symbol}", {"X-API-Key": "new"}).json["asset"] == "btcusdt"


@pytest.mark.parametrize(
    "path", ["/page", "/docs/", "/nosuch", "/price/btcusdt", "/refresh", "/health/x", "//", "/assets/"]
)
def test_unknown_paths(service: Service, path: str) -> None:
    """An unknown path gets 404 in the same form as every other refusal."""
    answer = service.get(path)
    assert (answer.status, answer.json) == (404, {"msg": "Not Found", "code": "not_found"})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/prices/btcusdt"),
        ("DELETE", "/prices/btcusdt"),
        ("GET", "/refresh/btcusdt"),
        ("PUT", "/health"),
        ("PATCH", "/prices"),
    ],
)
def test_unknown_methods(service: Service, method: str, path: str) -> None:
    """An unknown method gets 405 with the allowed methods."""
    answer = call(method, service.url + path)
    assert answer.status == 405
    assert answer.json == {"msg": f"This path takes {answer.headers['allow']} only", "code": "method_not_allowed"}


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?assets=btcusdt&tier=hot",
        "?tier=warm",
        "?tier=",
        "?assets=",
        "?assets=,,,",
        "?assets=" + ",".join(f"a{number}" for number in range(1001)),
        "?assets=btcusdt" + 1000 * ",btcusdt",
        "?asset=btcusdt",
    ],
)
def test_an_empty_list_and_one_that_is_too_long(service: Service, query: str) -> None:
    """400 with the allowed values."""
    answer = service.get(f"/prices{query}")
    assert answer.status == 400
    assert list(answer.json) == ["msg", "code"]


def test_a_bad_symbol_does_not_fail_the_list(service: Service) -> None:
    """Each missing asset once, with its reason, in the order of the request."""
    names = ["zzz", "BTC-USDT", "a.b", "BTC/USDT", "btcusdt", quote("\u212arwusdt"), "x" * 100]
    body = service.get("/prices?assets=" + ",".join(names)).json
    assert [price["asset"] for price in body["prices"]] == ["btcusdt"]
    assert body["missing"] == [
        {"asset": "zzz", "reason": "Asset not found"},
        {"asset": "a.b", "reason": "Invalid asset symbol"},
        {"asset": "\u212arwusdt", "reason": "Invalid asset symbol"},
        {"asset": "x" * 100, "reason": "Invalid asset symbol"},
    ]


def test_a_thousand_of_the_longest_symbols_fit(service: Service) -> None:
    """The limit of the URL's length allows them."""
    names = [f"{number:032d}" for number in range(1000)]
    assert len(service.get("/prices?assets=" + ",".join(names)).json["missing"]) == 1000


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=1e3",
        "limit=%D9%A3",
        "limit=" + "9" * 5000,
        "start=yesterday",
        "start=nan",
        "end=inf",
        "start=2&end=1",
        "order=up",
    ],
)
def test_bad_parameters_of_history(service: Service, query: str) -> None:
    """400 that names the parameter."""
    answer = service.get(f"/prices/btcusdt/history?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in answer.json["msg"]


def test_too_large_is_refused_before_it_is_read(service: Service) -> None:
    """413 for a body, 414 for a URL."""
    head = b"POST /refresh/btcusdt HTTP/1.1\r\nHost: localhost\r\nX-API-Key: new\r\nContent-Length: 99999999\r\n\r\n"
    assert send(service, head).startswith(b"HTTP/1.1 413 ")
    assert get_raw(service, b"/prices/" + b"a" * 60_000)[0] == 414
    assert b'{"msg":' in get_raw(service, b"/prices/" + b"a" * 60_000)[1]


@pytest.mark.parametrize(
    "raw", [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n", b"\x16\x03\x01\x02\x00"]
)
def test_requests_that_are_not_http(service: Service, raw: bytes) -> None:
    """400, or the connection ends; the service keeps running."""
    answer = send(service, raw)
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")
    assert service.get("/health").status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"X-API-Key": ""}, 403),
        ({"X-API-Key": "wrong"}, 403),
        ({"Authorization": "Bearer wrong"}, 403),
        ({"Authorization": "Basic bmV3"}, 401),
        ({"X-API-Key": "new"}, 200),
        ({"X-API-Key": "old"}, 200),
        ({"Authorization": "Bearer old"}, 200),
        ({"Authorization": "bearer new"}, 200),
    ],
)
def test_a_refresh_needs_a_key(service: Service, headers: dict[str, str], status: int) -> None:
    """Either header and either key are accepted; 401 without a key, 403 with a wrong one. Reading needs no key."""
    assert service.post("/refresh/btcusdt", headers).status == status
    assert service.get("/prices/btcusdt").status == 200
    assert "new,old" not in service.process.output


def test_errors_are_counted_by_their_status(service: Service) -> None:
    """An earlier system counted error responses as 200."""
    series = 'price_api_requests_total{endpoint="/prices",status="404"}'
    before = service.metric(series)
    service.get("/prices/nosuch")
    assert service.metric(series) == before + 1


def test_labels_do_not_contain_what_clients_send(service: Service) -> None:
    """Labels made of paths or assets would allow clients to create any number of time series."""
    for path in ("/made-up-1", "/made-up-2", "/prices/madeup", "/%F0%9F%92%A9"):
        service.get(path)
    text = service.get("/metrics").text
    assert "made-up" not in text
    assert "madeup" not in text
    assert 'price_api_requests_total{endpoint="/other",status="404"}' in text


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(codec="utf-8"), max_size=60),
    st.sampled_from(["/prices/", "/prices?assets=", "/prices?tier=", "/"]),
)
def test_any_text_gets_a_response(service: Service, text: str, prefix: str) -> None:
    """A documented status and a JSON body."""
    answer = service.get(prefix + quote(text, safe=""))
    assert answer.status in (200, 400, 404)
    known = text.lower() in {"health", "ready", "metrics", "assets"} or text in {"", "prices"}
    assert known or isinstance(answer.json, dict)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60).filter(lambda raw: not any(byte in raw for byte in b" \r\n")))
def test_any_bytes_get_a_response(service: Service, raw: bytes) -> None:
    """Even bytes that clients would escape."""
    status, _ = get_raw(service, b"/prices/" + raw)
    assert status in (400, 404)
