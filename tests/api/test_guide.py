"""GET /guide: the files of a built site and no others, or a sentence that says how to build it."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from aggregator.api.app import build
from aggregator.api.guide import GuideRoutes
from aggregator.observability.metrics import Metrics
from tests.parts import asgi


def application(folder: Path) -> ASGIApp:
    """Return an application of the site in a folder."""
    return build(GuideRoutes(folder).routes(), Metrics(CollectorRegistry()))


@pytest.fixture
def app(tmp_path: Path) -> ASGIApp:
    """Return the application of a site with a page and a style sheet, beside files that are not of the site."""
    site = tmp_path / "guide"
    for name, content in {"docs/index.html": "<p>start", "_static/guide.css": "p {}", "docs/.buildinfo": "x"}.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (tmp_path / "secret.html").write_text("secret", encoding="utf-8")
    return application(site)


async def test_the_guide_begins_at_its_first_page(app: ASGIApp) -> None:
    """The redirect is relative; that of the folder as well, because the links of the page are."""
    answer = await asgi.get(app, "/guide")
    assert (answer.status, answer.headers["location"]) == (307, "guide/docs/index.html")
    answer = await asgi.get(app, "/guide/")
    assert (answer.status, answer.headers["location"]) == (307, "docs/index.html")


@pytest.mark.parametrize(
    ("path", "media"), [("/guide/docs/index.html", "text/html"), ("/guide/_static/guide.css", "text/css")]
)
async def test_a_file_comes_with_the_headers_of_pages(app: ASGIApp, path: str, media: str) -> None:
    """It is revalidated, and the policy allows no other host and no inline script."""
    answer = await asgi.get(app, path)
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, media)
    assert answer.headers["cache-control"] == "no-cache"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
    assert "unsafe" not in policy
    again = await asgi.get(app, path, {"If-None-Match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/guide/../secret.html",
        "/guide/%2e%2e/secret.html",
        "/guide/docs/../../secret.html",
        "/guide/..%2fsecret.html",
        "/guide//docs/index.html",
        "/guide/docs/.buildinfo",
        "/guide/docs",
        "/guide/nosuch.html",
    ],
)
async def test_no_other_file_is_served(app: ASGIApp, path: str) -> None:
    """Neither from outside of the folder nor of a type that the site does not have."""
    answer = await asgi.get(app, path)
    assert (answer.status, answer.body) == (404, b'{"msg":"Not Found","code":"not_found"}')


@pytest.mark.parametrize("path", ["/guide", "/guide/", "/guide/docs/index.html"])
async def test_an_installation_without_the_guide_says_so(tmp_path: Path, path: str) -> None:
    """The refusal names the command that builds it."""
    answer = await asgi.get(application(tmp_path / "nosuch"), path)
    assert answer.status == 404
    assert "scripts/guide.sh" in answer.json["msg"]
