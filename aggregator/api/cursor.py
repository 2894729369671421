"""Where a page ends, as text that callers hand back unread.

It opens no door, everything it says could be asked for openly; so a checksum is enough to refuse what was altered.
"""

import base64
import binascii
import hashlib

import msgspec

_CHECK = 8
_LONGEST = 512


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """What is left to read of a range: `start` to `end` (unix seconds, both included) of `asset`."""

    asset: str
    start: float
    end: float
    newest_first: bool


def write(cursor: Cursor) -> str:
    """Return the cursor as text for a URL."""
    body = msgspec.json.encode(cursor)
    return base64.urlsafe_b64encode(_check(body) + body).decode().rstrip("=")


def read(text: str) -> Cursor | None:
    """Return the cursor, or None when it is none of ours."""
    if len(text) > _LONGEST or not text.isascii():
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        cursor = msgspec.json.decode(raw[_CHECK:], type=Cursor)
    except (binascii.Error, ValueError):
        return None
    return cursor if write(cursor) == text else None


def _check(body: bytes) -> bytes:
    return hashlib.sha256(b"price history cursor" + body).digest()[:_CHECK]
