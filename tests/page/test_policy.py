"""The content security policy: pages load nothing from other hosts and run no foreign script."""

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.parts.browser import Tab, until
from tests.parts.service import Service

pytestmark = pytest.mark.real

VIOLATIONS = """
window.violated = [];
document.addEventListener("securitypolicyviolation", (event) => violated.push(event.effectiveDirective));
"""


def watched(chromium: Browser, service: Service, path: str) -> Tab:
    """Open a path in a tab that lists violations of the policy."""
    tab = Tab(chromium, service.url)
    tab.page.add_init_script(VIOLATIONS)
    tab.open(path)
    return tab


def check(page: Page, handler: str) -> None:
    """Check that nothing has violated the policy, and that an injected script, style and image are blocked."""
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


def test_the_policy_holds(chromium: Browser, service: Service) -> None:
    """An injected script, style or image is blocked; the page's own files are not."""
    tab = watched(chromium, service, "/")
    tab.page.wait_for_selector('.rows .row .line[d^="M"]', state="attached")
    check(tab.page, "require-trusted-types-for")
    tab.close()


def test_docs(chromium: Browser, service: Service) -> None:
    """/docs shows the whole OpenAPI document, and a call can be tried from it; the policy holds there, too."""
    tab = watched(chromium, service, "/docs")
    page = tab.page
    call = page.locator("#operations-prices-getPrice")
    expect(call).to_contain_text("/prices/{asset}")
    expect(page.locator("#operations-history-getCandles")).to_be_visible()
    call.locator(".opblock-summary-control").click()
    call.get_by_placeholder("asset").fill("btcusdt")
    call.get_by_role("button", name="Execute").click()
    expect(call.locator(".live-responses-table .response .response-col_status")).to_contain_text("200")
    expect(call.locator(".live-responses-table")).to_contain_text('"asset"')
    assert tab.complaints == []
    check(page, "script-src-attr")
    tab.close()
