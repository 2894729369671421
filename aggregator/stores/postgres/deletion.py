"""Deletes old rows in small batches, so that writes do not wait and a stop loses no work."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from aggregator.errors import StoreError
from aggregator.stores.postgres.archivers import deleting
from aggregator.stores.postgres.connections import Connections, changed
from aggregator.stores.postgres.timescale import drop_chunks, is_hypertable

_BATCH = 2000  # rows of one transaction
_SWEEP_SECONDS = 600.0
_MOST_BATCHES = 5000  # of one asset in one sweep; the next sweep goes on
# One look into the index for each asset; SELECT DISTINCT would read the whole index.
_ASSETS = """
WITH RECURSIVE assets (asset) AS (
    SELECT min(asset) FROM {table}
    UNION ALL SELECT (SELECT min(asset) FROM {table} WHERE asset > assets.asset) FROM assets WHERE asset IS NOT NULL
)
SELECT asset FROM assets WHERE asset IS NOT NULL
"""
# The conditions are repeated, because a ctid is no key of a table that has partitions.
_DELETE = """
DELETE FROM {table} WHERE asset = $1 AND timestamp < {before} AND ctid = ANY (ARRAY(
    SELECT ctid FROM {table} WHERE asset = $1 AND timestamp < {before} {also} ORDER BY timestamp LIMIT {batch}
))
"""


async def delete_old(
    connections: Connections, table: str, before: float, updated: str = "", kept_from: str = ""
) -> int:
    """Delete rows with a timestamp before `before`, in unix seconds; return their number. Raises StoreError.

    `updated` is a column in unix seconds that must be before it, too. Rows from the time on that the SQL `kept_from`
    returns are kept.
    """
    also = f"AND {updated} < extract(epoch FROM $2)" if updated else ""
    until = f"least($2::timestamptz, {kept_from})" if kept_from else "$2"  # least ignores nulls
    deleted, delete = 0, _DELETE.format(table=table, batch=_BATCH, also=also, before=until)
    for row in await connections.fetch(_ASSETS.format(table=table)):
        for _ in range(_MOST_BATCHES):
            async with deleting(connections) as connection:
                gone = changed(await connection.execute(delete, row[0], before))
            deleted += gone
            if gone < _BATCH:
                break
    return deleted


async def keep_deleting(
    connections: Connections,
    table: str,
    oldest: Callable[[], float],
    updated: str = "",
    kept_from: str = "",
    before_sweep: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Delete rows before `oldest()` now and every ten minutes, as `delete_old`; log failures, and never return."""
    log, is_failing = structlog.get_logger(), False
    while True:
        try:
            if before_sweep is not None:
                await before_sweep()
            if await is_hypertable(connections, table):  # rows of compressed chunks are not deleted one by one
                await drop_chunks(connections, table, oldest(), kept_from)
            else:
                await delete_old(connections, table, oldest(), updated, kept_from)
            is_failing = False
        except StoreError as error:
            if not is_failing:
                log.warning("old_rows_not_deleted", table=table, error=str(error))
            is_failing = True
        await asyncio.sleep(_SWEEP_SECONDS)
