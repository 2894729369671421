"""What a page of another site in Chromium can do to a local service: by DNS rebinding and across origins.

A resolver rule of Chromium maps a name to this machine, as an attacker's DNS would.
"""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.parts import browser
from tests.parts.exchanges import Market
from tests.parts.service import Service

pytestmark = pytest.mark.real

REBOUND = "rebound.example"
READ = """async (url) => {
    try { return await (await fetch(url)).text(); } catch (error) { return `refused: ${error.name}`; }
}"""
POST = """async (url) => {
    try { return (await fetch(url, { method: "POST" })).status; } catch (error) { return `refused: ${error.name}`; }
}"""
BLIND_POST = 'async (url) => { await fetch(url, { method: "POST", mode: "no-cors" }); return "sent"; }'
SOCKET = """(url) => new Promise((done) => {
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send('{"type":"subscribe","assets":["btcusdt"]}');
    socket.onmessage = (event) => { done(event.data); socket.close(); };
    socket.onerror = () => done("refused");
})"""
EVENTS = """(url) => new Promise((done) => {
    const source = new EventSource(url);
    source.addEventListener("snapshot", (event) => { done(event.data); source.close(); });
    source.onerror = () => { done("refused"); source.close(); };
})"""


class Handler(BaseHTTPRequestHandler):
    """Serves an empty page."""

    def do_GET(self) -> None:
        """Answer the request."""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """Serve the page of another site; yields its origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Run Chromium with a host name that resolves to this machine."""
    found = browser.binary()
    if found is None:
        pytest.skip("no Chromium; see the header")
    expect.set_options(timeout=1000 * browser.SECONDS)
    rules = f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", rules])
        yield running
        running.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """Open a page in its own window."""
    context = chromium.new_context()
    yield context.new_page()
    context.close()


def start(folder: Path, market: Market, **settings: object) -> Service:
    """Run the service until it has prices."""
    (folder / "symbols.csv").write_text("symbol\nbtcusdt\n")
    chosen = {"symbols_file": folder / "symbols.csv", "refresh_cooldown": 0, "hot_interval": 30} | settings
    service = Service(folder, exchanges=market.setting, **chosen).started()
    service.process.wait_for_line("tier_filled.*priced=1.*tier=hot")
    return service


def refreshes(service: Service) -> float:
    """Return the number of forced refreshes."""
    return service.metric('price_refresh_total{tier="hot",trigger_type="manual"}')


def test_a_page_of_another_site(page: Page, elsewhere: str, market: Market, tmp_path: Path) -> None:
    """A page of another site gets 421 by a rebound name; across origins it cannot read, refresh or open a stream."""
    service = start(tmp_path, market)
    port = service.url.rpartition(":")[2]
    opened = page.goto(f"http://{REBOUND}:{port}/health")
    assert opened is not None
    assert (opened.status, "AGGREGATOR_ALLOWED_HOSTS" in opened.text()) == (421, True)
    assert "is not served here" in page.evaluate(READ, "/prices/btcusdt")
    assert page.evaluate(POST, "/refresh/btcusdt") == 421
    assert page.evaluate(SOCKET, f"ws://{REBOUND}:{port}/ws") == "refused"
    page.goto(elsewhere)
    for path in ("/prices/btcusdt", "/assets", "/metrics"):
        assert page.evaluate(READ, service.url + path).startswith("refused"), path
    assert page.evaluate(POST, f"{service.url}/refresh/btcusdt").startswith("refused")
    assert page.evaluate(BLIND_POST, f"{service.url}/refresh/btcusdt") == "sent"
    assert page.evaluate(SOCKET, f"{service.url.replace('http', 'ws')}/ws") == "refused"
    assert page.evaluate(EVENTS, f"{service.url}/stream") == "refused"
    assert refreshes(service) == 0
    assert service.process.stop() == 0


def test_a_page_that_is_let_in(page: Page, elsewhere: str, market: Market, tmp_path: Path) -> None:
    """An origin in CORS_ORIGINS may do all of that; our own page always may."""
    service = start(tmp_path, market, cors_origins=elsewhere)
    sockets = service.url.replace("http", "ws")
    for origin in (elsewhere, service.url):
        page.goto(f"{origin}/docs")
        assert '"asset":"btcusdt"' in page.evaluate(READ, f"{service.url}/prices/btcusdt")
        assert page.evaluate(POST, f"{service.url}/refresh/btcusdt") == 200
        assert '"btcusdt"' in page.evaluate(SOCKET, f"{sockets}/ws")
        assert '"btcusdt"' in page.evaluate(EVENTS, f"{service.url}/stream")
    assert refreshes(service) == 2
    assert service.process.stop() == 0


def test_the_page_says_that_a_key_is_needed(page: Page, market: Market, tmp_path: Path) -> None:
    """When prices need an API key, the page says so and does not retry forever."""
    service = start(tmp_path, market, read_keys="reads")
    page.goto(service.url)
    expect(page.locator("#connection")).to_have_text("Key needed")
    expect(page.locator("#nothing")).to_contain_text("needs an API key")
    expect(page.locator(".verdict")).to_have_text("All is well")
    assert service.process.stop() == 0
