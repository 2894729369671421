"""Parts of the routes that change something: the type and the whole body of a request, and answers about keys."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from aggregator.api.access.keys import NO_KEY, READ_ONLY_KEY, WRONG_KEY
from aggregator.api.access.policy import FOREIGN_ORIGIN
from aggregator.api.routing.responses import Code, Refusal, refuse
from aggregator.api.routing.shared_descriptions import AUTHENTICATE, refusal

JSON_TYPES = ("application/json", "text/json", "")
CLOSE = {"Connection": "close"}  # of an answer before the end of the body
GONE = Refusal("The client left before the end of the body", Code.INVALID_REQUEST)  # an answer that nobody gets
KEY_NEEDED = {
    401: refusal("A key is needed", NO_KEY, headers=(AUTHENTICATE,)),
    403: refusal(
        "The key is not valid or is for reading only, or the request comes from a page of another site",
        WRONG_KEY,
        READ_ONLY_KEY,
        FOREIGN_ORIGIN,
    ),
}


def media_type_of(request: Request) -> str:
    """Return the Content-Type in small letters without its parameters; an empty text if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def whole_body(request: Request, most: int, too_large: Refusal, seconds: float, too_slow: Refusal) -> bytes:
    """Return the body, of at most `most` bytes. Raises the response 413, and 408 after `seconds`."""
    body = b""
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise refuse(413, too_large, CLOSE)
    except TimeoutError as error:
        raise refuse(408, too_slow, CLOSE) from error
    except ClientDisconnect as error:
        raise refuse(400, GONE) from error
    return body
