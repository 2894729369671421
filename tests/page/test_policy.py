"""The content security policy: pages load nothing from other hosts and run no foreign script."""

import pytest
from playwright.sync_api import Browser, expect

from tests.page.conftest import Open
from tests.parts.browser import Tab, until
from tests.parts.service import Service

pytestmark = pytest.mark.real

VIOLATIONS = """
window.violated = [];
document.addEventListener("securitypolicyviolation", (event) => violated.push(event.effectiveDirective));
"""


@pytest.mark.parametrize(("path", "handler"), [("/", "require-trusted-types-for"), ("/docs", "script-src-attr")])
def test_the_policy_holds(chromium: Browser, service: Service, path: str, handler: str) -> None:
    """An injected script, style or image is blocked; the page's own files are not."""
    tab = Tab(chromium, service.url)
    tab.page.add_init_script(VIOLATIONS)
    page = tab.open(path)
    page.wait_for_selector('.opblock, .rows .row .line[d^="M"]', state="attached")
    assert page.evaluate("violated") == []
    page.evaluate("""() => {
        const put = (tag, more) => document.body.append(Object.assign(document.createElement(tag), more));
        put("style", { textContent: "body { display: none }" });
        put("img", { src: "http://elsewhere.invalid/x.png" });
        try {
            document.body.setAttribute("onclick", "window.ran = true");
        } catch {} // where the policy refuses even the text of a script
        document.body.click();
        fetch("http://elsewhere.invalid/").catch(() => {});
    }""")
    until(page, "violated.length >= 4")
    assert {"style-src-elem", "img-src", handler, "connect-src"} == set(page.evaluate("violated"))
    assert page.evaluate("window.ran") is None
    tab.close()


def test_docs(tab: Open) -> None:
    """/docs shows the whole OpenAPI document, and a call can be tried from it."""
    page = tab("/docs").page
    call = page.locator("#operations-prices-getPrice")
    expect(call).to_contain_text("/prices/{asset}")
    expect(page.locator("#operations-history-getCandles")).to_be_visible()
    call.locator(".opblock-summary-control").click()
    call.get_by_placeholder("asset").fill("btcusdt")
    call.get_by_role("button", name="Execute").click()
    expect(call.locator(".live-responses-table .response .response-col_status")).to_contain_text("200")
    expect(call.locator(".live-responses-table")).to_contain_text('"asset"')
