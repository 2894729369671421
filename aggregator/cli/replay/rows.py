"""Rows of a file as lines for POST /ingest: the names of fields, and times in all their units. Pure.

The service checks the trades. A value that cannot be read here is sent as it is, so that the service refuses it with a
reason and keeps it as a dead letter.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from aggregator.errors import CannotGoOn
from aggregator.trades.validation import InvalidTrade, seconds_of

NAMES = {  # of each field in a file, the preferred one first
    "asset": ("asset", "symbol", "ticker"),
    "price": ("price",),
    "volume": ("volume", "size", "quantity", "qty", "amount"),
    "timestamp": ("timestamp", "time", "timestamp_ns"),
    "venue": ("venue", "exchange"),
    "id": ("id", "trade_id"),
    "side": ("side",),
    "sequence_number": ("sequence_number", "sequence"),
}
FIELDS = tuple(NAMES)
NUMBERS = frozenset({"price", "volume", "timestamp", "sequence_number"})
_ASSET, _TIMESTAMP, _VENUE = (FIELDS.index(name) for name in ("asset", "timestamp", "venue"))
_KEYS = tuple(f'"{name}":'.encode() for name in FIELDS)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,99})(\.[0-9]{1,99})?([eE][+-]?[0-9]{1,9})?", re.ASCII)
_PLAIN = re.compile(r"[\w .:/+-]*", re.ASCII)  # text that needs no escapes in JSON
_MICROSECONDS = 1_000_000
_time = msgspec.json.Decoder(int | float | str)

Values = Sequence[bytes | None]
"""The values of a trade as JSON, in the order of FIELDS; None for a field that the file does not have."""


class Unusable(CannotGoOn):
    """The file or an option cannot be used: nothing was sent, and the exit code is 2."""


class Row(NamedTuple):
    """A row as a line of NDJSON without its end. `number` is its place in the file; `at` its time in unix microseconds.

    `at` is None where the time cannot be read. It is the file's own time, also where `line` has a shifted one.
    """

    number: int
    at: int | None
    line: bytes


class Rows:
    """Makes rows. `asset` and `venue` are for trades that have none.

    `shift_to`, in unix microseconds, moves all times so that the first is this one.
    """

    def __init__(self, asset: str | None = None, venue: str | None = None, shift_to: int | None = None) -> None:
        self._asset = None if asset is None else as_text(asset)
        self._venue = None if venue is None else as_text(venue)
        self._shift_to = shift_to
        self._shift: int | None = None

    def row(self, number: int, values: Values) -> Row:
        """Return the row with these values."""
        mine = list(values)
        if mine[_ASSET] is None:
            mine[_ASSET] = self._asset
        if mine[_VENUE] is None:
            mine[_VENUE] = self._venue
        sent = mine[_TIMESTAMP]
        at = None if sent is None else microseconds(sent)
        if at is not None and self._shift_to is not None:
            mine[_TIMESTAMP] = self._shifted(at, self._shift_to)
        fields = [key + value for key, value in zip(_KEYS, mine, strict=True) if value is not None]
        return Row(number, at, b"{" + b",".join(fields) + b"}")

    def _shifted(self, at: int, shift_to: int) -> bytes:
        if self._shift is None:
            self._shift = shift_to - at
        seconds, rest = divmod(at + self._shift, _MICROSECONDS)
        return b"%d.%06d" % (seconds, rest) if seconds >= 0 else b"0"


def as_text(text: str) -> bytes:
    """Return a text as a JSON string."""
    return b'"' + text.encode() + b'"' if _PLAIN.fullmatch(text) else msgspec.json.encode(text)


def is_number(text: str) -> bool:
    """Whether the text is a number in JSON, of at most 100 digits before the point and 99 after it."""
    return _NUMBER.fullmatch(text) is not None


def as_number(text: str) -> bytes:
    """Return a number as JSON with all its digits; any other text as a JSON string."""
    return text.encode() if is_number(text) else as_text(text)


def microseconds(value: bytes) -> int | None:
    """Return a JSON value as unix microseconds, as the service reads times; None for what is no time to it."""
    try:
        return round(seconds_of(_time.decode(value)) * _MICROSECONDS)
    except (InvalidTrade, msgspec.MsgspecError, UnicodeDecodeError, ValueError, OverflowError):
        return None
