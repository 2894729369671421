"""Cursors of pages: the rest of a range as opaque text.

A cursor gives no access that query parameters would not give, so a checksum against alteration is enough.
"""

import base64
import binascii
import hashlib
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

_CHECKSUM_BYTES = 8


class CursorForm(Generic[T]):
    """Writes values of one type as cursors of at most `longest` characters, and reads them.

    `purpose` is part of the checksum: a cursor of one route is none of another.
    """

    def __init__(self, schema: type[T], purpose: bytes, longest: int) -> None:
        self.schema = schema
        self._purpose = purpose
        self.longest = longest

    def write(self, value: T) -> str:
        """Return the value as text for a URL."""
        body = msgspec.json.encode(value)
        return base64.urlsafe_b64encode(self._checksum(body) + body).decode().rstrip("=")

    def read(self, text: str) -> T | None:
        """Return the value, or None if `write` did not make this text."""
        if len(text) > self.longest or not text.isascii():
            return None
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            value = msgspec.json.decode(raw[_CHECKSUM_BYTES:], type=self.schema)
        except (binascii.Error, ValueError):
            return None
        return value if self.write(value) == text else None

    def _checksum(self, body: bytes) -> bytes:
        return hashlib.sha256(self._purpose + body).digest()[:_CHECKSUM_BYTES]
