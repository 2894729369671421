"""Anomalies, paper signals, headlines and alerts on the page: the docked list, and marks on the chart."""

import json
import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from tests.parts.browser import CHART, DESKTOP, PHONE, Tab
from tests.parts.process import wait_for
from tests.parts.service import Service, call

pytestmark = pytest.mark.real

ITEMS = "#latest li"


@pytest.fixture
def window(chromium: Browser, small_service: Service) -> Iterator[Tab]:
    """Return a tab that has not opened the page, and may have no complaints."""
    one = Tab(chromium, small_service.url, DESKTOP)
    yield one
    one.close()
    assert one.complaints == []


class Events:
    """Answers /ws for events in place of the service."""

    def __init__(self, tab: Tab, topics: str) -> None:
        self._topics = topics.split()
        self._sockets: list[WebSocketRoute] = []
        tab.page.route_web_socket("**/ws?numbers=number", self._connected)

    def send(self, page: Page, name: str, event: dict[str, object]) -> None:
        """Send an event once the page is subscribed; Playwright calls handlers only while the page is asked."""
        wait_for(lambda: bool(page.evaluate("true") and self._sockets), what="a connection")
        self._sockets[-1].send(json.dumps({"type": name, name: event}))

    def _connected(self, socket: WebSocketRoute) -> None:
        self._sockets.append(socket)
        socket.on_message(lambda text: self._answer(socket, json.loads(text)["topics"][0]))

    def _answer(self, socket: WebSocketRoute, topic: str) -> None:
        if topic in self._topics:
            socket.send(json.dumps({"type": "subscribed", "topics": {}}))
        else:
            socket.send(
                json.dumps({"type": "error", "msg": "topics must be some of prices", "code": "invalid_parameter"})
            )


def headline(at: float, **more: object) -> dict[str, object]:
    """Return a headline about btcusdt."""
    shown: dict[str, object] = {"asset": "btcusdt", "id": "n1", "published_at": at, "headline": "<b>Bitcoin</b> rises"}
    shown |= {"source": "mock", "url": "https://news.example/1", "sentiment": 0.6, "label": "positive"}
    return shown | {"correlation_strength": "strong"} | more


def test_an_alert_of_the_service_is_listed(window: Tab, small_service: Service) -> None:
    """The list is closed at first and counts; it opens by keyboard, and an entry opens its asset."""
    page = window.open()
    expect(page.locator("#latest")).to_be_visible()
    rule = {"asset": "btcusdt", "kind": "spread", "above": 0.000001, "cooldown": 3600}
    answer = call(
        "POST", f"{small_service.url}/alerts", {"Content-Type": "application/json"}, json.dumps(rule).encode()
    )
    expect(page.locator("#latest summary")).to_have_text("Latest 1 new")
    page.focus("#latest summary")
    page.keyboard.press("Enter")
    expect(page.locator(ITEMS)).to_have_count(1)
    expect(page.locator("#latest summary")).to_have_text("Latest")
    expect(page.locator(ITEMS)).to_contain_text("btcusdt: the venues are")
    expect(page.locator("#latest .hint").last).to_contain_text("paper trading")
    assert page.get_attribute("#latest ol", "aria-live") == "off"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.symbol") == "btcusdt"
    page.keyboard.press("Enter")
    expect(page.locator("#detail h2")).to_have_text("BTCUSDT")
    assert call("DELETE", f"{small_service.url}/alerts/{answer.json['id']}").status == 200


def test_events_are_listed_and_marked(window: Tab) -> None:
    """Newest first, at most a hundred; outside texts stay texts, and only links to the web are links."""
    events = Events(window, "anomalies signals sentiment alerts")
    for path in ("anomalies", "signals", "sentiment"):
        window.page.route(
            f"**/{path}/*", lambda route: route.fulfill(json={"anomalies": [], "signals": [], "items": []})
        )
    page = window.open("/#btcusdt")
    page.wait_for_selector(CHART)
    expect(page.locator("#detail .candles .hint")).to_be_hidden()
    now = time.time()
    vector = [100.0] * 6
    anomaly = {"asset": "btcusdt", "timestamp": now, "id": "1", "venue": "x", "anomaly_score": -0.7}
    events.send(page, "anomaly", anomaly | {"feature_vector": vector})
    next_minute = (now // 60 + 1) * 60
    for side, at in (("buy", now), ("sell", next_minute)):  # the second comes before the first price of its candle
        signal = {"asset": "btcusdt", "id": side, "side": side, "reason": "drop", "price": 100, "profit": None}
        events.send(page, "signal", signal | {"timestamp": at})
    events.send(page, "sentiment_item", headline(now))
    other = headline(now, asset="ethusdt", id="n2", headline="Ether falls", url="javascript:alert(1)")
    events.send(page, "sentiment_item", other)
    expect(page.locator("#detail .canvas")).to_have_attribute("aria-label", re.compile(", 4 marks"))
    expect(page.locator("#detail .candles .hint")).to_contain_text("paper buy")
    listed = page.locator("#detail .events li")
    expect(listed).to_have_count(4)
    assert sorted(listed.evaluate_all("rows => rows.map(row => row.dataset.way ?? '')")) == ["", "-1", "1", "1"]
    page.keyboard.press("Escape")
    page.click("#latest summary")
    expect(page.locator(ITEMS)).to_have_count(5)
    expect(page.locator(ITEMS).first).to_contain_text("Paper sell")
    links = page.eval_on_selector_all(
        f"{ITEMS} a", "links => links.map(link => [link.href, link.rel, link.textContent])"
    )
    assert links == [["https://news.example/1", "noopener noreferrer", "<b>Bitcoin</b> rises"]]
    events.send(page, "sentiment_item", headline(now, headline="Changed"))
    expect(page.locator(f"{ITEMS} a")).to_have_text("Changed")
    for number in range(120):
        alert = {"asset": "ethusdt", "id": str(number), "timestamp": now + 10 + number, "message": f"alert {number}"}
        events.send(page, "alert", alert)
    expect(page.locator(ITEMS).first).to_contain_text("alert 119")
    expect(page.locator(ITEMS)).to_have_count(100)


def test_a_service_without_these_topics(window: Tab) -> None:
    """Has no list, and everything else works."""
    Events(window, "")
    page = window.open("/#btcusdt")
    page.wait_for_selector(CHART)
    expect(page.locator("#detail .sources tbody tr")).to_have_count(3)
    page.keyboard.press("Escape")
    expect(page.locator("#latest")).to_be_hidden()
    assert not [path for path in window.asked if re.match("/(anomalies|signals|sentiment)/", path)]


def test_on_a_phone(chromium: Browser, small_service: Service) -> None:
    """The list is no wider than the screen, and neither is the page."""
    tab = Tab(chromium, small_service.url, PHONE, has_touch=True)
    events = Events(tab, "sentiment")
    page = tab.open()
    events.send(page, "sentiment_item", headline(time.time(), headline="x" * 300))
    page.tap("#latest summary")
    expect(page.locator(ITEMS)).to_have_count(1)
    assert page.evaluate("document.querySelector('#latest').getBoundingClientRect().width") <= PHONE[0]
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert tab.complaints == []
    tab.close()
