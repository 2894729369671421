"""Bodies of requests that write: their type, and the whole body within a size and a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request

from aggregator.api.routing.responses import Code, Refusal, refuse

JSON_TYPES = ("application/json", "text/json", "")
CLOSE = {"Connection": "close"}  # of an answer before the end of the body
_MOST_DISCARDED = 4 * 1024 * 1024  # bytes
_DISCARD_SECONDS = 2.0
GONE = Refusal("The client left before the end of the body", Code.INVALID_REQUEST)  # the client does not get it


def media_type_of(request: Request) -> str:
    """Return the Content-Type in small letters without its parameters; an empty text if there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def whole_body(request: Request, most: int, too_large: Refusal, seconds: float, too_slow: Refusal) -> bytes:
    """Return the body, of at most `most` bytes. Raises the response 413, and 408 after `seconds`."""
    body, chunks = b"", request.stream()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in chunks:
                body += chunk
                if len(body) > most:
                    await discard(chunks)
                    raise refuse(413, too_large, CLOSE)
    except TimeoutError as error:
        raise refuse(408, too_slow, CLOSE) from error
    except ClientDisconnect as error:
        raise refuse(400, GONE) from error
    return body


async def discard(chunks: AsyncIterator[bytes]) -> None:
    """Read the rest of a body that is too large, for a moment, before the answer that ends the connection.

    Many clients read no answer before they have sent everything, and a connection that ends with unread data is reset:
    they would get no answer at all.
    """
    left = _MOST_DISCARDED
    with suppress(TimeoutError, StopAsyncIteration):
        async with asyncio.timeout(_DISCARD_SECONDS):
            while left > 0:
                left -= len(await anext(chunks))
