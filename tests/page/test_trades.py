"""Trades on the page: tape, gauges, volume and marks, and a service that has none.

The service sends prices only, as it does without trades. Where a test needs trades, Playwright answers /ws and
/trades/… in place of the service, so that each test decides which trades there are.
"""

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.page.page_trades import COLD, Trades, a_trade, features, wait_until
from tests.parts.browser import CHART, DESKTOP, PHONE, Tab
from tests.parts.process import wait_for
from tests.parts.service import Service

pytestmark = pytest.mark.real

BTC = '.rows .row[data-symbol="btcusdt"]'
TAPE = "#detail .tape tbody tr"
NOTE = "#detail .trades .hint[role=status]"


@pytest.fixture
def window(chromium: Browser, small_service: Service) -> Iterator[Tab]:
    """Return a tab that has not opened the page; it may have no complaints but of refused requests."""
    one = Tab(chromium, small_service.url, DESKTOP)
    yield one
    one.close()
    assert [said for said in one.complaints if not re.search("status of (404|501|503)", said)] == []


def test_a_service_without_topics_of_trades_says_so(window: Tab) -> None:
    """One line in the sheet, no requests for trades, no gauges, and the rest of the sheet as always."""
    trades = Trades(window.page)
    trades.has_topics = False
    page = window.open("/#btcusdt")
    expect(page.locator(NOTE)).to_have_text("This service has no trades.")
    expect(page.locator("#detail .gauges")).to_be_hidden()
    expect(page.locator("#detail .taped")).to_be_hidden()
    page.wait_for_selector(CHART)
    expect(page.locator("#detail .sources tbody tr")).to_have_count(3)
    assert not [path for path in window.asked if path.startswith(("/trades", "/features", "/aggregations"))]


@pytest.mark.parametrize("status", [404, 501])
def test_a_process_that_takes_no_trades_in_says_so(window: Tab, status: int) -> None:
    """As the line above, also for the next asset, and /trades is requested once."""
    trades = Trades(window.page)
    trades.refused = {"status": status, "json": {"msg": "This process takes no trades in", "code": "trades_off"}}
    page = window.open("/#btcusdt")
    expect(page.locator(NOTE)).to_have_text("This service has no trades.")
    expect(page.locator("#detail .gauges")).to_be_hidden()
    page.evaluate("location.hash = 'ethusdt'")
    expect(page.locator("#detail h2")).to_have_text("ETHUSDT")
    wait_until(page, trades, "trades", "ethusdt")
    expect(page.locator(NOTE)).to_have_text("This service has no trades.")
    expect(page.locator("#detail .sources tbody tr")).to_have_count(3)
    assert len([path for path in window.asked if path.startswith("/trades")]) == 1


def test_the_tape(window: Tab) -> None:
    """Stored and new trades by time, each once, at most 200, with coloured side, volume and venue; none is cut off."""
    trades = Trades(window.page)
    now = time.time()
    trades.stored = [
        a_trade(2, now - 1, side="sell", volume=1.25),
        a_trade(1, now - 2, side=None, volume=None, venue="<b>x</b>"),
    ]
    page = window.open("/#btcusdt")
    wait_until(page, trades, "trades")
    rows = page.locator(TAPE)
    expect(rows).to_have_count(2)
    assert rows.nth(0).locator("td").all_inner_texts()[1:] == ["102.000", "1.25", "\u2212 sell", "exchange1"]
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", rows.nth(0).locator("td").first.inner_text())
    assert rows.nth(1).locator("td").all_inner_texts()[1:] == ["101.000", "\u2013", "\u2013", "<b>x</b>"]
    trades.send(type="trade", trade=a_trade(4, now))
    trades.send(type="trade", trade=a_trade(3, now - 1.5, late=True))
    trades.send(type="trade", trade=a_trade(4, now))
    trades.send(type="trade", trade=a_trade(9, now, asset="ethusdt"))
    expect(rows).to_have_count(4)
    prices = page.locator(f"{TAPE} td:nth-child(2)")
    assert prices.all_inner_texts() == ["104.000", "102.000", "103.000", "101.000"]
    expect(rows.nth(0).locator(".side")).to_have_text("+ buy")
    colours = {
        row.locator(".side").evaluate("cell => getComputedStyle(cell).color") for row in (rows.nth(0), rows.nth(1))
    }
    assert len(colours) == 2
    for number in range(10, 250):
        trades.send(type="trade", trade=a_trade(number, now + number / 1000))
    expect(rows.nth(0).locator("td").nth(1)).to_have_text("349.000")
    expect(rows).to_have_count(200)
    trades.send(type="trade", trade=a_trade(250, now + 1, side="sell", price=7.77201e-6, volume=8.123e-4))
    expect(rows.nth(0).locator("td").nth(1)).to_have_text("0.00000777201")
    cut = "cells => cells.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
    for width in (390, 1100, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert (width, rows.nth(0).locator("td").evaluate_all(cut)) == (width, [])


def test_a_burst_is_drawn_four_times_a_second(window: Tab) -> None:
    """Trades that arrive one after the other for two seconds change the tape at most four times a second."""
    trades = Trades(window.page)
    page = window.open("/#btcusdt")
    wait_until(page, trades, "trades")
    expect(page.locator(NOTE)).to_have_text("No trade of this asset yet.")
    page.evaluate("""() => {
        window.drawings = [];
        const observer = new MutationObserver(() => drawings.push(1));
        observer.observe(document.querySelector("#detail .tape tbody"), { childList: true });
    }""")
    began, number = time.monotonic(), 0
    while time.monotonic() - began < 2:
        number += 1
        trades.send(type="trade", trade=a_trade(number, time.time()))
    expect(page.locator(TAPE).first.locator("td").nth(1)).to_have_text(re.compile(rf"^{100 + number:,}\.0+$"))
    drawn, seconds = page.evaluate("drawings"), time.monotonic() - began
    assert number > len(drawn) > 1
    assert len(drawn) <= 4 * seconds + 2  # a busy machine draws some late, and the next ones in time


def test_gauges(window: Tab) -> None:
    """Each feature has its value and a meter for screen readers; what has none is warming up."""
    trades = Trades(window.page)
    page = window.open("/#btcusdt")
    wait_until(page, trades, "features")

    def value(name: str) -> str:
        return page.locator(f'#detail .gauges [data-name="{name}"] dd').inner_text()

    trades.send(type="feature", feature=features(time.time(), **COLD))
    expect(page.locator('#detail [data-name="volume_zscore"] dd')).to_have_text("warming up")
    expect(page.locator("#detail .gauges").get_by_role("meter")).to_have_count(2)
    assert (value("vwap_1min"), value("trade_frequency")) == ("100.000", "42")
    trades.send(type="feature", feature=features(time.time(), volume_zscore=3.3764, by_second=True))
    expect(page.locator('#detail [data-name="volume_zscore"] dd')).to_have_text("+3.38")
    names = ("vwap_5min", "rolling_avg_5min", "price_momentum", "trade_frequency")
    assert [value(name) for name in names] == ["101.000", "99.5000", "\u22121.25 %", "42"]
    meter = page.get_by_role("meter", name="Volume z-score")
    expect(meter).to_have_attribute("aria-valuetext", "Volume z-score: +3.38")
    expect(page.locator("#detail .trades")).to_contain_text("exact to a second only")


def test_an_unusual_volume_is_marked_for_a_minute(window: Tab) -> None:
    """The row has a badge with title and text for screen readers, until a minute after the trade."""
    trades = Trades(window.page)
    page = window.open("/")
    wait_until(page, trades, "features")
    badge = page.locator(f"{BTC} .is-volume")
    trades.send(type="feature", feature=features(time.time(), volume_zscore=2.99))
    trades.send(type="snapshot", features=[features(time.time() - 61, asset="ethusdt", volume_zscore=9)])
    trades.send(type="feature", feature=features(time.time() - 57, volume_zscore=4.25))  # older than the one before
    expect(badge).to_be_hidden()
    at = time.time() - 50
    trades.send(type="snapshot", features=[features(at, asset="solusdt", volume_zscore=4.25)])
    other = page.locator('.rows .row[data-symbol="solusdt"] .is-volume')
    expect(other).to_be_visible()
    expect(other).to_have_attribute("title", re.compile(r"^Unusual volume: z-score \+4\.3 at \d\d:\d\d:\d\d, "))
    expect(other).to_have_attribute("aria-label", re.compile(r"^Unusual volume"))
    trades.send(type="feature", feature=features(at + 1, asset="solusdt", volume_zscore=0))
    expect(other).to_be_hidden()
    assert time.time() >= at + 59
    expect(page.locator(".is-volume:visible")).to_have_count(0)


def test_volume_bars(window: Tab) -> None:
    """The legend has the sum of the volumes of the last candle."""
    trades = Trades(window.page)
    page = window.open("/#btcusdt")
    wait_until(page, trades, "trades")
    page.wait_for_selector(CHART)
    start = float(page.evaluate("Math.floor(Date.now() / 1000 / 3600) * 3600"))
    page.locator("#detail").get_by_text("1w", exact=True).click()
    trades.send(type="trade", trade=a_trade(1, start + 0.5, volume=2))
    trades.send(type="trade", trade=a_trade(2, start + 1.5, volume=None))
    trades.send(type="trade", trade=a_trade(3, start + 2.5, volume=1.5))
    expect(page.locator("#detail .legend")).to_contain_text("Vol 3.5")


def test_volume_bars_of_more_trades_than_the_page_has(window: Tab) -> None:
    """They come from the candles of trades, also where the first request fails; a later trade is added."""
    trades = Trades(window.page)
    trades.stored, trades.more = [a_trade(1, time.time(), volume=2)], "cursor"
    hour = float(time.time() // 3600 * 3600)
    trades.candles = [{"start": hour, "volume": 40.25}]
    refusal = {"msg": "Trades cannot be read now", "code": "trades_unavailable"}
    window.page.route(
        "**/candles?*source=trades", lambda route: route.fulfill(status=503, json=refusal), times=2
    )  # of two ranges
    page = window.open("/#btcusdt")
    wait_until(page, trades, "trades")
    page.locator("#detail").get_by_text("1w", exact=True).click()
    legend = page.locator("#detail .legend")
    expect(legend).to_contain_text("Vol 40.25")
    trades.send(type="trade", trade=a_trade(2, time.time(), volume=0.5))
    expect(legend).to_contain_text("Vol 40.75")


def test_after_a_cut_the_tape_is_complete(window: Tab) -> None:
    """The page subscribes again by itself, and loads the trades that it has missed."""
    trades = Trades(window.page)
    now = time.time()
    page = window.open("/#btcusdt")
    wait_until(page, trades, "trades")
    trades.send(type="trade", trade=a_trade(1, now))
    expect(page.locator(TAPE)).to_have_count(1)
    trades.stored = [a_trade(2, now + 1), a_trade(1, now)]
    trades.cut()
    expect(page.locator(TAPE)).to_have_count(2)
    expect(page.locator(NOTE)).to_be_hidden()


def test_trades_that_the_stream_leaves_out_are_found(window: Tab) -> None:
    """The page compares the tape with the stored trades every five seconds in which trades come."""
    trades = Trades(window.page)
    now = time.time()
    page = window.open("/#btcusdt")
    wait_until(page, trades, "trades")
    expect(page.locator(NOTE)).to_have_text("No trade of this asset yet.")
    trades.stored = [a_trade(number, now + number) for number in (3, 2, 1)]
    trades.send(type="trade", trade=trades.stored[0])
    expect(page.locator(TAPE)).to_have_count(3)


def test_stored_trades_that_cannot_be_read(window: Tab) -> None:
    """The sheet says so, and shows new trades all the same."""
    trades = Trades(window.page)
    trades.refused = {"status": 503, "json": {"msg": "Trades cannot be read now", "code": "trades_unavailable"}}
    page = window.open("/#btcusdt")
    expect(page.locator(NOTE)).to_have_text("No stored trades: Trades cannot be read now")
    trades.send(type="trade", trade=a_trade(1, time.time()))
    expect(page.locator(TAPE)).to_have_count(1)


def test_the_subscription_follows_what_is_shown(window: Tab) -> None:
    """Features of the assets in view, trades of the open asset only, and of none when the sheet is closed."""
    trades = Trades(window.page)
    page = window.open("/")
    wait_until(page, trades, "features", "ethusdt")
    assert trades.subscribed["trades"] == set()
    page.evaluate("location.hash = 'ethusdt'")
    wait_until(page, trades, "trades", "ethusdt")
    page.keyboard.press("Escape")
    wait_for(lambda: page.evaluate("true") and not trades.subscribed["trades"], what="the end of the subscription")
    page.fill("#search", "btc")
    wait_for(lambda: page.evaluate("true") and trades.subscribed["features"] == {"btcusdt"}, what="one asset in view")


def test_by_keyboard_and_on_a_phone(chromium: Browser, small_service: Service) -> None:
    """The tape can be scrolled by keyboard, and nothing is wider than the screen; in the dark, too."""
    tab = Tab(chromium, small_service.url, PHONE, color_scheme="dark", has_touch=True)
    trades = Trades(tab.page)
    trades.stored = [a_trade(100 - number, time.time() - number) for number in range(100)]
    page = tab.open("/#btcusdt")
    expect(page.locator(TAPE)).to_have_count(100)
    tape = page.get_by_role("region", name="Last trades")
    tape.focus()
    page.keyboard.press("End")
    wait_for(lambda: tape.evaluate("element => element.scrollTop") > 0, what="a tape that scrolls")
    trades.send(type="feature", feature=features(time.time(), volume_zscore=5))
    expect(page.locator('#detail [data-name="volume_zscore"] dd')).to_have_text("+5.00")
    assert page.evaluate("document.querySelector('.sheet').scrollWidth") <= PHONE[0]
    assert tape.evaluate("element => element.scrollWidth <= element.clientWidth")
    assert tab.complaints == []
    tab.close()
