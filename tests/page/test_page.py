"""The live page in Chromium, on the service as a process: what users see and can do."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.page.conftest import Open
from tests.parts.browser import CHART, PHONE, text_changes, until
from tests.parts.process import wait_for

pytestmark = pytest.mark.real

BTC = '.rows .row[data-symbol="btcusdt"]'
MOST_ROWS = 60  # rows in the DOM, of a thousand in the table


def shown(page: Page) -> list[str]:
    """Return the symbols of the rows in the DOM, in visible order."""
    return [
        str(symbol)
        for symbol in page.eval_on_selector_all(
            ".rows .row:not([hidden])",
            "rows => rows.sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map(row => row.dataset.symbol)",
        )
    ]


def wait_for_rows(page: Page) -> None:
    """Wait until prices are visible."""
    until(page, "performance.getEntriesByName('prices').length > 0")


def test_prices_change_on_screen(tab: Open) -> None:
    """A new price updates the row's text, age and chart, and the counters in the header."""
    page = tab().page
    wait_for_rows(page)
    expect(page.locator("#connection")).to_have_text("Live")
    assert re.fullmatch(r"[\d,]+\.\d\d", text_changes(page, f"{BTC} .price"))
    text_changes(page, f"{BTC} .figure")
    page.wait_for_selector(f'{BTC} .line[d^="M"]', state="attached")
    chart = page.get_attribute(f"{BTC} .line", "d")
    until(page, "([at, old]) => document.querySelector(at).getAttribute('d') !== old", [f"{BTC} .line", chart])
    until(page, "Number(document.querySelector('#rate').textContent) > 20")
    expect(page.locator(f"{BTC} .age")).to_have_text(re.compile(r"^[0-2]s$"))
    expect(page.locator(f"{BTC} .venues")).to_have_text("3")
    expect(page.locator(f"{BTC} .tier")).to_have_text("hot")


def test_a_thousand_assets_and_only_those_in_view(tab: Open) -> None:
    """The table has a thousand rows, the DOM and print only those near the window, as have sparklines."""
    one = tab()
    page = one.page
    wait_for_rows(page)
    expect(page.locator("#table")).to_have_attribute("aria-rowcount", "1001")
    expect(page.locator("#tiers")).to_contain_text("1000")
    page.wait_for_selector(f'{BTC} .line[d^="M"]', state="attached")
    page.focus("#table")
    page.keyboard.press("End")
    last = page.locator('.rows .row[aria-rowindex="1001"]')
    expect(last.locator(".price")).to_have_text(re.compile(r"\d"))
    expect(last.locator('.line[d^="M"]')).to_be_attached()
    assert page.locator(".rows .row").count() <= MOST_ROWS
    sparklines = [asked.partition("=")[2].split(",") for asked in one.asked if asked.startswith("/sparklines")]
    drawn = [symbol for symbols in sparklines for symbol in symbols]
    assert 10 <= len(drawn) <= 4 * MOST_ROWS
    assert len(sparklines) <= 10
    assert len(re.findall(rb"/Type\s*/Page\b", page.pdf())) <= 8  # only these rows, not a page for each ten of them


def test_search_tiers_and_order(tab: Open) -> None:
    """Search finds assets, tiers filter, and columns sort in both directions: on one page, whose start costs most."""
    page = tab().page
    wait_for_rows(page)
    search(page)
    tiers_and_order(page)


def search(page: Page) -> None:
    """Check that search matches base, symbol and written pair, best match first, and says when nothing matches."""
    page.fill("#search", "btc / USDT")
    expect(page.locator("#found")).to_have_text("2 assets")
    assert shown(page) == ["btcusdt", "wbtcusdt"]
    page.fill("#search", "ETH")
    expect(page.locator(".rows .row[aria-rowindex='2'] b")).to_have_text("ETH")
    assert all("eth" in symbol for symbol in shown(page))
    page.fill("#search", "nosuchasset")
    expect(page.locator("#nothing")).to_be_visible()
    assert shown(page) == []
    page.press("#search", "Escape")
    expect(page.locator("#found")).to_have_text("")
    assert shown(page)[0] == "btcusdt"


def tiers_and_order(page: Page) -> None:
    """Check that tier filters and sort orders work in both directions."""
    page.locator("#tiers").get_by_text("Hot").click()
    expect(page.locator("#found")).to_have_text("20 assets")
    assert len(shown(page)) == 20
    page.locator(".head").get_by_role("button", name="Asset").click()
    wait_for(lambda: shown(page) == sorted(shown(page)), what="the order of names")
    page.locator(".head").get_by_role("button", name="Asset").click()
    expect(page.locator("[aria-sort=descending]")).to_have_text("Asset")
    wait_for(lambda: shown(page) == sorted(shown(page), reverse=True), what="the other way round")
    page.locator(".head").get_by_role("button", name="Price").click()
    prices = [
        float(text.replace(",", "")) for text in page.locator(".rows .row:not([hidden]) .price").all_inner_texts()
    ]
    assert max(prices) > 50_000
    expect(page.locator('.rows .row[aria-rowindex="2"] b')).to_have_text("BTC")


def test_a_page_without_answers_yet_says_so(tab: Open) -> None:
    """In place of the table, until the service has told prices or assets; what is wrong with it is not claimed."""
    page = tab().page
    for call in ("assets", "stream", "ready"):
        page.route(f"**/{call}", lambda _: None)  # no answer
    page.reload()
    expect(page.locator("#nothing")).to_have_text("Loading prices\u2026")
    expect(page.locator("#nothing")).to_be_visible()
    expect(page.locator(".verdict")).to_have_text("Asking")
    page.unroute_all()
    page.reload()
    wait_for_rows(page)
    expect(page.locator("#nothing")).to_be_hidden()


def test_what_the_panel_cannot_load_is_asked_again(tab: Open) -> None:
    """Each part says in words what is missing, and has it once the service answers. The browser logs each failure."""
    one = tab()
    page = one.page
    wait_for_rows(page)
    for call in ("sources", "candles?*"):
        page.route(f"**/prices/btcusdt/{call}", lambda route: route.abort())
    page.route("**/trades/btcusdt?*", lambda route: route.abort())
    page.click(f"{BTC} .price")
    sheet = page.locator("#detail")
    expect(sheet.locator(".sources tbody")).to_have_text("No sources: the service cannot be reached")
    expect(sheet.locator(".chart .note")).to_have_text("No prices: the service cannot be reached")
    expect(sheet.locator(".trades .hint").first).not_to_have_text("No trade of this asset yet.")
    page.unroute_all()
    expect(sheet.locator(".sources tbody tr")).to_have_count(3)
    expect(sheet.locator(".chart .note")).to_have_text("")
    one.complaints.clear()


def test_no_venue_is_cut_off(tab: Open) -> None:
    """The venues of an asset with the longest of prices fit in its panel, beside the table and above it."""
    page = tab("/#pepeusdt").page
    expect(page.locator("#detail .sources tbody tr")).to_have_count(3)
    for width in (360, 1100, 1280, 1600):
        page.set_viewport_size({"width": width, "height": 800})
        venues = page.locator("#detail .scroll")
        assert (width, venues.evaluate("one => one.scrollWidth - one.clientWidth")) == (width, 0)
        assert venues.evaluate("one => one.clientWidth") > 250


def test_detail_by_its_address(tab: Open) -> None:
    """An asset's URL opens its panel beside the table: live price, chart of the chosen range, and three venues."""
    page = tab("/#ETHUSDT").page
    sheet = page.locator("#detail")
    expect(sheet.locator("h2")).to_have_text("ETH / USDT")
    expect(sheet.locator(".title")).to_contain_text("#2")
    expect(sheet.locator(".sources tbody tr")).to_have_count(3)
    assert sheet.locator(".sources tbody th").all_inner_texts() == ["exchange1", "exchange2", "exchange3"]
    weights = [float(text.rstrip(" %")) for text in sheet.locator("td.weight").all_inner_texts()]
    assert 99 < sum(weights) < 101
    page.wait_for_selector(CHART)
    expect(page.locator("#detail .venue-lines")).to_have_text("exchange1exchange2exchange3")
    assert page.locator("#detail canvas").count() >= 2
    text_changes(page, "#detail .amount")
    text_changes(page, "#detail .sources tbody td")
    with page.expect_response(re.compile(r"/prices/ethusdt/candles\?interval=1h&")) as answer:
        sheet.get_by_text("1w", exact=True).click()
    assert answer.value.status == 200
    page.wait_for_selector(CHART)
    page.click(".rows .row[data-symbol=btcusdt] .price")
    expect(sheet.locator("h2")).to_have_text("BTC / USDT")
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    until(page, "location.hash === ''")
    page.click(".rows .row[data-symbol=btcusdt] .price")
    expect(sheet).to_be_visible()
    assert page.evaluate("scrollY") == 0, "a click on a row leaves the table where it is"


def test_by_keyboard_alone(tab: Open) -> None:
    """Keyboard: / searches, arrows select, Enter opens, Escape closes, and the browser's back button works."""
    page = tab().page
    wait_for_rows(page)
    page.keyboard.press("/")
    page.keyboard.type("usdc")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    selected = page.locator(".rows .row[aria-selected]")
    expect(selected).to_have_attribute("aria-rowindex", "3")  # the second row, drawn in the next frame
    chosen = selected.get_attribute("data-symbol")
    assert chosen == shown(page)[1]
    assert page.get_attribute("#table", "aria-activedescendant") == page.get_attribute(".row[aria-selected]", "id")
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_visible()
    assert page.evaluate("location.hash") == f"#{chosen}"
    page.wait_for_selector(CHART)
    page.focus(CHART)
    page.keyboard.press("ArrowLeft")
    expect(page.locator(CHART)).to_have_attribute("aria-label", re.compile(r"^Chart: .* O [\d.,]+ H "))
    page.keyboard.press("Escape")
    expect(page.locator("#detail")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "table"
    until(page, "location.hash === ''")
    page.go_forward()
    expect(page.locator("#detail")).to_be_visible()
    page.go_back()
    expect(page.locator("#detail")).to_be_hidden()


def test_on_a_phone(tab: Open) -> None:
    """On a phone the page is no wider than the screen, rows show the essentials, and a tap opens the detail."""
    page = tab("/", PHONE, has_touch=True).page
    wait_for_rows(page)
    wide = "document.documentElement.scrollWidth > innerWidth"
    assert not page.evaluate(wide)
    for part in ("price", "day", "spark", "watch"):
        expect(page.locator(f"{BTC} .{part}")).to_be_visible()
    page.tap(f"{BTC} .asset")
    expect(page.locator("#detail .sources tbody tr")).to_have_count(3)
    assert page.evaluate("document.querySelector('.sheet').scrollWidth") <= PHONE[0]
    assert page.evaluate("document.querySelector('#detail .scroll').scrollWidth") <= PHONE[0]


def test_an_hour_of_prices_takes_no_more_room_than_a_minute(tab: Open) -> None:
    """After some hundreds of prices, heap, DOM and listeners are as many as before."""
    one = tab()
    wait_for_rows(one.page)
    until(one.page, "Number(document.querySelector('#rate').textContent) > 120")  # all lazy parts are drawn then
    heap, nodes, listeners = one.heap()
    until(one.page, "Number(document.querySelector('#rate').textContent) > 360")

    def is_as_large() -> bool:
        later, more, listening = one.heap()
        return later <= 1.2 * heap and more <= 1.1 * nodes and listening <= 1.02 * listeners

    wait_for(is_as_large, what="heap, document, listeners as before")  # elements just drawn are released later
