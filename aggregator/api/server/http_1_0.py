"""Responses to HTTP/1.0, which knows no chunks: a response without a length ends with the connection.

Uvicorn sends chunks to every client (RFC 9112, section 6.1, forbids that for HTTP/1.0). A client such as
ApacheBench would take the chunks' sizes for data of the stream.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def is_http_1_0(cycle: RequestResponseCycle) -> bool:
    """Whether the request is of HTTP/1.0."""
    return cycle.scope["http_version"] == "1.0"


def without_chunks(app: ASGIApp, cycle: RequestResponseCycle) -> ASGIApp:
    """Return the application; where it sends no Content-Length, the body is sent as it is and the connection closed."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        unsized = False

        async def send_plain(message: Message) -> None:
            nonlocal unsized
            if message["type"] == "http.response.start":
                headers = [(name, value) for name, value in message["headers"] if name.lower() != b"connection"]
                unsized = all(name.lower() != b"content-length" for name, _ in headers)
                if unsized:
                    cycle.chunked_encoding = cycle.keep_alive = False
                    message = {**message, "headers": headers}
            elif unsized and message["type"] == "http.response.body":
                cycle.expected_content_length = len(message.get("body", b""))  # of this part, which uvicorn checks
            await send(message)

        await app(scope, receive, send_plain)

    return serve
