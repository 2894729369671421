"""Reads `postgresql://user@host:5432/database[?sslmode=…&sslrootcert=file]`. Imports no driver."""

import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from aggregator.libraries.extras import has_extra, install
from aggregator.stores.definition import has_valid_port

EXAMPLE = "postgresql://user@host:5432/database"
FORM = f"{EXAMPLE}[?sslmode=verify-full&sslrootcert=ca.pem]"
REMEDY = "check host, database, user, AGGREGATOR_POSTGRES_PASSWORD and sslmode"

_URL = re.compile(r"postgres(ql)?://[^/\s?#]+/[^/\s?#]+(\?\S*)?")
_MODES = ("disable", "prefer", "require", "verify-ca", "verify-full")
_TAKES = frozenset({"sslmode", "sslrootcert"})


class PostgresAddress(msgspec.Struct, frozen=True):
    """A database. `ca` is a PEM file of authorities; None for the system's."""

    host: str
    port: int
    user: str
    database: str
    sslmode: str
    ca: Path | None

    @property
    def place(self) -> str:
        """Database, host and port, for messages."""
        return f"database {self.database} on {self.host}:{self.port}"


def parse_postgres_url(url: str) -> PostgresAddress:
    """Return the database that the URL names. Raises ValueError, whose message has no secret of the URL in it."""
    split = urlsplit(url)
    if split.password is not None:
        raise ValueError("takes no password in the address; set AGGREGATOR_POSTGRES_PASSWORD")
    if not _URL.fullmatch(url) or not has_valid_port(url) or not split.hostname or not split.username:
        raise ValueError(f"must be {EXAMPLE}")
    query = parse_qs(split.query, keep_blank_values=True)
    if unknown := sorted(query.keys() - _TAKES):
        raise ValueError(f"postgresql:// takes sslmode and sslrootcert, not {', '.join(map(repr, unknown))}")
    mode, ca = query.get("sslmode", ["prefer"])[-1], query.get("sslrootcert", [""])[-1]
    if mode not in _MODES:
        raise ValueError(f"sslmode must be {', '.join(_MODES[:-1])} or {_MODES[-1]}")
    if ca and not mode.startswith("verify-"):
        raise ValueError("sslrootcert needs sslmode=verify-ca or verify-full")
    if not has_extra("postgres"):
        raise ValueError(f"asyncpg is not installed; {install('postgres')}")
    database = unquote(split.path.removeprefix("/"))
    path = Path(ca) if ca else None
    return PostgresAddress(split.hostname, split.port or 5432, unquote(split.username), database, mode, path)
