"""Deletes old rows in small batches, so that writes do not wait and a stop loses no work."""

import asyncio
from collections.abc import Callable

import structlog

from aggregator.errors import StoreError
from aggregator.stores.postgres.connections import Connections
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
DELETE FROM {table} WHERE asset = $1 AND timestamp < $2 AND ctid = ANY (ARRAY(
    SELECT ctid FROM {table} WHERE asset = $1 AND timestamp < $2 {also} ORDER BY timestamp LIMIT {batch}
))
"""


async def delete_old(connections: Connections, table: str, before: float, updated: str = "") -> int:
    """Delete rows with a timestamp before `before`, in unix seconds; return their number. Raises StoreError.

    `updated` is a column in unix seconds that must be before it, too.
    """
    also = f"AND {updated} < extract(epoch FROM $2)" if updated else ""
    deleted, delete = 0, _DELETE.format(table=table, batch=_BATCH, also=also)
    for row in await connections.fetch(_ASSETS.format(table=table)):
        for _ in range(_MOST_BATCHES):
            gone = await connections.execute(delete, row[0], before)
            deleted += gone
            if gone < _BATCH:
                break
    return deleted


async def keep_deleting(connections: Connections, table: str, oldest: Callable[[], float], updated: str = "") -> None:
    """Delete rows before `oldest()` now and every ten minutes; log failures, and never return."""
    log, is_failing = structlog.get_logger(), False
    while True:
        try:
            if await is_hypertable(connections, table):
                await drop_chunks(connections, table, oldest())  # rows of compressed chunks are not deleted one by one
            else:
                await delete_old(connections, table, oldest(), updated)
            is_failing = False
        except StoreError as error:
            if not is_failing:
                log.warning("old_rows_not_deleted", table=table, error=str(error))
            is_failing = True
        await asyncio.sleep(_SWEEP_SECONDS)
