"""Trades that the service takes in, as the page shows them: from POST /ingest to the tape, with nothing in between."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.parts.browser import Tab
from tests.parts.exchanges import Market
from tests.parts.service import Service, call
from tests.parts.short_list import INTERVALS, SIZES, write_symbols

pytestmark = pytest.mark.real

TAPE = "#detail .tape tbody tr"
MANY = 1300  # trades
VOLUMES = [10, 12, 9, 11, 10, 12, 8, 10]


def start(folder: Path, market: Market) -> Service:
    """Run the service with seven assets and a store of trades in this folder."""
    settings = {"symbols_file": write_symbols(folder), "trades_url": f"sqlite:///{folder}/trades.db"}
    return Service(folder, exchanges=market.setting, **settings, **SIZES, **INTERVALS).filled()


@pytest.fixture
def service(shared_market: Market, tmp_path: Path) -> Iterator[Service]:
    """Run the service."""
    shared_market.sound()
    running = start(tmp_path, shared_market)
    yield running
    assert running.process.stop() == 0, running.process.output
    assert "Traceback" not in running.process.output


def send(service: Service, *trades: dict[str, object]) -> None:
    """POST trades; every one of them must be stored."""
    body = "\n".join(json.dumps(trade) for trade in trades).encode()
    answer = call("POST", f"{service.url}/ingest", {"Content-Type": "application/x-ndjson"}, body)
    assert (answer.status, answer.json["rejected"]) == (200, []), answer.text


def a_trade(number: int, volume: float, at: float) -> dict[str, object]:
    """Return a trade of btcusdt as senders write it."""
    shown = {"asset": "btcusdt", "price": 50_000 + number, "volume": volume, "timestamp": at, "venue": "desk"}
    return {**shown, "id": f"t{number}", "side": "buy" if number % 2 else "sell"}


def test_from_ingest_to_the_page(chromium: Browser, service: Service) -> None:
    """Stored trades and later ones are on the tape; gauges, volume and the mark of an unusual volume follow."""
    now = time.time() - 2
    send(service, *(a_trade(number, volume, now + number / 10) for number, volume in enumerate(VOLUMES)))
    tab = Tab(chromium, service.url)
    page = tab.open("/#btcusdt")
    rows = page.locator(TAPE)
    expect(rows).to_have_count(len(VOLUMES))
    assert rows.first.locator("td").all_inner_texts()[1:] == ["50,007.00", "10", "+ buy", "desk"]
    frequency = page.locator('#detail [data-name="trade_frequency"] dd')
    expect(frequency).to_have_text("8")
    expect(page.locator('#detail [data-name="price_momentum"] dd')).to_have_text("warming up")
    badge = page.locator('.rows .row[data-symbol="btcusdt"] .is-volume')
    expect(badge).to_be_hidden()
    send(service, a_trade(8, 90, time.time()))
    expect(rows).to_have_count(len(VOLUMES) + 1)
    expect(rows.first).to_contain_text("50,008.00")
    expect(frequency).to_have_text("9")
    expect(badge).to_have_attribute("aria-label", re.compile("^Unusual volume"))
    page.locator("#detail").get_by_text("1w", exact=True).click()
    expect(page.locator("#detail .legend")).to_contain_text("Vol 172")
    page.evaluate("location.hash = 'ethusdt'")
    expect(page.locator("#detail .trades")).to_contain_text("No trade of this asset yet.")
    assert tab.complaints == []
    tab.close()


def test_the_volume_of_more_trades_than_the_page_loads(chromium: Browser, service: Service) -> None:
    """The volume of an interval has all of its trades, of which the page loads a thousand, and later ones."""
    hour = time.time() // 3600 * 3600
    numbers = range(MANY)
    send(service, *(a_trade(number, 2, max(hour, time.time() - 30) + number / 1000) for number in numbers))
    tab = Tab(chromium, service.url)
    page = tab.open("/#btcusdt")
    expect(page.locator(TAPE)).to_have_count(200)
    page.locator("#detail").get_by_text("1w", exact=True).click()
    legend = page.locator("#detail .legend")
    expect(legend).to_contain_text("Vol 2.6K")
    send(service, a_trade(MANY, 400, time.time()))
    expect(legend).to_contain_text("Vol 3K")
    assert tab.complaints == []
    tab.close()
