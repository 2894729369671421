"""What people open in a browser: the live page at /, and the document of the API at /docs.

Nothing comes from another host, and the browser is told so: it runs and shows what these routes send and nothing else.
"""

from importlib import metadata
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from aggregator.api.files import Files, media_of

_PAGE = Path(__file__).with_name("page")
LIBRARY = ("swagger-ui-bundle.js", "swagger-ui.css")
_ONLY_OURS = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; "
)
_PAGE_POLICY = _ONLY_OURS + "img-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
# The library draws its arrows from data: addresses in its style sheet, and writes HTML that it has made harmless.
_DOCS_POLICY = _ONLY_OURS + "img-src 'self' data:"
_HEADERS = {
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def page_files() -> tuple[str, ...]:
    """Return the names of the files the pages are made of."""
    return tuple(sorted(path.name for path in _PAGE.iterdir() if media_of(path) and path.suffix != ".html"))


class BrowserRoutes:
    """The routes to the pages and to what they load."""

    def __init__(self) -> None:
        page = _HEADERS | {"Content-Security-Policy": _PAGE_POLICY}
        docs = _HEADERS | {"Content-Security-Policy": _DOCS_POLICY}
        self._page = Files(_PAGE, ["index.html"], page)
        self._page_files = Files(_PAGE, page_files(), page)
        self._docs = Files(_PAGE, ["docs.html"], docs)
        self._library = Files(_library(), LIBRARY, docs)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/", self.page),
            Route("/page/{file}", self.page_file),
            Route("/docs", self.docs),
            Route("/docs/{file}", self.docs_file),
        ]

    async def page(self, request: Request) -> Response:
        """GET /: prices as they change."""
        return await self._page.answer(request, "index.html")

    async def page_file(self, request: Request) -> Response:
        """GET /page/{file}: what the pages load."""
        return await self._page_files.answer(request, request.path_params["file"])

    async def docs(self, request: Request) -> Response:
        """GET /docs: the document of /openapi.json, to be read and tried."""
        return await self._docs.answer(request, "docs.html")

    async def docs_file(self, request: Request) -> Response:
        """GET /docs/{file}: Swagger UI, out of the package that brings it."""
        return await self._library.answer(request, request.path_params["file"])


def _library() -> Path:
    """Return the folder of the library; its package is for another framework, so it is not imported."""
    return Path(str(metadata.distribution("flask-swagger-ui").locate_file("flask_swagger_ui/dist")))
