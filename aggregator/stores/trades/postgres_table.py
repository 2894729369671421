"""The PostgreSQL table of trades: batches of rows, and reads by key."""

import time
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

from pydantic import SecretStr

from aggregator.models import Trade, TradeKey
from aggregator.stores.postgres.address import PostgresAddress
from aggregator.stores.postgres.archivers import KEPT_FROM, ArchiverRow
from aggregator.stores.postgres.connections import READ_SECONDS, WRITE_SECONDS, changed, copy_new
from aggregator.stores.postgres.database import PostgresDatabase
from aggregator.stores.postgres.deletion import keep_deleting
from aggregator.stores.postgres.times import whole_range
from aggregator.stores.trades.definition import nothing_longer
from aggregator.stores.trades.postgres_rows import COLUMNS, columns_of, copy_text, trade_of

_Key = tuple[str, float, str, str]  # asset, timestamp, venue, id

_BATCH = 5000  # trades of one statement
_WRITERS = 2  # calls of `add` at once
_INSERTS = 50  # calls of `add` that expect stored trades, after one that found some

_COLUMNS = ", ".join(COLUMNS)
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


class PostgresTrades(PostgresDatabase):
    """`aggregator.trades.ports.TradeStore` in a PostgreSQL database. `retention` is in seconds, by a trade's time.

    Trades from `keep_from()` on are kept longer, as in TradeStoreParts, and so are those that the archiver of another
    process needs: `archiver` is the name of the one of this process.

    Nearly always all trades of a call are new. So they are copied, which takes half the time of an insert, and are
    inserted only after COPY has failed on a stored one, which leaves dead rows and an error in the server's log.

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
        keep_from: Callable[[], float] = nothing_longer,
        archiver: str = "",
    ) -> None:
        super().__init__(address, password, _WRITERS, read_seconds, write_seconds)
        self._retention = retention
        self._now = now
        self._keep_from = keep_from
        self._archiver = ArchiverRow(self.writes, archiver, keep_from, self._expiry)
        self._inserts = 0  # calls left that insert

    async def open(self) -> None:
        """As PostgresDatabase; from then on, no process deletes what the archiver of this one needs."""
        await super().open()
        await self._archiver.publish()

    async def close(self) -> None:
        """As PostgresDatabase."""
        await self._archiver.withdraw()
        await super().close()

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """As `TradeStore.add`. Calls of several processes may have the same trades: one of them finds each new."""
        unique: dict[_Key, Trade] = {}
        for trade in trades:
            unique.setdefault((trade.asset, trade.timestamp, trade.venue, trade.id), trade)
        # In the order of keys, so that two writers with the same trades do not lock each other out.
        keys = sorted(unique)
        await self._archiver.lower_for(min(map(_time, keys), default=inf))
        async with self.writes.one() as connection:
            if self._inserts == 0:
                if await copy_new(connection, "trades", COLUMNS, copy_text(map(unique.__getitem__, keys))):
                    return list(unique.values())
                self._inserts = _INSERTS
            self._inserts -= 1
            new = await _insert_all(connection, keys, unique)
        return list(unique.values()) if len(new) == len(unique) else [unique[key] for key in unique if key in new]

    async def trades(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None = None
    ) -> list[Trade]:
        """As `TradeReader.trades`, without trades that are older than the retention."""
        low, high = whole_range(max(start, self._oldest()), end)
        if low > high:
            return []
        if after is None:
            rows = await self.reads.fetch(_FIRST_PAGE[newest_first], asset, low, high, limit)
        else:
            rows = await self.reads.fetch(_NEXT_PAGE[newest_first], asset, low, high, limit, *after)
        return [trade_of(row) for row in rows]

    async def latest(self, assets: Sequence[str]) -> dict[str, Trade]:
        """As `TradeReader.latest`, without trades that are older than the retention."""
        rows = await self.reads.fetch(_LATEST, list(set(assets)), self._oldest())
        return {trade.asset: trade for trade in map(trade_of, rows)}

    async def run(self) -> None:
        """Delete old trades now and every ten minutes; never returns."""
        await keep_deleting(self.writes, "trades", self._oldest, kept_from=KEPT_FROM, before_sweep=self.share_marks)

    async def share_marks(self) -> None:
        """Tell the other processes from when this one needs trades, and log which of them needs old ones."""
        await self._archiver.publish()
        await self._archiver.warn()

    def _expiry(self) -> float:
        return self._now() - self._retention

    def _oldest(self) -> float:
        return max(0.0, min(self._expiry(), self._keep_from()))


def _time(key: _Key) -> float:
    return key[1]


async def _insert_all(connection: Any, keys: Sequence[_Key], trades: Mapping[_Key, Trade]) -> set[_Key]:
    """Insert trades in one transaction; return the keys of those that were not there."""
    new = set[_Key]()
    async with connection.transaction():
        for first in range(0, len(keys), _BATCH):
            part = keys[first : first + _BATCH]
            new.update(await _insert(connection, part, [trades[key] for key in part]))
    return new


async def _insert(connection: Any, keys: Sequence[_Key], trades: Sequence[Trade]) -> Sequence[_Key]:
    """Insert trades in the transaction of the connection; return the keys of those that were not there."""
    columns = columns_of(trades)
    if changed(await connection.execute(_INSERT, *columns)) == len(keys):
        return keys
    assets, _, _, times, venues, ids, *_ = columns
    return [keys[row[0] - 1] for row in await connection.fetch(_INSERTED, assets, times, venues, ids)]
