"""The schema, in numbered steps, and the function that applies those that a database does not have.

A step is a file `0001_name.sql`. The table `aggregator_migrations` has the number of each applied one. Steps are never
changed after a release; a change of the schema is a new step.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from pydantic import SecretStr

from aggregator.stores.postgres.address import PostgresAddress
from aggregator.stores.postgres.connections import Connections

MIGRATION_SECONDS = 60.0  # for all steps, and for those of another process that is first
_LOCK = 0x61676772  # key of the advisory lock: "aggr"
_TABLE = """
CREATE TABLE IF NOT EXISTS aggregator_migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema."""

    number: int
    name: str
    sql: str


def all_migrations() -> list[Migration]:
    """Return the steps of this version, in order."""
    return [_read(path) for path in sorted(Path(__file__).parent.glob("[0-9]*_*.sql"))]


async def pending(address: PostgresAddress, password: SecretStr) -> Sequence[Migration]:
    """Return the steps that the database lacks. Raises StoreError."""
    async with _connection(address, password) as connection:
        return await _missing(connection)


async def migrate(address: PostgresAddress, password: SecretStr) -> Sequence[Migration]:
    """Apply the steps that the database lacks, all or none, and return them. Raises StoreError.

    Processes that start at the same time wait for each other. A user without the right to create tables may start the
    service once the steps are applied.
    """
    async with _connection(address, password) as connection:
        if not await _missing(connection):
            return []
        # Held until the connection is closed. In a transaction that began before, the tables of another process that
        # was first would not be seen.
        await connection.execute(f"SELECT pg_advisory_lock({_LOCK})")
        async with connection.transaction():
            applied = await _missing(connection)
            await _apply(connection, applied)
        return applied


async def _apply(connection: Any, migrations: Sequence[Migration]) -> None:
    await connection.execute(_TABLE)
    for one in migrations:
        await connection.execute(one.sql)
        await connection.execute(
            "INSERT INTO aggregator_migrations (number, name) VALUES ($1, $2)", one.number, one.name
        )


async def _missing(connection: Any) -> Sequence[Migration]:
    known = all_migrations()
    if await connection.fetchval("SELECT to_regclass('aggregator_migrations')") is None:
        return known
    applied = {row[0] for row in await connection.fetch("SELECT number FROM aggregator_migrations")}
    return [one for one in known if one.number not in applied]


@asynccontextmanager
async def _connection(address: PostgresAddress, password: SecretStr) -> AsyncIterator[Any]:
    connections = Connections(address, password, 1, MIGRATION_SECONDS)
    try:
        async with connections.one() as connection:
            yield connection
    finally:
        await connections.close()


def _read(path: Path) -> Migration:
    number, _, name = path.stem.partition("_")
    return Migration(int(number), name, path.read_text())
