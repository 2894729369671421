"""What operations are made of: parameters, headers, contents and the refusals that many share."""

from collections.abc import Iterable, Mapping
from typing import Any

from aggregator.api.middleware import SANE
from aggregator.api.openapi.schemas import Refusal
from aggregator.prices.tiers import MAX_SYMBOL

Json = dict[str, Any]  # a part of the document
Operations = dict[str, Json]  # by "GET /path"

SYMBOL = "btcusdt"
REQUEST_ID = f"^{SANE}$"
EXAMPLE = "An example; its numbers are invented"


def ref(kind: str, name: str) -> Json:
    """Point to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def model(of: type) -> Json:
    """Point to the schema of a model."""
    return ref("schemas", of.__name__)


def headers(*names: str) -> Json:
    """Point to headers, each under the name it goes out with."""
    return {_HEADER_NAMES[name]: ref("headers", name) for name in names}


def json(schema: Json, *examples: object) -> Json:
    """Return the content that is JSON of this schema, with examples of it."""
    return {"application/json": {"schema": schema} | shown(examples)}


def text_csv(example: str) -> Json:
    """Return the content that is CSV."""
    return {"text/csv": {"schema": {"type": "string"}} | shown([example])}


def response(description: str, content: Json | None = None, sent: Iterable[str] = ()) -> Json:
    """Return a response with the headers `sent` with it, by the names of their components, and the id's."""
    found: Json = {"description": description, "headers": headers(*sent, "NoSniff", "RequestId")}
    return found | ({"content": content} if content else {})


def refusal(description: str, *messages: str, sent: Iterable[str] = ()) -> Json:
    """Return the response `{"msg": …}`, with what it may say."""
    content = json(model(Refusal), *({"msg": message} for message in messages))
    return response(description, content, ("NoStore", *sent))


def bad_request(description: str, *messages: str) -> Json:
    """Return the response 400; the server says it too, barely, of what is no HTTP or an address beyond 64 KB."""
    content = json(model(Refusal), *({"msg": message} for message in messages)) | _BARE
    return response(description, content, ("NoStoreUnlessBare",))


def query(name: str, description: str, schema: Json, *examples: object, required: bool = False, **more: object) -> Json:
    """Return a parameter of the query."""
    found: Json = {"name": name, "in": "query", "description": description, "required": required, "schema": schema}
    return found | shown(examples) | more


def operation(
    name: str, tag: str, summary: str, answers: Mapping[str, Json], parameters: Iterable[Json] = (), **more: object
) -> Json:
    """Return an operation: its own answers, and the refusals that any call can get."""
    found: Json = {"operationId": name, "tags": [tag], "summary": summary}
    found["parameters"] = [*parameters, ref("parameters", "RequestId")]
    anywhere = {status: ref("responses", component) for status, component in _ANYWHERE.items()}
    return found | more | {"responses": dict(sorted((anywhere | dict(answers)).items()))}


def keyed(operation: Json) -> Json:
    """Return the operation with what it says where reading needs a key; what it says of keys by itself goes before."""
    answers = {status: ref("responses", component) for status, component in _KEYED.items()}
    security: list[Json] = [{}, {"bearer": []}, {"key": []}]
    return {"security": security} | operation | {"responses": dict(sorted((answers | operation["responses"]).items()))}


def shown(examples: Iterable[object]) -> Json:
    """Return examples, as contents and parameters have them."""
    named = {f"example{number}": {"summary": EXAMPLE, "value": one} for number, one in enumerate(examples, 1)}
    return {"examples": named} if named else {}


_HEADER_NAMES = {
    "Allow": "Allow",
    "ETag": "ETag",
    "Link": "Link",
    "MaxAge": "Cache-Control",
    "NoCache": "Cache-Control",
    "NoStore": "Cache-Control",
    "NoStoreUnlessBare": "Cache-Control",
    "Policy": "Content-Security-Policy",
    "NoSniff": "X-Content-Type-Options",
    "RequestId": "X-Request-ID",
    "RetryAfter": "Retry-After",
    "Authenticate": "WWW-Authenticate",
    "Upgrade": "Upgrade",
}
_KEYED = {"401": "NoKey", "403": "WrongKey", "429": "TooManyKeys"}
_BARE: Json = {"text/plain": {"schema": {"type": "string"}}}
_ANYWHERE = {
    "400": "NoHttp",
    "405": "MethodNotAllowed",
    "408": "TooSlow",
    "413": "BodyTooLarge",
    "414": "AddressTooLong",
    "421": "WrongHost",
    "431": "HeadTooLarge",
    "503": "Busy",
}

HEADERS: Json = {
    "NoSniff": {
        "description": "The content is of the type it says",
        "required": True,
        "schema": {"type": "string", "const": "nosniff"},
    },
    "Allow": {"description": "The methods there are", "required": True, "schema": {"type": "string"}},
    "ETag": {
        "description": "What the answer says, for If-None-Match; weak, as the text of a price's age is not part of it",
        "required": True,
        "schema": {"type": "string", "pattern": '^W/"[^"]+"$'},
    },
    "Link": {
        "description": "The next page, as RFC 8288 has it; only where there is one",
        "schema": {"type": "string", "pattern": '^<[^>]+>; rel="next"$'},
    },
    "MaxAge": {
        "description": "Until the next price is due; 0 for one that is late, and for a list where some are missing",
        "required": True,
        "schema": {"type": "string", "pattern": r"^max-age=\d+$"},
    },
    "NoCache": {
        "description": "May be kept, and is to be asked for again each time, with its ETag",
        "required": True,
        "schema": {"type": "string", "const": "no-cache"},
    },
    "NoStore": {
        "description": "Kept by no cache on the way",
        "required": True,
        "schema": {"type": "string", "const": "no-store"},
    },
    "NoStoreUnlessBare": {
        "description": "Kept by no cache on the way; missing where the answer is plain text",
        "schema": {"type": "string", "const": "no-store"},
    },
    "Policy": {
        "description": "What the browser may load: from this service only",
        "required": True,
        "schema": {"type": "string"},
    },
    "RequestId": {
        "description": "Yours, or one of ours: the service's log has it in every line about the request. Missing where"
        " nothing is logged: of a price in the process' own memory, and of what is refused before it is a request",
        "schema": {"type": "string", "pattern": REQUEST_ID},
    },
    "RetryAfter": {
        "description": "Seconds after which to ask again",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "Upgrade": {
        "description": "What to ask for",
        "required": True,
        "schema": {"type": "string", "const": "websocket"},
    },
    "Authenticate": {
        "description": "How to show a key",
        "required": True,
        "schema": {"type": "string", "const": "Bearer"},
    },
}
PARAMETERS: Json = {
    "Asset": {
        "name": "asset",
        "in": "path",
        "description": "A symbol, in any case; answered in lower case",
        "required": True,
        "schema": {"type": "string", "pattern": f"^[A-Za-z0-9]{{1,{MAX_SYMBOL}}}$"},
        **shown([SYMBOL]),
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The ETag of an answer you have, several of them, or `*`: 304 while it still holds",
        "schema": {"type": "string"},
    },
    "RequestId": {
        "name": "X-Request-ID",
        "in": "header",
        "description": f"How you call this request; what does not match `{REQUEST_ID}` is passed over",
        "schema": {"type": "string"},
    },
}
RESPONSES: Json = {
    "NoHttp": response("It is no HTTP, or the address is beyond 64 KB; the connection ends", _BARE),
    "BadSymbol": bad_request("It cannot be a symbol", "Invalid asset symbol"),
    "BadRequest": bad_request(
        "The symbol or a parameter is malformed; `msg` names it",
        "Invalid asset symbol",
        "limit must be a whole number from 1 to 1000",
    ),
    "WrongHost": refusal(
        "The Host header names none of `ALLOWED_HOSTS`", "The host 'example.com' is not served here", sent=()
    ),
    "NoKey": refusal(
        "Reading needs a key here (`READ_KEYS`)",
        "An API key is needed: Authorization: Bearer … or X-API-Key",
        sent=("Authenticate",),
    ),
    "WrongKey": refusal("The key is none of ours", "The API key is not valid"),
    "TooManyKeys": refusal(
        "Too many wrong keys have come from this address",
        "Too many API keys that are not valid have come from this address",
        sent=("RetryAfter",),
    ),
    "NotListed": refusal("There is no such asset", "Asset not found"),
    "NotModified": response("What you have still holds; no body", sent=("ETag", "MaxAge")),
    "MethodNotAllowed": refusal("Another method is meant", "Method Not Allowed", sent=("Allow",)),
    "BodyTooLarge": refusal("The body is too large; nothing here reads one"),
    "AddressTooLong": refusal("Path and query are too long"),
    "TooSlow": refusal("The request took too long to arrive; the connection ends"),
    "HeadTooLarge": refusal("Path, query and headers are too large; the connection ends"),
    "Busy": refusal("Too many requests are being answered, or the service is stopping", sent=("RetryAfter",)),
    "NoPriceNow": refusal(
        "No price is known now, too many requests are being answered, or the service is stopping",
        "No price known now",
        sent=("RetryAfter",),
    ),
    "NoHistoryNow": refusal(
        "History cannot be read now, too many requests are being answered, or the service is stopping",
        "History cannot be read now",
        sent=("RetryAfter",),
    ),
}
SECURITY: Json = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "One of API_KEYS, or of READ_KEYS to read"},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "Likewise"},
}
