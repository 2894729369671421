"""Choices of a user on the page: watchlist, quote, columns, CSV, the details of the status; and axe-core's rules."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.conftest import Open, seven_assets
from tests.parts.browser import CHART, PHONE, Tab
from tests.parts.exchanges import Market
from tests.parts.process import ROOT
from tests.parts.service import Service

pytestmark = pytest.mark.real

AXE = ROOT / "tests" / "node_modules" / "axe-core" / "axe.min.js"
BTC = '.rows .row[data-symbol="btcusdt"]'
RULES = (
    "async () => (await axe.run()).violations.map(one => one.id + ': ' + one.nodes.map(node => node.html).join(' | '))"
)


@pytest.fixture(scope="module")
def service(shared_market: Market, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the service with seven assets whose base and quote are known."""
    with seven_assets(tmp_path_factory.mktemp("service"), shared_market, with_sides=True) as running:
        yield running


def rows(page: Page) -> list[str]:
    """Return the symbols that are shown, in order."""
    listed = page.locator(".rows .row:not([hidden])")
    return [str(one) for one in listed.evaluate_all("rows => rows.map(row => row.dataset.symbol)")]


def test_a_watchlist_is_kept(tab: Open) -> None:
    """A star or the key W adds an asset; the list filters, and is there after a reload, as is the choice of columns."""
    page = tab().page
    page.click(f"{BTC} .star")
    expect(page.locator("#watched")).to_contain_text("1")
    page.focus("#table")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("w")
    expect(page.locator("#watched")).to_contain_text("2")
    expect(page.locator(".head .range")).to_be_hidden()  # no asset has a high and a low of 24 hours yet
    page.click("#columns summary")
    page.get_by_role("checkbox", name="Venue gap").uncheck()
    expect(page.locator(f"{BTC} .gap")).to_be_hidden()
    page.reload()
    page.click("#watched")
    expect(page.locator("#found")).to_have_text("2 assets")
    expect(page.locator(f"{BTC} .gap")).to_be_hidden()
    page.click(f"{BTC} .star")
    expect(page.locator("#found")).to_have_text("1 asset")


def test_quotes_and_csv(tab: Open) -> None:
    """The rows of one quote asset, and the same rows as a file."""
    page = tab().page
    expect(page.locator("#quote option").nth(1)).to_be_attached()
    quote = page.locator("#quote option").nth(1).get_attribute("value")
    assert quote
    page.select_option("#quote", quote)
    expect(page.locator(".rows .row:not([hidden])").first).to_be_visible()
    with page.expect_download() as saved:
        page.click("#csv")
    head, *lines = saved.value.path().read_text("utf-8").splitlines()
    assert head.startswith("asset,base,quote,price,timestamp,change_24h_percent,")
    assert sorted(line.split(",")[0] for line in lines) == sorted(rows(page))
    assert {line.split(",")[2] for line in lines} == {quote}


def test_the_status_line_and_the_banner(tab: Open) -> None:
    """One line says how the service does; its details open by keyboard, Escape closes them. A banner says: invented."""
    page = tab().page
    expect(page.locator("#invented")).to_be_visible()
    expect(page.locator(".cause")).to_have_text("all 7 assets priced from 3 venues")
    expect(page.locator("#service .panel")).to_be_hidden()
    page.focus("#service summary")
    page.keyboard.press("Enter")
    expect(page.locator(".exchanges li span")).to_have_text(["ok", "ok", "ok"])
    page.keyboard.press("Escape")
    expect(page.locator("#service .panel")).to_be_hidden()
    expect(page.locator("#movers li:visible")).not_to_have_count(0)


@pytest.mark.parametrize(
    ("size", "scheme"), [pytest.param((1440, 900), "dark", marks=pytest.mark.long), (PHONE, "light")]
)
def test_axe_finds_nothing(chromium: Browser, service: Service, size: tuple[int, int], scheme: str) -> None:
    """No rule of axe-core is broken, with the status open and with an asset open; a phone shows a row at once."""
    tab = Tab(chromium, service.url, size, color_scheme=scheme, bypass_csp=True)  # axe-core writes HTML
    page = tab.open()
    expect(page.locator(f"{BTC} .price")).to_contain_text(".")
    assert page.locator(BTC).bounding_box()["y"] < size[1] / 2  # type: ignore[index]  # it is visible
    page.evaluate(AXE.read_text("utf-8"))
    page.click("#service summary")
    expect(page.locator(".exchanges li")).to_have_count(3)
    assert page.evaluate(RULES) == []
    page.keyboard.press("Escape")
    page.evaluate("location.hash = 'btcusdt'")
    page.wait_for_selector(CHART)
    expect(page.locator("#detail .sources tbody tr")).to_have_count(3)
    assert page.evaluate(RULES) == []
    tab.close()


def test_light_and_dark(tab: Open) -> None:
    """The theme follows the system until the user chooses one, which is stored."""
    page = tab("/", color_scheme="dark").page
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Switch to light").click()
    light = page.evaluate(ground)
    assert light != dark
    page.reload()
    assert page.evaluate(ground) == light
    assert page.get_by_role("button", name="Switch to dark").is_visible()
