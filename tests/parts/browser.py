"""Headless Chromium (Debian's), and tabs that record everything our page must not do."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.parts.process import wait_for

DESKTOP = (1280, 900)
PHONE = (360, 740)
CHART = '#detail .canvas[aria-label*=" candles, "]:not([aria-label^="Chart: 0 "])'  # with at least one candle
SECONDS = 120.0  # the time limit for each element or state that a test waits for


def binary() -> str | None:
    """Return the path of Chromium, or None when it is not installed.

    Debian's chromium-headless-shell, which has no windows, takes a third less CPU for a page.
    """
    names = ("chromium-headless-shell", "chromium", "chromium-browser")
    return next((found for name in names if (found := shutil.which(name))), None)


@contextmanager
def running() -> Iterator[Browser]:
    """Run Chromium. For synchronous tests only: Playwright's loop occupies the thread while the browser runs."""
    found = binary()
    assert found is not None
    expect.set_options(timeout=1000 * SECONDS)
    with sync_playwright() as playwright:
        # Chromium's sandbox does not work for root, and tests run as root in CI.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """One page in its own browser window; `complaints` lists console errors, exceptions and requests to other hosts."""

    def __init__(self, browser: Browser, url: str, size: tuple[int, int] = DESKTOP, **more: Any) -> None:
        self.url = url
        # An animation without end makes Chromium draw sixty frames a second, which is half of a page's CPU.
        shown = {"viewport": {"width": size[0], "height": size[1]}, "reduced_motion": "reduce"}
        self._context = browser.new_context(**(shown | more))
        self._context.set_default_timeout(1000 * SECONDS)
        self.page: Page = self._context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.on("request", self._requested)

    def open(self, path: str = "/") -> Page:
        """Open a path of the service."""
        self.page.goto(self.url + path)
        return self.page

    def close(self) -> None:
        """Close the window."""
        self._context.close()

    def heap(self) -> tuple[float, float, float]:
        """Return the used bytes of the page's heap, and its numbers of DOM nodes and listeners, without garbage."""
        session = self._context.new_cdp_session(self.page)
        session.send("HeapProfiler.enable")
        session.send("HeapProfiler.collectGarbage")
        used = session.send("Runtime.getHeapUsage")["usedSize"]
        counted = session.send("Memory.getDOMCounters")
        session.detach()
        return float(used), float(counted["nodes"]), float(counted["jsEventListeners"])

    def cpu(self) -> Callable[[], float]:
        """Count CPU time from now on; return a function that returns the seconds of the page's main thread."""
        session = self._context.new_cdp_session(self.page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def seconds() -> float:
            metrics = session.send("Performance.getMetrics")["metrics"]
            return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

        return seconds

    def _said(self, message: ConsoleMessage) -> None:
        # ERR_NETWORK_CHANGED: a network interface of the machine came or went, and Chromium aborted its requests.
        # A 503 of /ready is expected: the page shows the reasons, and the browser logs every such status.
        unready = "503" in message.text and message.location.get("url", "").endswith("/ready")
        if message.type in {"error", "warning"} and "ERR_NETWORK_CHANGED" not in message.text and not unready:
            self.complaints.append(f"{message.type}: {message.text} {message.location.get('url', '')}".rstrip())

    def _requested(self, request: Request) -> None:
        self.asked.append(request.url.removeprefix(self.url))
        if not request.url.startswith((self.url, "data:")):
            self.complaints.append(f"asked another host: {request.url}")


def until(page: Page, expression: str, arg: object = None) -> None:
    """Wait until a JavaScript expression holds; Playwright's own wait needs eval(), which our CSP forbids."""
    wait_for(lambda: bool(page.evaluate(expression, arg)), SECONDS, expression)


def text_changes(page: Page, selector: str) -> str:
    """Wait until the text of an element changes; return the new text."""
    before = page.inner_text(selector)
    wait_for(lambda: page.inner_text(selector) != before, SECONDS, f"another text in {selector}")
    return page.inner_text(selector)
