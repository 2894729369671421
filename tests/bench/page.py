"""The live page: time to the first price and to a chart, smoothness of scrolling, memory after ten minutes.

Times depend on what else the machine does. The CPU time of the page's main thread is given beside them.
"""

import statistics

from playwright.sync_api import Browser

from tests.bench.report import Figure
from tests.bench.scene import Scene, scene
from tests.parts import browser
from tests.parts.browser import CHART, Tab, until

MINUTES = 10.0
OPENED = 7  # repetitions
SCROLLED = 10.0  # seconds
_FIRST = "performance.getEntriesByName('prices').map(mark => mark.startTime)[0]"
# Scrolls down and up, some hundred rows per second; returns the duration of each frame in ms.
_SCROLL = """seconds => new Promise((done) => {
    const frames = [], started = performance.now();
    const far = document.documentElement.scrollHeight - innerHeight;
    const step = (now) => {
        frames.push(now);
        const phase = (5 * (now - started) / far) % 2; // 5 px a ms
        scrollTo(0, far * (phase < 1 ? phase : 2 - phase));
        if (now - started < 1000 * seconds) requestAnimationFrame(step);
        else done(frames.slice(1).map((at, index) => at - frames[index]));
    };
    requestAnimationFrame(step);
})"""


def run(minutes: float = MINUTES, opened: int = OPENED, scrolled: float = SCROLLED) -> list[Figure]:
    """Measure in Chromium, with the default settings; scrolling also with all assets hot."""
    with scene() as parts, browser.running() as chromium:
        market, redis = parts.market(), parts.redis()
        service = parts.service(market, redis, history_url=_history(parts, "default"))
        firsts, costs = zip(*(_first_price(chromium, service.url) for _ in range(opened)), strict=True)
        charts, drawn = zip(*(_chart(chromium, service.url) for _ in range(opened)), strict=True)
        held = _held(chromium, service.url, minutes)
        service.process.stop()
        frames, cost = _frames(parts, chromium, scrolled)
    return [
        Figure("first price on screen, median", statistics.median(firsts), "s", "<= 1"),
        Figure("  slowest", max(firsts), "s"),
        Figure("  CPU time of the page until then, median", statistics.median(costs), "s"),
        Figure("from a click on a row to its chart, median", statistics.median(charts), "s", "<= 1"),
        Figure("  CPU time of the page until then, median", statistics.median(drawn), "s"),
        *held,
        Figure("1000 hot assets, scrolled through: frames", len(frames) / scrolled, "frames/s", ">= 30"),
        Figure("  95 of 100 frames within", _percentile(frames, 0.95), "ms", "<= 34"),
        Figure("  longest frame", max(frames), "ms"),
        Figure("  CPU time of the page for each frame", 1000 * cost / len(frames), "ms"),
    ]


def _first_price(chromium: Browser, url: str) -> tuple[float, float]:
    """Return the seconds from navigation to a visible price, in a browser without cached files, and those of CPU."""
    tab = Tab(chromium, url, reduced_motion="no-preference")
    cpu = tab.cpu()
    page = tab.open()
    until(page, f"{_FIRST} !== undefined")
    found = float(page.evaluate(_FIRST)) / 1000
    cost = cpu()
    tab.close()
    return found, cost


def _chart(chromium: Browser, url: str) -> tuple[float, float]:
    """Return the seconds from a click on a row to candles in its panel, the library included, and those of CPU."""
    tab = Tab(chromium, url, reduced_motion="no-preference")
    page = tab.open()
    until(page, f"{_FIRST} !== undefined")
    cpu = tab.cpu()
    started = float(page.evaluate("performance.now()"))
    page.click(".rows .row[data-symbol=btcusdt] .price")
    page.wait_for_selector(CHART)
    found = float(page.evaluate("performance.now()")) - started
    cost = cpu()
    tab.close()
    return found / 1000, cost


def _held(chromium: Browser, url: str, minutes: float) -> list[Figure]:
    """Return the growth of heap, DOM nodes and listeners in that time, with an open panel, and the CPU time."""
    tab = Tab(chromium, url, reduced_motion="no-preference")
    page = tab.open("/#btcusdt")
    page.wait_for_selector('.rows .row .line[d^="M"]', state="attached")
    page.wait_for_selector(CHART)
    until(page, "Number(document.querySelector('#rate').textContent) > 10")
    heap, nodes, listeners = tab.heap()
    cpu = tab.cpu()
    before = cpu()
    page.wait_for_timeout(60_000 * minutes)
    cost = (cpu() - before) / (60 * minutes)
    later, more, listening = tab.heap()
    prices = float(page.text_content("#rate") or 0)
    tab.close()
    return [
        Figure(f"heap after {minutes:g} minutes", later / 2**20, "MiB"),
        Figure("  grown by", later / heap - 1, "of it", "<= 0.20"),
        Figure("  nodes of the document grown by", more / nodes - 1, "of them", "<= 0.20"),
        Figure("  listeners grown by", listening / listeners - 1, "of them", "<= 0.02"),
        Figure("  CPU time of the page", 100 * cost, "% of a core"),
        Figure("  prices in its last minute", prices, "", ">= 1"),
        Figure("  complaints of the browser", len(tab.complaints), "; ".join(tab.complaints)[:2000], "<= 0"),
    ]


def _frames(parts: Scene, chromium: Browser, seconds: float) -> tuple[list[float], float]:
    """Return the milliseconds of each frame while the page scrolls, and the CPU seconds of the page for all of them."""
    where = _history(parts, "hot")
    service = parts.service(parts.market(), parts.redis(), "hot", hot_size=1000, history_url=where)
    tab = Tab(chromium, service.url, reduced_motion="no-preference")
    page = tab.open()
    until(page, f"{_FIRST} !== undefined")
    cpu = tab.cpu()
    frames: list[float] = page.evaluate(_SCROLL, seconds)
    cost = cpu()
    tab.close()
    return frames, cost


def _history(parts: Scene, name: str) -> str:
    """Return a SQLite file as history: the page does not depend on the store, and this one takes the least CPU."""
    return f"sqlite:///{parts.folder}/{name}.db"


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]
