"""The description of a kind of record that an outbox sends, such as prices and trades."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import msgspec

R = TypeVar("R")

Key = tuple[str, float, *tuple[str, ...]]
"""The identity of a record: asset, time in unix seconds, and texts."""

_WAITING = """
CREATE TABLE waiting_{group} (
    id INTEGER PRIMARY KEY,
    {columns},
    body TEXT NOT NULL
);
CREATE {unique} INDEX waiting_{group}_by_{first} ON waiting_{group} ({names});
"""
_DEAD = """
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY,
    asset TEXT NOT NULL,
    timestamp REAL NOT NULL,
    refused_at REAL NOT NULL,
    reason TEXT NOT NULL,
    body TEXT NOT NULL
)
"""


class RecordKind(msgspec.Struct, Generic[R], frozen=True):
    """A kind of record that an outbox sends.

    `key` returns asset, time in unix seconds, and one text for each of `texts`. `groups` are the names of the SQL
    tables; `group` returns the one of a record. With `is_unique`, of two waiting records with the same key the first is
    kept; otherwise both are sent, in order. With `gives_up`, the oldest rows of the last group are deleted when the
    file is full, but never those of the groups in `kept`; otherwise `append` raises StoreUnavailable then. `version` is
    the file's; no two kinds have the same. `index` are the columns that waiting rows are found by, if not all. `more`
    is the SQL of further tables.
    """

    key: Callable[[R], Key]
    encode: Callable[[R], str]
    decode: Callable[[str], R]
    groups: Sequence[str]
    group: Callable[[R], str]
    texts: Sequence[str] = ()
    is_unique: bool = False
    gives_up: bool = True
    version: int = 1
    kept: Sequence[str] = ()
    index: Sequence[str] = ()
    more: str = ""

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns that `key` fills."""
        return ("asset", "timestamp", *self.texts)

    @property
    def schema(self) -> str:
        """The SQL of all tables."""
        columns = ["asset TEXT NOT NULL", "timestamp REAL NOT NULL", *(f"{text} TEXT NOT NULL" for text in self.texts)]
        parts = {
            "columns": ",\n    ".join(columns),
            "names": ", ".join(self.index or self.columns),
            "first": (self.index or self.columns)[0],
            "unique": "UNIQUE" if self.is_unique else "",
        }
        return "".join(_WAITING.format(group=group, **parts) for group in self.groups) + _DEAD + self.more
