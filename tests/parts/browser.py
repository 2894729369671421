"""Debian's Chromium without a screen, and pages in it that notice what no page of ours may do."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.parts.process import wait_for

DESKTOP = (1280, 900)
PHONE = (360, 740)
SECONDS = 45.0  # within which anything that is waited for has to be seen


def binary() -> str | None:
    """Return where Chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def running() -> Iterator[Browser]:
    """Run it. Only tests that are no coroutines may use it: its loop is the thread's for as long as it runs."""
    found = binary()
    assert found is not None
    expect.set_options(timeout=1000 * SECONDS)
    with sync_playwright() as playwright:
        # There is no sandbox for root, which is who tests are in CI.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """One page, in a window of its own; complaints are what it should not have given cause for."""

    def __init__(self, browser: Browser, url: str, size: tuple[int, int] = DESKTOP, **more: Any) -> None:
        self.url = url
        self._context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **more)
        self._context.set_default_timeout(1000 * SECONDS)
        self.page: Page = self._context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.on("request", self._requested)

    def open(self, path: str = "/") -> Page:
        """Go there."""
        self.page.goto(self.url + path)
        return self.page

    def close(self) -> None:
        """Close it."""
        self._context.close()

    def heap(self) -> tuple[float, float]:
        """Return the bytes of its heap and the number of its nodes, without garbage."""
        session = self._context.new_cdp_session(self.page)
        session.send("HeapProfiler.enable")
        session.send("HeapProfiler.collectGarbage")
        used = session.send("Runtime.getHeapUsage")["usedSize"]
        nodes = session.send("Memory.getDOMCounters")["nodes"]
        session.detach()
        return float(used), float(nodes)

    def _said(self, message: ConsoleMessage) -> None:
        # The machine's own network: an interface came or went, and the browser ends what is under way for it.
        # A 503 of /ready is no fault of the page: it shows the reasons, and the browser logs each such status.
        unready = "503" in message.text and message.location.get("url", "").endswith("/ready")
        if message.type in {"error", "warning"} and "ERR_NETWORK_CHANGED" not in message.text and not unready:
            self.complaints.append(f"{message.type}: {message.text} {message.location.get('url', '')}".rstrip())

    def _requested(self, request: Request) -> None:
        self.asked.append(request.url.removeprefix(self.url))
        if not request.url.startswith((self.url, "data:")):
            self.complaints.append(f"asked another host: {request.url}")


def until(page: Page, expression: str, arg: object = None) -> None:
    """Wait until it holds; Playwright's own wait would have to evaluate text in the page, which the policy forbids."""
    wait_for(lambda: bool(page.evaluate(expression, arg)), SECONDS, expression)


def text_changes(page: Page, selector: str) -> str:
    """Wait until the text there is another than now; return it."""
    before = page.inner_text(selector)
    wait_for(lambda: page.inner_text(selector) != before, SECONDS, f"another text in {selector}")
    return page.inner_text(selector)
