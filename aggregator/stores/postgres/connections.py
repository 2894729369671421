"""Connections to PostgreSQL through asyncpg, with a bound on their number and on the time of each use.

Only this module imports asyncpg. Its errors become StoreUnavailable and StoreRefused here.
"""

import asyncio
import io
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

import asyncpg
from pydantic import SecretStr

from aggregator.errors import RowsRefused, StoreError, StoreRefused, StoreUnavailable, printable
from aggregator.stores.postgres.address import PostgresAddress
from aggregator.stores.postgres.times import from_postgres, to_postgres

READ_SECONDS = 1.0  # leaves a request the time to get its answer elsewhere
WRITE_SECONDS = 10.0
_CONNECT_SECONDS = 5.0
READERS = 8
_DATA = "22"  # a value that no column can hold
_FINAL = ("23", "42P07")  # a constraint, and a table of another program


class Row(Protocol):
    """A row of an answer; its values are in the order of the columns."""

    def __getitem__(self, place: int) -> Any:
        """Return the value of a column."""

    def __iter__(self) -> Iterator[Any]:
        """Return the values of all columns."""


class Connections:
    """At most `most` connections, opened when they are needed. Each use may take `seconds`.

    Parameters and results of type timestamptz are unix seconds.
    """

    def __init__(self, address: PostgresAddress, password: SecretStr, most: int, seconds: float) -> None:
        self._address = address
        self._password = password
        self._seconds = seconds
        self._slots = asyncio.Semaphore(most)
        self._idle: list[Any] = []
        self._is_closed = False

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Any]:
        """Lend a connection to the block. Raises StoreUnavailable, or StoreRefused where a retry cannot help."""
        with mapped_errors(self._address):
            async with asyncio.timeout(self._seconds), self._slots:
                connection = self._pop_idle() or await self._connect()
                try:
                    yield connection
                except asyncpg.PostgresError:
                    self._put_back(connection)
                    raise
                except BaseException:  # cancelled or cut: an answer that nobody reads may still come
                    connection.terminate()
                    raise
                self._put_back(connection)

    async def fetch(self, statement: str, *values: object) -> Sequence[Row]:
        """Return all rows of a statement."""
        async with self.one() as connection:
            rows: Sequence[Row] = await connection.fetch(statement, *values)
            return rows

    async def execute(self, statement: str, *values: object) -> int:
        """Run a statement that changes rows; return how many it changed."""
        async with self.one() as connection:
            return changed(await connection.execute(statement, *values))

    async def close(self) -> None:
        """Close the connections that are not in use, and each other one after its use."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().terminate()

    def _pop_idle(self) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    def _put_back(self, connection: Any) -> None:
        if connection.is_closed():
            return
        if self._is_closed or connection.is_in_transaction():
            connection.terminate()
        else:
            self._idle.append(connection)

    async def _connect(self) -> Any:
        to = self._address
        connection = await asyncpg.connect(
            host=to.host,
            port=to.port,
            user=to.user,
            database=to.database,
            password=self._password.get_secret_value() or None,  # None: PGPASSWORD or the file .pgpass
            ssl=await asyncio.to_thread(_tls, to),  # it reads the files of the authorities
            timeout=_CONNECT_SECONDS,
            server_settings={
                "application_name": "aggregator",
                "statement_timeout": f"{round(self._seconds * 1000)}ms",
            },
        )
        try:
            await connection.set_type_codec(
                "timestamptz", schema="pg_catalog", encoder=to_postgres, decoder=from_postgres, format="tuple"
            )
        except BaseException:
            connection.terminate()
            raise
        return connection


def changed(status: str) -> int:
    """Return the number of rows in the status of a statement, such as `INSERT 0 500`."""
    return int(status.rpartition(" ")[2])


async def copy_new(connection: Any, table: str, columns: Sequence[str], text: bytes) -> bool:
    """Copy rows in COPY's text format into a table; return False, and copy none, where one has a stored key."""
    try:
        await connection.copy_to_table(table, source=io.BytesIO(text), columns=columns)
    except asyncpg.UniqueViolationError:
        return False
    return True


@contextmanager
def mapped_errors(address: PostgresAddress) -> Iterator[None]:
    """Turn the errors of asyncpg and of the network into StoreUnavailable and StoreRefused."""
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _kind(error.sqlstate or "")(f"PostgreSQL: {printable(str(error))}") from error
    except TimeoutError as error:
        raise StoreUnavailable(f"PostgreSQL: no answer in time from {address.place}") from error
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise StoreUnavailable(
            f"PostgreSQL: {address.place}: {printable(str(error)) or type(error).__name__}"
        ) from error


def _kind(sqlstate: str) -> type[StoreError]:
    if sqlstate.startswith(_DATA):
        return RowsRefused
    return StoreRefused if sqlstate.startswith(_FINAL) else StoreUnavailable


def _tls(address: PostgresAddress) -> ssl.SSLContext | str | bool:
    """Return how to encrypt, in asyncpg's form. Raises OSError where the file of authorities cannot be read."""
    if address.sslmode == "disable":
        return False
    if address.sslmode == "prefer":
        return "prefer"
    context = ssl.create_default_context(cafile=None if address.ca is None else str(address.ca))
    context.check_hostname = address.sslmode == "verify-full"
    if address.sslmode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context
