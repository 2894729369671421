"""The access policy of a real service: Host, Origin and key, on the fast path and on every other."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.parts.exchanges import Market
from tests.parts.process import wait_for
from tests.parts.service import Answer, Service

pytestmark = pytest.mark.real

OURS, THEIRS = "https://ours.example", "https://theirs.example"
UPGRADE = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
UPGRADE += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]
PRICE = "GET /prices/btcusdt"


def start(folder: Path, market: Market, **settings: object) -> Service:
    """Run the service in memory, with two assets whose prices are in the local cache."""
    (folder / "symbols.csv").write_text("symbol\nbtcusdt\nethusdt\n")
    market.sound()
    chosen = {"symbols_file": folder / "symbols.csv", "refresh_cooldown": 0} | settings
    running = Service(folder, exchanges=market.setting, **chosen).started()
    keys = {"X-API-Key": "reads"} if "read_keys" in settings else {}
    keys |= {"Host": "ours.example"} if "allowed_hosts" in settings else {}
    wait_for(lambda: running.get("/prices/btcusdt", keys).status == 200)
    return running


@pytest.fixture(scope="module")
def usual(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service with default settings."""
    running = start(tmp_path_factory.mktemp("usual"), shared_market)
    yield running
    assert running.process.stop() == 0
    assert "Traceback" not in running.process.output


@pytest.fixture(scope="module")
def told(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service with allowed hosts, an origin, a key for everything and a key for reading."""
    settings = {"allowed_hosts": "ours.example,*.below.example", "cors_origins": OURS}
    settings |= {"api_keys": "all", "read_keys": "reads"}
    running = start(tmp_path_factory.mktemp("told"), shared_market, **settings)
    yield running
    assert running.process.stop() == 0
    assert "Traceback" not in running.process.output


def ask(service: Service, line: str, *headers: str) -> Answer:
    """Send a request with exactly these headers and return the response; of a stream, its head."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        raw = "\r\n".join([f"{line} HTTP/1.1", *headers, "", ""])
        connection.sendall(raw.encode())
        reader = connection.makefile("rb")
        status = int(reader.readline().split(b" ")[1])
        found: dict[str, str] = {}
        while text := reader.readline().decode().strip():
            name, _, value = text.partition(":")
            found[name.lower()] = ", ".join(filter(None, [found.get(name.lower(), ""), value.strip()]))
        size = 0 if line.startswith("HEAD ") else int(found.get("content-length", "0"))
        return Answer(status, found, reader.read(size))


def port(service: Service) -> int:
    """Return the port of the service."""
    return urlsplit(service.url).port or 0


EVERYWHERE = [PRICE, "HEAD /prices/btcusdt", "GET /prices/nosuch", "GET /prices?tier=hot", "POST /refresh/btcusdt"]
EVERYWHERE += ["GET /prices/btcusdt/history", "GET /stream", "GET /ws", "GET /assets", "GET /", "GET /page/main.js"]
EVERYWHERE += ["GET /docs", "GET /openapi.json", "GET /nosuch", "GET /health", "GET /ready", "GET /metrics"]


@pytest.mark.parametrize("line", EVERYWHERE)
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "xlocalhost", "127.1.x"]
)
def test_dns_rebinding_is_refused(usual: Service, line: str, host: str) -> None:
    """421 on every path, with the host and the setting."""
    answer = ask(usual, line, f"Host: {host}", "Content-Length: 0")
    assert answer.status == 421
    assert answer.headers["x-content-type-options"] == "nosniff"
    if not line.startswith("HEAD"):
        assert answer.json["msg"] == (
            f"The host {host.partition(':')[0]!r} is not served here; if it should be, "
            "add it to AGGREGATOR_ALLOWED_HOSTS"
        )


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.:1", "127.0.0.1", "127.0.0.1:65535", "[::1]:8080", "[0:0::1]"]
)
@pytest.mark.parametrize("line", [PRICE, "GET /prices?tier=hot", "POST /refresh/btcusdt", "GET /"])
def test_loopback_names_are_served(usual: Service, line: str, host: str) -> None:
    """Each usual name, in any case, with any port."""
    assert ask(usual, line, f"Host: {host}", "Content-Length: 0").status == 200


@pytest.mark.parametrize("headers", [[], ["Host: localhost", "Host: evil.example"], ["Host: "], ["Host: a@localhost"]])
def test_no_host_header_or_two(usual: Service, headers: list[str]) -> None:
    """400, except for probes."""
    for line in (PRICE, "GET /prices?tier=hot"):
        assert ask(usual, line, *headers).status == 400


@pytest.mark.parametrize("path", ["/health", "/metrics", "/ready"])
@pytest.mark.parametrize("headers", [[], ["Host: 10.0.0.7:8080"], ["Host: [2001:db8::1]:8080"]])
def test_probes_need_no_name(usual: Service, told: Service, path: str, headers: list[str]) -> None:
    """By address or without a Host header, as load balancers and Prometheus call it, and without a key."""
    assert ask(usual, f"GET {path}", *headers).status in {200, 503}
    assert ask(told, f"GET {path}", *headers).status in {200, 503}
    assert ask(usual, PRICE, *headers).status in {400, 421}


def test_any_ip_address_if_all_are_listened_on(market: Market, tmp_path: Path) -> None:
    """A container does not know its addresses; names must be set."""
    (tmp_path / "symbols.csv").write_text("symbol\nbtcusdt\n")
    settings = {"host": "0.0.0.0", "symbols_file": tmp_path / "symbols.csv"}  # noqa: S104  # that is what this is about
    service = Service(tmp_path, exchanges=market.setting, **settings)
    service.url = "http://127.0.0.1:" + service.process.wait_for_line(r"listening.*http://0\.0\.0\.0:(\d+)")[1]
    assert ask(service, "GET /assets", "Host: 192.168.1.5:8080").status == 200
    assert ask(service, "GET /assets", "Host: [fe80::1]").status == 200
    assert ask(service, "GET /assets", "Host: aggregator:8080").status == 421
    assert service.process.stop() == 0


def test_configured_hosts(told: Service) -> None:
    """They replace the default hosts."""
    key = "X-API-Key: reads"
    for host, status in {"ours.example": 200, "a.below.example:1": 200, "below.example": 421, "localhost": 421}.items():
        assert ask(told, PRICE, f"Host: {host}", key).status == status, host


# Origins


@pytest.mark.parametrize("origin", [THEIRS, "null", "http://localhost:1", "http://evil.example:80", "x"])
def test_a_page_of_another_site_may_not_act(usual: Service, origin: str) -> None:
    """It can neither force a refresh nor open a WebSocket, and its browser does not give it responses."""
    host = f"Host: 127.0.0.1:{port(usual)}"
    for line, more in (("POST /refresh/btcusdt", ["Content-Length: 0"]), ("GET /ws", UPGRADE)):
        answer = ask(usual, line, host, f"Origin: {origin}", *more)
        assert answer.status == 403
        assert "AGGREGATOR_CORS_ORIGINS" in answer.json["msg"]
    for line in (PRICE, "GET /prices?tier=hot"):
        answer = ask(usual, line, host, f"Origin: {origin}")
        assert answer.status == 200
        assert not [name for name in answer.headers if name.startswith("access-control-")]
    preflight = ask(usual, "OPTIONS /refresh/btcusdt", host, f"Origin: {origin}", "Access-Control-Request-Method: POST")
    assert preflight.status == 405


def test_our_page_and_programs_may_act(usual: Service) -> None:
    """A page of our own origin may, also behind a proxy that terminates TLS; a program sends no origin."""
    for host, origin in (
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("localhost", "https://localhost"),
        ("[::1]", ""),
    ):
        headers = [f"Host: {host}", *([f"Origin: {origin}"] if origin else [])]
        assert ask(usual, "POST /refresh/btcusdt", *headers, "Content-Length: 0").status == 200
        assert ask(usual, "GET /ws", *headers, *UPGRADE).status == 101


def test_cors(told: Service) -> None:
    """An allowed origin may read and send a key, after a preflight; Vary names the headers."""
    host, key = "Host: ours.example", "Authorization: Bearer reads"
    wants = ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,x-api-key"]
    preflight = ask(told, "OPTIONS /refresh/btcusdt", host, f"Origin: {OURS}", *wants)
    assert preflight.status == 200
    assert preflight.headers["access-control-allow-origin"] == OURS
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in preflight.headers
    foreign = ask(told, "OPTIONS /prices/btcusdt", host, f"Origin: {THEIRS}", *wants)
    assert (foreign.status, foreign.json["code"]) == (400, "foreign_origin")
    assert foreign.headers["content-type"] == "application/json"
    put = ask(told, "OPTIONS /prices/btcusdt", host, f"Origin: {OURS}", "Access-Control-Request-Method: PUT")
    assert (put.status, put.json) == (400, {"msg": "Disallowed CORS method", "code": "invalid_request"})
    for line in (PRICE, "GET /prices?tier=hot", "GET /assets"):
        answer = ask(told, line, host, f"Origin: {OURS}", key)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, OURS)
        shown = answer.headers["access-control-expose-headers"].split(", ")
        assert {"ETag", "Link", "Retry-After", "X-Request-ID"} <= set(shown)
        assert "access-control-allow-origin" not in ask(told, line, host, f"Origin: {THEIRS}", key).headers
        for origin in ([], [f"Origin: {OURS}"], [f"Origin: {THEIRS}"]):
            vary = ask(told, line, host, *origin, key).headers["vary"]
            assert {"Origin", "Authorization", "X-API-Key"} <= set(re.split(", ?", vary))
    refused = ask(told, PRICE, host, f"Origin: {OURS}")
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, OURS)
    assert (
        ask(told, "POST /refresh/btcusdt", host, f"Origin: {OURS}", "X-API-Key: all", "Content-Length: 0").status == 200
    )
    assert (
        ask(told, "POST /refresh/btcusdt", host, f"Origin: {THEIRS}", "X-API-Key: all", "Content-Length: 0").status
        == 403
    )
    assert ask(told, "GET /ws", host, f"Origin: {OURS}", key, *UPGRADE).status == 101
    assert ask(told, "GET /ws", host, f"Origin: {THEIRS}", key, *UPGRADE).status == 403


# Keys

READS = [PRICE, "HEAD /prices/btcusdt", "GET /prices?tier=hot", "GET /prices/btcusdt/sources", "GET /assets"]
READS += [
    "GET /prices/btcusdt/history",
    "GET /prices/btcusdt/candles",
    "GET /stream",
    "GET /prices/nosuch",
    "GET /nosuch",
]


@pytest.mark.parametrize("line", [*READS, "GET /ws"])
def test_reading_needs_a_key(told: Service, line: str) -> None:
    """Either kind of key allows reading; without one it is 401, also for unknown paths."""
    more = UPGRADE if line == "GET /ws" else []
    answer = ask(told, line, "Host: ours.example", *more)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    for key in ("X-API-Key: reads", "Authorization: Bearer reads", "X-API-Key: all", "authorization: bearer  all"):
        status = ask(told, line, "Host: ours.example", key, *more).status
        assert status == (404 if "nosuch" in line else 101 if more else 200)


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/docs", "/docs/swagger-ui.css", "/openapi.json", "/health"])
def test_open_paths(told: Service, path: str) -> None:
    """The pages, which show that they need a key; the document; and probes."""
    assert ask(told, f"GET {path}", "Host: ours.example").status == 200


def test_a_read_key_may_not_force_a_refresh(told: Service) -> None:
    """A key for reading is refused with its reason, and does not count as a guess."""
    for _ in range(30):
        answer = ask(told, "POST /refresh/btcusdt", "Host: ours.example", "X-API-Key: reads", "Content-Length: 0")
        assert (answer.status, answer.json["msg"]) == (403, "This API key is for reading only")


@pytest.mark.parametrize("line", [PRICE, "GET /assets", "POST /refresh/btcusdt", "GET /ws"])
def test_wrong_keys_are_limited(market: Market, tmp_path: Path, line: str) -> None:
    """After ten wrong keys, no key of that address is compared; other addresses behind the proxy are served."""
    service = start(tmp_path, market, api_keys="all", read_keys="reads", trusted_proxies="127.0.0.0/8")
    more = [f"Host: 127.0.0.1:{port(service)}", "Content-Length: 0"]
    guesses = [
        ask(service, line, *more, f"X-API-Key: guess{number}", "X-Forwarded-For: 192.0.2.1") for number in range(15)
    ]
    assert [answer.status for answer in guesses] == [403] * 10 + [429] * 5
    assert 1 <= int(guesses[-1].headers["retry-after"]) <= 6
    assert "192.0.2.1" not in json.dumps(guesses[-1].json)
    for known in ("all", "reads"):
        assert ask(service, PRICE, *more[:1], f"X-API-Key: {known}", "X-Forwarded-For: 192.0.2.1").status == 429
        assert ask(service, PRICE, *more[:1], f"X-API-Key: {known}", "X-Forwarded-For: 192.0.2.2").status == 200
    assert "guess" not in service.process.output
    assert service.process.stop() == 0


@pytest.mark.parametrize("line", EVERYWHERE)
def test_every_response_has_nosniff(usual: Service, line: str) -> None:
    """Every response has it once: from the local cache, not modified, refused, and of a stream."""
    host = f"Host: 127.0.0.1:{port(usual)}"
    for more in ([], ["If-None-Match: *"], ["Content-Length: 99999999"]):
        assert ask(usual, line, host, *more).headers["x-content-type-options"] == "nosniff"
