"""The site of /guide: scripts/guide.sh builds it without a warning, and a browser shows and searches it."""

import asyncio
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser
from prometheus_client import CollectorRegistry

from aggregator.api.app import build
from aggregator.api.guide import GuideRoutes
from aggregator.observability.metrics import Metrics
from tests.docs.test_documents import DOCUMENTS
from tests.parts.process import ROOT, wait_for

pytestmark = pytest.mark.real

SHOWN = [one for one in DOCUMENTS if ".github" not in one.parts]
SECONDS = 300  # a time limit, not a promise


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, with the Sphinx of this environment."""
    folder = tmp_path_factory.mktemp("guide") / "site"
    environment = os.environ | {"GUIDE_PYTHON": sys.executable}
    command = [str(ROOT / "scripts/guide.sh"), str(folder)]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Serve the site by the routes of the service; return its address."""
    app = build(GuideRoutes(site).routes(), Metrics(CollectorRegistry()))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    wait_for(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(SECONDS)


@pytest.mark.parametrize("document", SHOWN, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_document_is_in_the_navigation(site: Path, document: Path) -> None:
    """It has a page, and the first page links to it."""
    page = document.relative_to(ROOT).with_suffix(".html")
    assert (site / page).is_file()
    start = (site / "docs/index.html").read_text(encoding="utf-8")
    links = {
        (site / "docs" / link).resolve() for link in re.findall(r'class="reference internal" href="([^"#]*)"', start)
    }
    assert page == Path("docs/index.html") or site / page in links


@pytest.mark.parametrize(("page", "root"), [("docs/index.html", "../../"), ("README.html", "./../")])
def test_pages_lead_back_to_the_service(site: Path, page: str, root: str) -> None:
    """The navigation begins with the live page and the API; relative links hold behind a proxy with a path."""
    text = (site / page).read_text(encoding="utf-8")
    assert f'href="{root}">Live prices</a>' in text
    assert f'href="{root}docs">API to try</a>' in text


def test_pages_need_nothing_from_outside(site: Path) -> None:
    """No page has an inline script or style, or loads a file of another host."""
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > len(SHOWN)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<script>|<style|\s(?:style|on[a-z]+)=\"", text), page
        assert not re.search(r"(?:src|<link[^>]* href)=\"(?:https?:)?//", text), page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"@import|url\([\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_a_browser_shows_and_searches_it(chromium: Browser, address: str) -> None:
    """The policy blocks nothing that a page needs, and the search finds a word without another host."""
    page = chromium.new_page()
    hosts: set[str] = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.add_init_script(
        "window.violated = [];"
        'document.addEventListener("securitypolicyviolation", (event) => violated.push(event.violatedDirective));'
    )
    page.goto(f"{address}/guide")
    assert page.url == f"{address}/guide/docs/index.html"
    picture = page.locator("img").first
    assert picture.evaluate("image => image.complete && image.naturalWidth > 100")
    assert page.evaluate("violated") == []
    page.locator(".sidebar-search").fill("quorum")
    page.locator(".sidebar-search").press("Enter")
    page.wait_for_selector("#search-results li a")
    assert page.evaluate("violated") == []
    assert hosts == {address.removeprefix("http://")}
    page.close()
