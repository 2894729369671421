"""The PostgreSQL table of trades: batches of rows, and reads by key."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import SecretStr

from aggregator.errors import StoreUnavailable
from aggregator.models import Side, Trade, TradeKey
from aggregator.stores.postgres.address import PostgresAddress
from aggregator.stores.postgres.connections import READ_SECONDS, READERS, WRITE_SECONDS, Connections, Row, changed
from aggregator.stores.postgres.deletion import keep_deleting
from aggregator.stores.postgres.migrations import migrate
from aggregator.stores.postgres.times import whole_range

_Key = tuple[str, float, str, str]  # asset, timestamp, venue, id

_BATCH = 5000  # trades of one statement
_WRITERS = 2  # calls of `add` at once

_COLUMNS = "asset, price, volume, timestamp, venue, id, side, sequence_number, late"  # in the order of Trade's fields
_INSERT = f"""
INSERT INTO trades ({_COLUMNS})
SELECT asset, price::numeric, volume::numeric, timestamp, venue, id, side, sequence_number, late
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::bigint[],
    $9::boolean[]
) AS sent ({_COLUMNS})
ON CONFLICT DO NOTHING
"""
# In the transaction of the insert: which of its rows are new. Returning them from the insert itself costs more, and
# nearly always all are new.
_INSERTED = """
SELECT number::integer
FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[])
    WITH ORDINALITY AS sent (asset, timestamp, venue, id, number)
JOIN trades USING (asset, timestamp, venue, id)
WHERE trades.xmin = pg_current_xact_id()::xid
"""
_PAGE = f"SELECT {_COLUMNS} FROM trades WHERE asset = $1 AND timestamp BETWEEN $2 AND $3"
_OLDEST_FIRST = "ORDER BY timestamp, venue, id LIMIT $4"
_NEWEST_FIRST = "ORDER BY timestamp DESC, venue DESC, id DESC LIMIT $4"
_KEY = "($5::timestamptz, $6::text, $7::text)"
_FIRST_PAGE = {False: f"{_PAGE} {_OLDEST_FIRST}", True: f"{_PAGE} {_NEWEST_FIRST}"}
_NEXT_PAGE = {
    False: f"{_PAGE} AND (timestamp, venue, id) > {_KEY} {_OLDEST_FIRST}",
    True: f"{_PAGE} AND (timestamp, venue, id) < {_KEY} {_NEWEST_FIRST}",
}
_LATEST = f"""
SELECT last.* FROM unnest($1::text[]) AS asked (symbol) CROSS JOIN LATERAL (
    SELECT {_COLUMNS} FROM trades WHERE asset = asked.symbol AND timestamp >= $2
    ORDER BY timestamp DESC, venue DESC, id DESC LIMIT 1
) AS last
"""


class PostgresTrades:
    """`aggregator.trades.ports.TradeStore` in a PostgreSQL database. `retention` is in seconds, by a trade's time.

    Raises StoreUnavailable, or StoreRefused where a retry cannot help.
    """

    name = "postgresql"

    def __init__(
        self,
        address: PostgresAddress,
        password: SecretStr,
        retention: float,
        now: Callable[[], float] = time.time,
        read_seconds: float = READ_SECONDS,
        write_seconds: float = WRITE_SECONDS,
    ) -> None:
        self._address = address
        self._password = password
        self._retention = retention
        self._now = now
        self._reads = Connections(address, password, READERS, read_seconds)
        self._writes = Connections(address, password, _WRITERS, write_seconds)

    async def open(self) -> None:
        """Bring the schema up to date. May be called again after an error."""
        await migrate(self._address, self._password)

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """As `TradeStore.add`. Calls of several processes may have the same trades: one of them finds each new."""
        unique: dict[_Key, Trade] = {}
        for trade in trades:
            unique.setdefault((trade.asset, trade.timestamp, trade.venue, trade.id), trade)
        # In the order of keys, so that two writers with the same trades do not lock each other out.
        keys = sorted(unique)
        new = set[_Key]()
        async with self._writes.one() as connection, connection.transaction():
            for first in range(0, len(keys), _BATCH):
                part = keys[first : first + _BATCH]
                new.update(await _insert(connection, part, [unique[key] for key in part]))
        return list(unique.values()) if len(new) == len(unique) else [unique[key] for key in unique if key in new]

    async def trades(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None = None
    ) -> list[Trade]:
        """As `TradeReader.trades`, without trades that are older than the retention."""
        low, high = whole_range(max(start, self._oldest()), end)
        if low > high:
            return []
        if after is None:
            rows = await self._reads.fetch(_FIRST_PAGE[newest_first], asset, low, high, limit)
        else:
            rows = await self._reads.fetch(_NEXT_PAGE[newest_first], asset, low, high, limit, *after)
        return [_trade(row) for row in rows]

    async def latest(self, assets: Sequence[str]) -> dict[str, Trade]:
        """As `TradeReader.latest`, without trades that are older than the retention."""
        rows = await self._reads.fetch(_LATEST, list(set(assets)), self._oldest())
        return {trade.asset: trade for trade in map(_trade, rows)}

    async def run(self) -> None:
        """Delete old trades now and every ten minutes; never returns."""
        await keep_deleting(self._writes, "trades", self._oldest)

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the database answers and can be written to."""
        (row,) = await self._reads.fetch("SELECT pg_is_in_recovery()")
        if row[0]:
            raise StoreUnavailable(f"PostgreSQL: {self._address.place} is a standby, which takes no writes")

    async def close(self) -> None:
        """Close the connections."""
        await self._reads.close()
        await self._writes.close()

    def _oldest(self) -> float:
        return max(0.0, self._now() - self._retention)


async def _insert(connection: Any, keys: Sequence[_Key], trades: Sequence[Trade]) -> Sequence[_Key]:
    """Insert trades in the transaction of the connection; return the keys of those that were not there."""
    columns = _columns(trades)
    if changed(await connection.execute(_INSERT, *columns)) == len(keys):
        return keys
    assets, _, _, times, venues, ids, *_ = columns
    return [keys[row[0] - 1] for row in await connection.fetch(_INSERTED, assets, times, venues, ids)]


def _columns(trades: Sequence[Trade]) -> tuple[list[Any], ...]:
    """Return the parameters of `_INSERT`. Numbers go as text, which takes a third of asyncpg's time for a Decimal."""
    return (
        [trade.asset for trade in trades],
        [str(trade.price) for trade in trades],
        [None if trade.volume is None else str(trade.volume) for trade in trades],
        [trade.timestamp for trade in trades],
        [trade.venue for trade in trades],
        [trade.id for trade in trades],
        [trade.side for trade in trades],
        [trade.sequence for trade in trades],
        [trade.late for trade in trades],
    )


def _trade(row: Row) -> Trade:
    asset, price, volume, timestamp, venue, trade_id, side, sequence, late = row
    return Trade(asset, price, volume, timestamp, venue, trade_id, side and Side(side), sequence, late)
