"""Faults show on the page, and disappear from it afterwards."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.parts.browser import Tab
from tests.parts.exchanges import Market
from tests.parts.ports import free_port
from tests.parts.service import Service
from tests.parts.short_list import INTERVALS, SIZES, write_symbols

pytestmark = pytest.mark.real

CHANGE_MS = 120_000  # a rejection begins and ends after two windows of 2 s, and the page asks every 5 s


def test_an_exchange_that_fails_is_seen(chromium: Browser, market: Market, tmp_path: Path) -> None:
    """A failing exchange: its breaker in the status strip, the effect in words, and the reason in an asset's detail."""
    settings = {"exchanges": market.setting, "symbols_file": write_symbols(tmp_path), **SIZES, **INTERVALS}
    service = Service(tmp_path, outlets="stdout://?topics=alerts&name=desk", **settings).filled()
    tab = Tab(chromium, service.url)
    page = tab.open("/#btcusdt")
    expect(page.locator("#service .facts")).to_contain_text("outlet deskok")
    expect(page.locator(".exchanges li[data-breaker=closed]")).to_have_count(3)
    expect(page.locator(".verdict")).to_have_text("All is well")
    market.exchanges["exchange2"].faults(error_rate=1)
    expect(page.locator('.exchanges li[data-breaker="open"]')).to_contain_text("exchange2")
    expect(page.locator(".verdict")).to_have_text("Some trouble")
    expect(page.locator(".cause")).to_contain_text("exchange2: its breaker is open")
    expect(page.locator("#trouble")).to_contain_text("exchange2: its breaker is open")
    expect(page.locator('#detail tr[data-exchange="exchange2"]')).to_contain_text("breaker is open")
    expect(page.locator(".rows .row[data-symbol=btcusdt] .venues")).to_have_text("2 of 3")
    assert tab.complaints == []
    tab.close()
    assert service.process.stop() == 0


def test_an_exchange_that_lies_is_seen(chromium: Browser, market: Market, tmp_path: Path) -> None:
    """A lying exchange is named in the status strip; when two disagree, the detail shows each ticker.

    The browser also logs each 503.
    """
    settings = {"exchanges": market.setting, "symbols_file": write_symbols(tmp_path), "min_sources": 1}
    service = Service(tmp_path, **settings, **SIZES, **INTERVALS).filled()
    tab = Tab(chromium, service.url)
    page = tab.open("/#btcusdt")
    expect(page.locator(".verdict")).to_have_text("All is well")
    market.exchanges["exchange3"].faults(price_factor=3)
    liar = page.locator(".exchanges li[data-rejected]")
    expect(liar).to_have_count(1, timeout=CHANGE_MS)
    expect(liar).to_contain_text("exchange3")
    expect(liar).to_contain_text("rejected")
    expect(page.locator(".verdict")).to_have_text("Some trouble")
    expect(page.locator("#trouble")).to_contain_text("exchange3: its tickers are rejected: outlier, ")
    expect(page.locator('#detail tr[data-exchange="exchange3"]')).to_contain_text("left out: too far from the others")
    assert tab.complaints == []
    # 429 opens no breaker; the recovery at the end would have to wait for an open breaker's cool-down of 30 s.
    market.exchanges["exchange2"].faults(rate_limit=0)
    apart = page.locator('#detail .refused ~ tr[data-exchange="exchange1"]')
    expect(apart).to_contain_text("left out: too few agree")
    expect(page.locator("#detail .refused")).to_contain_text("No price known now")
    expect(apart).to_contain_text("left out: too few agree")
    assert all("Failed to load resource" in one for one in tab.complaints), tab.complaints
    market.sound()
    expect(page.locator("#detail .refused")).to_have_count(0, timeout=CHANGE_MS)
    expect(page.locator(".verdict")).to_have_text("All is well", timeout=CHANGE_MS)
    tab.close()
    assert service.process.stop() == 0


def test_the_page_is_live_again_after_a_restart(chromium: Browser, market: Market, tmp_path: Path) -> None:
    """While the service is down, the page says so and keeps its prices; afterwards it is live again by itself."""
    settings = {"exchanges": market.setting, "symbols_file": write_symbols(tmp_path), "port": free_port()}
    service = Service(tmp_path, **settings, **SIZES, **INTERVALS).filled()
    tab = Tab(chromium, service.url)
    page = tab.open()
    connection = page.locator("#connection")
    expect(connection).to_have_text("Live")
    page.wait_for_selector('.rows .row .line[d^="M"]', state="attached")
    assert tab.complaints == []
    assert service.process.stop() == 0
    expect(connection).to_have_text("Reconnecting…")
    expect(page.locator(".verdict")).to_have_text("Not reachable")
    kept = page.inner_text(".rows .row[data-symbol=btcusdt] .price")
    assert kept[0].isdigit()
    again = Service(tmp_path, **settings, **SIZES, **INTERVALS).started()
    expect(connection).to_have_text("Live")
    expect(page.locator(".rows .row[data-symbol=btcusdt] .price")).not_to_have_text(kept)
    expect(page.locator(".verdict")).not_to_have_text("Not reachable")
    assert all("Failed to load resource" in one for one in tab.complaints), tab.complaints
    tab.close()
    assert again.process.stop() == 0
