"""The description of a kind of record that an outbox sends, such as prices and trades."""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec


class Record(Protocol):
    """A record that waits."""

    @property
    def asset(self) -> str:
        """The symbol."""

    @property
    def timestamp(self) -> float:
        """The time, in unix seconds."""


R = TypeVar("R", bound=Record)

Key = tuple[str | float | bytes, ...]
"""The values of a record's columns."""

_WAITING = """
CREATE TABLE waiting_{group} (
    id INTEGER PRIMARY KEY,
    {columns},
    body TEXT NOT NULL
);
CREATE {unique} INDEX waiting_{group}_by_{first} ON waiting_{group} ({names});
"""
_COPY = """
DROP INDEX waiting_{group}_by_{first};
ALTER TABLE waiting_{group} RENAME TO older_{group};
{table}
INSERT INTO waiting_{group} SELECT id, {names}, body FROM older_{group};
DROP TABLE older_{group};
"""
_TYPES = {"timestamp": "REAL"}
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

    `key` returns the values of `columns`, by which waiting rows are found. `groups` are the names of the SQL tables;
    `group` returns the one of a record. With `is_unique`, of two waiting records with the same key the first is kept;
    otherwise both are sent, in order. With `gives_up`, the oldest rows of the last group are deleted when the file is
    full, but never those of the groups in `kept`; otherwise `append` raises StoreUnavailable then. `version` is the
    file's; no two kinds have the same. Files of the version `copied` have further columns, which are left out when such
    a file is opened; it needs room for a second copy of its rows meanwhile. `more` is the SQL of further tables.
    """

    key: Callable[[R], Key]
    encode: Callable[[R], str]
    decode: Callable[[str], R]
    groups: Sequence[str]
    group: Callable[[R], str]
    columns: Sequence[str] = ("asset", "timestamp")
    is_unique: bool = False
    gives_up: bool = True
    version: int = 1
    kept: Sequence[str] = ()
    copied: int | None = None
    more: str = ""

    @property
    def schema(self) -> str:
        """The SQL of all tables."""
        return "".join(self._table(group) for group in self.groups) + _DEAD + self.more

    @property
    def upgrades(self) -> Mapping[int, str]:
        """The SQL that upgrades a file, by the version of that file."""
        if self.copied is None:
            return {}
        names, first = ", ".join(self.columns), self.columns[0]
        copies = (_COPY.format(group=one, names=names, first=first, table=self._table(one)) for one in self.groups)
        return {self.copied: "".join(copies)}

    def _table(self, group: str) -> str:
        return _WAITING.format(
            group=group,
            columns=",\n    ".join(f"{name} {_TYPES.get(name, 'TEXT')} NOT NULL" for name in self.columns),
            names=", ".join(self.columns),
            first=self.columns[0],
            unique="UNIQUE" if self.is_unique else "",
        )
