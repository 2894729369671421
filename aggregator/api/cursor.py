"""Pagination cursors: the rest of a range as opaque text.

A cursor gives no access that query parameters would not give, so a checksum against alteration is enough.
"""

import base64
import binascii
import hashlib

import msgspec

_CHECKSUM_BYTES = 8
_LONGEST = 512  # characters


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The part of a range that is still to be read: `start` to `end` (unix seconds, inclusive) of `asset`."""

    asset: str
    start: float
    end: float
    newest_first: bool


def write(cursor: Cursor) -> str:
    """Return the cursor as text for a URL."""
    body = msgspec.json.encode(cursor)
    return base64.urlsafe_b64encode(_checksum(body) + body).decode().rstrip("=")


def read(text: str) -> Cursor | None:
    """Return the cursor, or None if `write` did not make this text."""
    if len(text) > _LONGEST or not text.isascii():
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        cursor = msgspec.json.decode(raw[_CHECKSUM_BYTES:], type=Cursor)
    except (binascii.Error, ValueError):
        return None
    return cursor if write(cursor) == text else None


def _checksum(body: bytes) -> bytes:
    return hashlib.sha256(b"price history cursor" + body).digest()[:_CHECKSUM_BYTES]
