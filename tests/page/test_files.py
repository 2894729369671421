"""The page's files: compressed, cached, and nothing in them that the content security policy forbids."""

import gzip
import hashlib
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from aggregator.api import pages as browser
from aggregator.api.app import build
from aggregator.api.pages import LIBRARY, BrowserRoutes, page_files
from aggregator.observability.metrics import Metrics
from tests.parts import asgi

PAGE = Path(browser.__file__).with_name("page")
CHARTS = "lightweight-charts.js"  # of another project: packaged as it is published, and loaded with the first chart
CHARTS_SHA256 = "1bb1ee79f9d4dd17261b53d930f7a8995748276f80e7ba0e24412b5068062f5f"
OURS = sorted(path for path in PAGE.glob("*.js") if path.name != CHARTS)
EVERY = ["/", "/docs", *(f"/page/{name}" for name in page_files()), *(f"/docs/{name}" for name in LIBRARY)]


@pytest.fixture(scope="module")
def app() -> ASGIApp:
    """Return an application of the page's routes only."""
    return build(BrowserRoutes(has_guide=True).routes(), Metrics(CollectorRegistry()))


@pytest.mark.parametrize("path", EVERY)
async def test_a_file_is_sent_once(app: ASGIApp, path: str) -> None:
    """A file is compressed for clients that accept it, and its ETag gives a 304."""
    answer = await asgi.get(app, path)
    assert answer.status == 200
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-cache"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    packed = await asgi.get(app, path, {"Accept-Encoding": "gzip, br"})
    if "content-encoding" in packed.headers:
        assert gzip.decompress(packed.body) == answer.body
        assert len(packed.body) < len(answer.body)
    again = await asgi.get(app, path, {"If-None-Match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    ["/page/index.html", "/page/package.json", "/page/nosuch.js", "/page/..%2Fapp.py", "/docs/index.css", "/docs/"],
)
async def test_there_are_no_others(app: ASGIApp, path: str) -> None:
    """Other files in the folder on disk are not served."""
    answer = await asgi.get(app, path)
    assert (answer.status, answer.body) == (404, b'{"msg":"Not Found","code":"not_found"}')


@pytest.mark.parametrize("path", ["/", "/docs"])
async def test_pages_link_to_the_guide_where_there_is_one(app: ASGIApp, path: str) -> None:
    """An installation without the guide, such as a clone, has no link that leads to a refusal."""
    without = build(BrowserRoutes(has_guide=False).routes(), Metrics(CollectorRegistry()))
    page, shorter = (await asgi.get(app, path)).body, (await asgi.get(without, path)).body
    assert page.count(b'href="/guide"') == 1
    assert b"uide" not in shorter
    assert set(page.splitlines()) > set(shorter.splitlines()) or path == "/docs"


async def test_an_invented_market_is_named_in_the_page_itself(app: ASGIApp) -> None:
    """The banner does not wait for /ready, which a slow service may answer long after its first price."""
    invented = build(BrowserRoutes(has_guide=True, invented_market=True).routes(), Metrics(CollectorRegistry()))
    page, told = (await asgi.get(app, "/")).body, (await asgi.get(invented, "/")).body
    assert b'id="invented" hidden>' in page
    assert page.replace(b'id="invented" hidden>', b'id="invented">') == told


@pytest.mark.parametrize("name", ["index.html", "docs.html"])
def test_pages_hold_nothing_inline(name: str) -> None:
    """Pages have no inline script, style or handler, which the policy would block."""
    text = (PAGE / name).read_text(encoding="utf-8")
    assert "<style" not in text
    assert not re.search(r"\s(style|on[a-z]+)=", text)
    assert all("src=" in script for script in re.findall(r"<script[^>]*>", text))


def test_every_module_is_preloaded() -> None:
    """Every module is preloaded in the page's head, and every preload is a module."""
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    modules = {path.name for path in OURS} - {"theme.js", "docs.js"}
    assert set(re.findall(r'rel="modulepreload" href="/page/(.*?)"', text)) == modules - {"main.js"}
    imported = {name for path in OURS for name in re.findall(r'from "\./(.*?)"', path.read_text("utf-8"))}
    assert imported == modules - {"main.js"}


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_no_module_writes_html(path: Path) -> None:
    """Modules write outside data as text only; no code parses HTML, so no HTML can be injected."""
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", path.read_text("utf-8")
    )


def test_the_chart_library_is_as_it_was_published() -> None:
    """Version 5.2.1 of TradingView Lightweight Charts, with its licence and its notice on the page."""
    raw = (PAGE / CHARTS).read_bytes()
    assert b"Lightweight Charts\xe2\x84\xa2 v5.2.1" in raw[:200]
    assert hashlib.sha256(raw).hexdigest() == CHARTS_SHA256
    assert "Apache License" in (PAGE / "lightweight-charts.LICENSE.txt").read_text("utf-8")
    assert "Copyright (c) 2026 TradingView" in (PAGE / "index.html").read_text("utf-8")
