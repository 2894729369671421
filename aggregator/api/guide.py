"""GET /guide and its files: the documentation as a site, where the installation has it.

`scripts/guide.sh` builds the site from docs/ into the folder `guide` beside this module. The image has it; a clone, and
a wheel made from it, have it once it was built.
"""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.api.pages import HEADERS, Files, media_of, policy
from aggregator.api.routing.description import Parameter, Response, text
from aggregator.api.routing.responses import Code, Refusal, refuse
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import ETAG, IF_NONE_MATCH, NO_CACHE, POLICY, refusal

GUIDE = Path(__file__).with_name("guide")
_MEDIA = ("text/html", "text/css", "text/javascript", "image/svg+xml", "image/png")
START = "docs/index.html"
NOT_BUILT = Refusal(
    "This installation has no guide. In a clone, scripts/guide.sh builds it; the folder docs has the same text",
    Code.NOT_FOUND,
)
# Furo has icons as data: URLs in its style sheet, and the search is a form that opens another page of the site.
_POLICY = policy(images="'self' data:", forms="'self'")
_FILE_HEADERS = (ETAG, NO_CACHE, POLICY)
_NOT_FOUND = refusal("There is no such file, or no guide in this installation", NOT_BUILT)


class GuideRoutes:
    """The routes for the site in a folder. Its files are listed at the start: no other path of the disk is opened."""

    def __init__(self, folder: Path = GUIDE) -> None:
        names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if media_of(path)]
        self.is_built = START in names
        self._files = Files(folder, names, HEADERS | {"Content-Security-Policy": _POLICY})

    def routes(self) -> list[Route]:
        """Return the routes."""
        return routes_of(self)

    @Route(
        "GET",
        "/guide",
        label="/guide",
        operation_id="getGuide",
        tag="pages",
        summary="The documentation as a site",
        responses={
            307: Response("The first page of the site is at `Location`. No body"),
            404: refusal("This installation has no guide", NOT_BUILT),
        },
        access="open",
    )
    async def guide(self, _: Request) -> HttpResponse:
        """Return a redirect to the first page. It is relative, so that it holds behind a proxy with a path."""
        if not self.is_built:
            raise refuse(404, NOT_BUILT)
        return _redirect(f"guide/{START}")

    @Route(
        "GET",
        "/guide/{file:path}",
        label="/guide",
        operation_id="getGuideFile",
        tag="pages",
        summary="A file of the documentation",
        parameters=[
            Parameter("file", "path", "The path of the file in the site", {"type": "string"}, required=True),
            IF_NONE_MATCH,
        ],
        responses={
            200: Response(
                "The file",
                tuple(text(media) for media in _MEDIA),
                _FILE_HEADERS,
            ),
            304: Response("The file that the client has is current. No body", headers=_FILE_HEADERS),
            307: Response("Without a file: the first page of the site is at `Location`. No body"),
            404: _NOT_FOUND,
        },
        access="open",
    )
    async def guide_file(self, request: Request) -> HttpResponse:
        """Return a page, style sheet, script or image of the site."""
        if not self.is_built:
            raise refuse(404, NOT_BUILT)
        if not request.path_params["file"]:
            return _redirect(START)  # the page's own links are relative to its folder
        return await self._files.answer(request, request.path_params["file"])


def _redirect(to: str) -> HttpResponse:
    return HttpResponse(status_code=307, headers=HEADERS | {"Location": to})
