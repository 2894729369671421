"""A complete response, for paths that do not use Starlette; and the comparison of ETags."""

from typing import Any

Header = tuple[bytes, bytes]


class Reply:
    """A complete response: as two ASGI messages, and as the bytes of its headers and body."""

    __slots__ = ("end", "head", "raw", "start", "status")

    def __init__(self, status: int, headers: list[Header], raw: bytes) -> None:
        self.status = status
        self.start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": headers}
        self.end: dict[str, Any] = {"type": "http.response.body", "body": raw}
        self.head = b"".join([b"%b: %b\r\n" % header for header in headers]) + b"\r\n"
        self.raw = raw


def matches(etag: bytes, if_none_match: bytes) -> bool:
    """Whether If-None-Match, a list of ETags or `*`, contains `etag`. The comparison is weak."""
    if b"*" in if_none_match:
        return if_none_match.strip() == b"*"
    wanted = etag.removeprefix(b"W/")
    return any(tag.strip().removeprefix(b"W/") == wanted for tag in if_none_match.split(b","))
