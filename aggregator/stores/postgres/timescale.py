"""TimescaleDB: trades as a hypertable with compression, and a continuous aggregate of minutes. Optional.

An operator asks for it with `aggregator migrate --timescaledb`. The service then deletes old trades by chunk.
"""

from collections.abc import Sequence

from aggregator.errors import StoreRefused
from aggregator.stores.postgres.archivers import deleting
from aggregator.stores.postgres.connections import Connections

ENABLE_SECONDS = 3600.0  # rows that are there already are moved into chunks
_HAS_EXTENSION = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
_HAS_VIEW = "SELECT to_regclass('timescaledb_information.hypertables') IS NOT NULL"
_IS_HYPERTABLE = """
SELECT count(*) FROM timescaledb_information.hypertables
WHERE hypertable_name = $1 AND hypertable_schema = current_schema()
"""
_DROP = "SELECT drop_chunks($1::text::regclass, older_than => {before})"
_STEPS = (
    """
SELECT create_hypertable(
    'trades', 'timestamp', chunk_time_interval => interval '1 hour', migrate_data => true, if_not_exists => true
)
""",
    """
ALTER TABLE trades SET (
    timescaledb.compress, timescaledb.compress_segmentby = 'asset',
    timescaledb.compress_orderby = 'timestamp, venue, id'
)
""",
    "SELECT add_compression_policy('trades', interval '6 hours', if_not_exists => true)",
    """
CREATE MATERIALIZED VIEW IF NOT EXISTS trades_1m WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS
SELECT
    asset, time_bucket(interval '1 minute', timestamp) AS minute,
    first(price, timestamp) AS open, max(price) AS high, min(price) AS low, last(price, timestamp) AS close,
    sum(price * volume) / nullif(sum(volume), 0) AS vwap, sum(volume) AS volume, count(*) AS trades
FROM trades GROUP BY asset, minute WITH NO DATA
""",
    """
SELECT add_continuous_aggregate_policy(
    'trades_1m', start_offset => interval '1 day', end_offset => interval '1 minute',
    schedule_interval => interval '1 minute', if_not_exists => true
)
""",
)


async def enable_timescaledb(connections: Connections) -> None:
    """Make a hypertable of trades, and its continuous aggregate; may be called again. Raises StoreError."""
    async with connections.one() as connection:
        if await connection.fetchval(_HAS_EXTENSION) is None:
            raise StoreRefused("PostgreSQL: the database has no extension timescaledb")
        async with connection.transaction():
            for step in _STEPS:
                await connection.execute(step)


async def is_hypertable(connections: Connections, table: str) -> bool:
    """Whether TimescaleDB has chunks of the table. Raises StoreError."""
    (row,) = await connections.fetch(_HAS_VIEW)
    if not row[0]:
        return False
    (row,) = await connections.fetch(_IS_HYPERTABLE, table)
    return bool(row[0])


async def drop_chunks(connections: Connections, table: str, before: float, kept_from: str = "") -> Sequence[str]:
    """Drop chunks whose rows are all before a time in unix seconds; return their names. Raises StoreError.

    Rows from the time on that the SQL `kept_from` returns are kept.
    """
    until = f"least($2::timestamptz, {kept_from})" if kept_from else "$2::timestamptz"
    async with deleting(connections) as connection:
        return [row[0] for row in await connection.fetch(_DROP.format(before=until), table, before)]
