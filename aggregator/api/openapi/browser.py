"""What is said of the routes for browsers."""

from aggregator.api.browser_headers import LIBRARY, page_files
from aggregator.api.openapi.parts import Json, Operations, operation, ref, refusal, response

_TAG = "pages"
_TEXT: Json = {"schema": {"type": "string"}}
_SENT = ("ETag", "NoCache", "Policy")


def _opened(name: str, summary: str) -> Json:
    """Return the operation of a page that has one address."""
    found = response("The page", {"text/html": _TEXT}, _SENT)
    return operation(name, _TAG, summary, {"200": found, "304": _NOT_MODIFIED}, [ref("parameters", "IfNoneMatch")])


def _loaded(name: str, summary: str, files: tuple[str, ...], media: tuple[str, ...]) -> Json:
    """Return the operation of files that a page loads."""
    file: Json = {"name": "file", "in": "path", "description": "Its name", "required": True}
    file["schema"] = {"type": "string", "enum": list(files)}
    answers = {
        "200": response("The file", dict.fromkeys(media, _TEXT), _SENT),
        "304": _NOT_MODIFIED,
        "404": refusal("There is no such file", "Not Found"),
    }
    return operation(name, _TAG, summary, answers, [file, ref("parameters", "IfNoneMatch")])


_NOT_MODIFIED = response("What you have still holds; no body", sent=_SENT)

OPERATIONS: Operations = {
    "GET /": _opened("getPage", "Prices as they change, to look at"),
    "GET /page/{file}": _loaded(
        "getPageFile", "What the pages load", page_files(), ("text/css", "text/javascript", "image/svg+xml")
    ),
    "GET /docs": _opened("getDocs", "This document, to be read and tried"),
    "GET /docs/{file}": _loaded("getDocsFile", "The library that shows it", LIBRARY, ("text/css", "text/javascript")),
}
