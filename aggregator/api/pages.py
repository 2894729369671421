"""GET / and /docs with their files: the live page, and the API documentation.

No file comes from another host. The Content-Security-Policy header makes the browser load files of these routes only.
"""

import asyncio
import gzip
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.routing.compression import ACCEPT, GZIP
from aggregator.api.routing.description import Parameter, Response, text
from aggregator.api.routing.replies import matches
from aggregator.api.routing.responses import Code, Refusal, accepts, refuse
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import ETAG, IF_NONE_MATCH, NO_CACHE, POLICY, refusal

_MEDIA = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}
_NO_FILE = Refusal("Not Found", Code.NOT_FOUND)
_SMALL = 1000  # bytes; compressing fewer gains nothing


class _File(msgspec.Struct, frozen=True):
    """The content of a file, plain and compressed."""

    media: str
    etag: bytes
    raw: bytes
    packed: bytes


class Files:
    """The named files of a folder, edited by `edit`; every other name is 404. Each response has the given headers."""

    def __init__(
        self,
        folder: Path,
        names: Iterable[str],
        headers: Mapping[str, str],
        edit: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._paths = {name: folder / name for name in names}
        self._headers = dict(headers) | {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        self._edit = edit
        self._read: dict[str, _File] = {}

    async def answer(self, request: Request, name: str) -> HttpResponse:
        """Return the file, or 304 if the client has it. Raises the response 404."""
        path = self._paths.get(name)
        if path is None:
            raise refuse(404, _NO_FILE)
        file = self._read.get(name)
        if file is None:  # in a thread: compressing Swagger UI's script takes long
            file = self._read[name] = await asyncio.to_thread(_read, path, self._edit)
        headers = self._headers | {"ETag": file.etag.decode()}
        seen = request.headers.get("if-none-match", "").encode()
        if seen and matches(file.etag, seen):
            return HttpResponse(status_code=304, headers=headers)
        if len(file.raw) > _SMALL and accepts(request.headers, ACCEPT, GZIP):
            return HttpResponse(file.packed, headers=headers | {"Content-Encoding": "gzip"}, media_type=file.media)
        return HttpResponse(file.raw, headers=headers, media_type=file.media)


def media_of(path: Path) -> str | None:
    """Return the media type of a file, or None if its suffix is not served."""
    return _MEDIA.get(path.suffix)


def _read(path: Path, edit: Callable[[bytes], bytes]) -> _File:
    raw = edit(path.read_bytes())
    etag = b'W/"%b"' % hashlib.blake2b(raw, digest_size=12).hexdigest().encode()
    return _File(_MEDIA[path.suffix], etag, raw, gzip.compress(raw, 6, mtime=0))


_PAGE = Path(__file__).with_name("page")
_GUIDE_LINK = re.compile(rb' *<a [^>]*href="/guide">Guide</a>\n?')
_HIDDEN_BANNER, _BANNER = b'id="invented" hidden>', b'id="invented">'
LIBRARY = ("swagger-ui-bundle.js", "swagger-ui.css")


def policy(*, images: str, forms: str = "'none'") -> str:
    """Return a Content-Security-Policy of our own files only, without inline script and style."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
        f"form-action {forms}; frame-ancestors 'none'; img-src {images}"
    )


_PAGE_POLICY = policy(images="'self'") + "; require-trusted-types-for 'script'; trusted-types 'none'"
# Swagger UI has images as data: URLs in its style sheet, and writes HTML (sanitised), so no trusted-types here.
_DOCS_POLICY = policy(images="'self' data:")
HEADERS = {
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def page_files() -> tuple[str, ...]:
    """Return the names of the files that the pages load."""
    return tuple(sorted(path.name for path in _PAGE.iterdir() if media_of(path) and path.suffix != ".html"))


_FILE_HEADERS = (ETAG, NO_CACHE, POLICY)
_NOT_MODIFIED = Response("The file that the client has is current. No body", headers=_FILE_HEADERS)
_NOT_FOUND = refusal("There is no such file", _NO_FILE)


def _file(*media_types: str) -> Response:
    """Return the description of a response that is a file."""
    return Response("The file", tuple(text(media_type) for media_type in media_types), _FILE_HEADERS)


def _name(names: tuple[str, ...]) -> Parameter:
    """Return the description of the path parameter that is the name of a file."""
    return Parameter("file", "path", "The name of the file", {"type": "string", "enum": list(names)}, required=True)


class BrowserRoutes:
    """The routes for the pages and for the files that they load. Without the guide they have no link to it.

    The page of an invented market says so from its first byte on, and not only once it has asked /ready.
    """

    def __init__(self, *, has_guide: bool, invented_market: bool = False) -> None:
        page = HEADERS | {"Content-Security-Policy": _PAGE_POLICY}
        docs = HEADERS | {"Content-Security-Policy": _DOCS_POLICY}
        edit: Callable[[bytes], bytes] = bytes if has_guide else _without_guide
        self._page = Files(_PAGE, ["index.html"], page, lambda raw: _told(edit(raw)) if invented_market else edit(raw))
        self._page_files = Files(_PAGE, page_files(), page)
        self._docs = Files(_PAGE, ["docs.html"], docs, edit)
        self._library = Files(_library(), LIBRARY, docs)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return routes_of(self)

    @Route(
        "GET",
        "/",
        label="/",
        operation_id="getPage",
        tag="pages",
        summary="A page with live prices",
        parameters=[IF_NONE_MATCH],
        responses={200: _file("text/html"), 304: _NOT_MODIFIED},
        access="open",
    )
    async def page(self, request: Request) -> HttpResponse:
        """Return the live page."""
        return await self._page.answer(request, "index.html")

    @Route(
        "GET",
        "/page/{file}",
        label="/page",
        operation_id="getPageFile",
        tag="pages",
        summary="A file that the pages load",
        parameters=[_name(page_files()), IF_NONE_MATCH],
        responses={
            200: _file("text/css", "text/javascript", "image/svg+xml"),
            304: _NOT_MODIFIED,
            404: _NOT_FOUND,
        },
        access="open",
    )
    async def page_file(self, request: Request) -> HttpResponse:
        """Return a style sheet, script or image of the pages."""
        return await self._page_files.answer(request, request.path_params["file"])

    @Route(
        "GET",
        "/docs",
        label="/docs",
        operation_id="getDocs",
        tag="pages",
        summary="A page that shows this document and sends requests",
        parameters=[IF_NONE_MATCH],
        responses={200: _file("text/html"), 304: _NOT_MODIFIED},
        access="open",
    )
    async def docs(self, request: Request) -> HttpResponse:
        """Return the page that shows /openapi.json with Swagger UI."""
        return await self._docs.answer(request, "docs.html")

    @Route(
        "GET",
        "/docs/{file}",
        label="/docs",
        operation_id="getDocsFile",
        tag="pages",
        summary="A file of Swagger UI, which shows this document",
        parameters=[_name(LIBRARY), IF_NONE_MATCH],
        responses={200: _file("text/css", "text/javascript"), 304: _NOT_MODIFIED, 404: _NOT_FOUND},
        access="open",
    )
    async def docs_file(self, request: Request) -> HttpResponse:
        """Return a file of Swagger UI."""
        return await self._library.answer(request, request.path_params["file"])


def _without_guide(page: bytes) -> bytes:
    return _GUIDE_LINK.sub(b"", page)


def _told(page: bytes) -> bytes:
    return page.replace(_HIDDEN_BANNER, _BANNER)


def _library() -> Path:
    """Return the folder of Swagger UI. Its package is for Flask, so it is located and not imported."""
    return Path(str(metadata.distribution("flask-swagger-ui").locate_file("flask_swagger_ui/dist")))
