"""A PostgreSQL database as every store uses it: its schema, and connections for reads and for writes."""

from pydantic import SecretStr

from aggregator.errors import StoreUnavailable
from aggregator.stores.postgres.address import PostgresAddress
from aggregator.stores.postgres.connections import READ_SECONDS, READERS, WRITE_SECONDS, Connections
from aggregator.stores.postgres.migrations import migrate


class PostgresDatabase:
    """A database. `writers` bounds the writes at once; a use of a connection may take so many seconds."""

    def __init__(
        self,
        address: PostgresAddress,
        password: SecretStr,
        writers: int,
        read_seconds: float = READ_SECONDS,
        write_seconds: float = WRITE_SECONDS,
    ) -> None:
        self.address = address
        self._password = password
        self.reads = Connections(address, password, READERS, read_seconds)
        self.writes = Connections(address, password, writers, write_seconds)

    async def open(self) -> None:
        """Bring the schema up to date. May be called again after an error."""
        await migrate(self.address, self._password)

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the database answers and can be written to."""
        (row,) = await self.reads.fetch("SELECT pg_is_in_recovery()")
        if row[0]:
            raise StoreUnavailable(f"PostgreSQL: {self.address.place} is a standby, which takes no writes")

    async def close(self) -> None:
        """Close the connections."""
        await self.reads.close()
        await self.writes.close()
