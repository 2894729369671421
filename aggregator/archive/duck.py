"""Connections to DuckDB. The only user of duckdb in the archive.

httpfs comes from its wheel (duckdb-extension-httpfs, of the same version), so nothing is ever downloaded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aggregator.archive.storages.address import ArchiveAddress, S3Address
from aggregator.errors import StoreRefused, StoreUnavailable, printable
from aggregator.libraries.extras import install

Connection = Any
"""A duckdb.DuckDBPyConnection. Fetching a TIMESTAMP WITH TIME ZONE needs pytz: select epoch_us(…) or a text instead."""

_CONFIG = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "preserve_insertion_order": True,
    # With the cache, one in some hundred parts could not be read back ("ZSTD Decompression failure") where another file
    # had been at its path.
    "enable_external_file_cache": False,
}


FRESH_SECONDS = 240.0
"""The longest use of a connection to S3, which does not renew its credentials. AWS has new ones five minutes ahead."""


def library() -> Any:
    """Return DuckDB, imported when it is first needed: it belongs to an extra, and takes 40 MB.

    Raises StoreRefused where the extra is not installed.
    """
    try:
        import duckdb  # noqa: PLC0415  # a process without the extra imports this module, too
    except ModuleNotFoundError as error:
        raise StoreRefused(f"DuckDB is not installed; {install('archive')}") from error
    return duckdb


def connect(
    address: ArchiveAddress | None = None, memory: str = "512MB", threads: int = 1, temporary: Path | None = None
) -> Connection:
    """Return a connection in memory whose session is in UTC, and which can read the archive at `address`.

    `temporary` is the folder for what does not fit into `memory`; None keeps it in memory or fails. The
    credentials of S3 are those of the moment. Raises StoreRefused where httpfs or credentials are missing.
    """
    duckdb = library()
    config = {**_CONFIG, "memory_limit": memory, "threads": threads, "temp_directory": str(temporary or "")}
    connection = duckdb.connect(":memory:", config=config)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")  # it would write to stdout
        if isinstance(address, S3Address):
            _load_httpfs(connection, duckdb.__version__)
            _set_secret(connection, address)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def mapped(what: str) -> Iterator[None]:
    """Raise StoreUnavailable, which names `what`, for an error of DuckDB."""
    try:
        yield
    except library().Error as error:
        raise StoreUnavailable(f"{what}: {printable(str(error).partition(chr(10))[0])}") from error


def quoted(text: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def file_url(address: ArchiveAddress, path: str) -> str:
    """Return the address of a file of the archive, as DuckDB takes it."""
    return f"{address.root}/{path}"


def _load_httpfs(connection: Connection, version: str) -> None:
    try:
        import duckdb_extension_httpfs  # noqa: PLC0415  # only an archive in S3 needs it
    except ImportError as error:
        raise StoreRefused(f"s3:// needs duckdb-extension-httpfs; {install('archive')}") from error
    folder = Path(str(duckdb_extension_httpfs.__file__)).parent / "extensions"
    path = folder / f"v{version}" / "httpfs.duckdb_extension"
    if not path.is_file():
        raise StoreRefused(f"duckdb-extension-httpfs is not of version {version}, which DuckDB has")
    connection.execute(f"LOAD {quoted(str(path))}")


def _set_secret(connection: Connection, address: S3Address) -> None:
    from aggregator.archive.storages.credentials import s3_credentials  # noqa: PLC0415  # Amazon's libraries take 0.3 s and 25 MiB

    found = s3_credentials(address)
    options = {"REGION": address.region, "KEY_ID": found.key, "SECRET": found.secret, "SCOPE": address.root}
    if found.token:
        options["SESSION_TOKEN"] = found.token
    if address.endpoint:
        scheme, _, host = address.endpoint.partition("://")
        options |= {"ENDPOINT": host, "URL_STYLE": "path"}
        connection.execute(_secret(options, use_ssl=scheme == "https"))
    else:
        connection.execute(_secret(options, use_ssl=True))


def _secret(options: dict[str, str], *, use_ssl: bool) -> str:
    values = ", ".join(f"{name} {quoted(value)}" for name, value in options.items())
    return f"CREATE OR REPLACE SECRET archive (TYPE s3, {values}, USE_SSL {str(use_ssl).lower()})"
