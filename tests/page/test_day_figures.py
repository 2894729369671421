"""The 24-hour figures on the page: change with its sign and colour, high, low and volume, or why there are none."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.page.conftest import Open, seven_assets
from tests.parts.browser import text_changes
from tests.parts.exchanges import Market
from tests.parts.service import Service
from tests.parts.stored_day import write_day

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def service(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service with seven assets; BTC has stored prices of the last 24 hours."""
    folder = tmp_path_factory.mktemp("service")
    write_day(folder)
    with seven_assets(folder, shared_market) as running:
        yield running


def test_in_the_table_and_in_the_panel(tab: Open, service: Service) -> None:
    """The change is that of the API, its colour that of its sign, and it moves with the price."""
    one = tab("/")
    page = one.page
    row = page.locator('.rows .row[data-symbol="btcusdt"]')
    cell = row.locator(".day")
    expect(cell.locator("small")).to_be_hidden()
    expect(cell.locator(".figure")).to_have_text(re.compile(r"^[+\u2212][\d,]+\.\d\d %$"))
    shown = service.get("/prices/btcusdt?details=true").json
    sign = "+" if shown["change_24h"] > 0 else "\u2212"
    assert cell.inner_text().startswith(sign)
    expect(cell).to_have_attribute("data-way", "1" if sign == "+" else "-1")
    assert cell.get_attribute("title") is None
    expect(page.locator(".head .range")).to_be_visible()
    expect(row.locator(".range")).to_have_text("1,234,567.501.25000")
    expect(row.locator(".volume").first).to_have_text(re.compile(r"^[\d.]+[KMBT]?$"))
    expect(page.locator("#movers small").first).to_have_text("since oldest price")  # of most assets
    assert len(service.get("/sparklines?assets=btcusdt").json["sparklines"][0]["prices"]) >= 3
    page.evaluate("location.hash = 'btcusdt'")
    expect(page.locator("#detail .now .change")).to_have_text(re.compile(rf"^\{sign}[\d,]+\.\d\d %$"))
    values = page.locator("#detail .numbers dd")
    expect(values.nth(0)).to_have_text("1,234,567.50")
    expect(values.nth(1)).to_have_text("1.25000")
    expect(values.nth(2)).to_have_text(re.compile(r"^[\d.,]+[KMBT]?( BTC)?$"))
    text_changes(page, "#detail .now .change")


def test_a_young_history_is_told(tab: Open) -> None:
    """The change since the oldest known price, with that time, and the reason as its title; the volume is there."""
    page = tab("/#ethusdt").page
    young = "No price of 24 hours ago is stored yet"
    cell = page.locator('.rows .row[data-symbol="ethusdt"] .day')
    expect(cell).to_have_attribute("title", young)
    expect(cell.locator("small")).to_have_text(re.compile(r"^over \d+ (s|min)$"))
    values = page.locator("#detail .numbers dd")
    for place in (values.nth(0), values.nth(1)):
        expect(place).to_have_text("\u2013")
        expect(place).to_have_attribute("title", young)
    expect(values.nth(2)).to_have_text(re.compile(r"\d"))


def test_figures_are_requested_for_what_is_in_view(tab: Open) -> None:
    """In one request for all rows."""
    one = tab("/")
    expect(one.page.locator('.rows .row[data-symbol="btcusdt"] .day')).to_have_text(re.compile(r"\d"))
    asked = [path for path in one.asked if "details=true" in path]
    assert 1 <= len(asked) <= 4
    assert "btcusdt" in asked[0]
