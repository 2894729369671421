"""Call an ASGI application in this process, for tests that hold the store it answers from."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message

from tests.parts.service import Answer


async def get(
    app: ASGIApp, target: str, headers: Mapping[str, str] | None = None, method: str = "GET", body: bytes = b""
) -> Answer:
    """Call a path with its query; an exception in the application is raised here, and what it had sent is lost."""
    split = urlsplit(target)
    started: list[Message] = []
    answered = b""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal answered
        if message["type"] == "http.response.start":
            started.append(message)
        else:
            answered += message.get("body", b"")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": split.path,
        "raw_path": split.path.encode(),
        "root_path": "",
        "query_string": split.query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
    }
    await app(scope, receive, send)
    names = {name.decode(): value.decode() for name, value in started[0]["headers"]}
    return Answer(started[0]["status"], names, answered)


async def all_pages(app: ASGIApp, target: str, name: str) -> list[Any]:
    """Follow `Link: rel="next"` to the end; return the rows of all pages, which the body has under `name`."""
    rows: list[Any] = []
    following: str | None = target
    while following is not None:
        answer = await get(app, following)
        assert answer.status == 200, answer.text
        rows += answer.json[name]
        link = re.fullmatch(r'<(/\S+)>; rel="next"', answer.headers.get("link", ""))
        assert (link is None) == (answer.json["next"] is None)
        assert link is None or answer.json[name]
        following = link[1] if link else None
    return rows
