"""The PostgreSQL table of history: batches of prices, reads by time, and bars that the database computes."""

import time
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec
from pydantic import SecretStr

from aggregator.errors import StoreRefused
from aggregator.models import FUTURE_TOLERANCE, LeftOut, Price, Source, Tier, encode
from aggregator.prices.bars import Bars
from aggregator.stores.postgres.address import PostgresAddress
from aggregator.stores.postgres.connections import READ_SECONDS, WRITE_SECONDS, Row
from aggregator.stores.postgres.database import PostgresDatabase
from aggregator.stores.postgres.deletion import keep_deleting
from aggregator.stores.postgres.times import wide_range

_WRITERS = 4  # the outbox has several batches in flight

_COLUMNS = "asset, timestamp, price, unix_time, tier, spread, updated_at, sources, left_out"
_PUT = f"""
INSERT INTO prices ({_COLUMNS})
SELECT asset, timestamp, price::numeric, unix_time, tier, spread::numeric, updated_at, sources::jsonb, left_out::jsonb
FROM unnest(
    $1::text[], $2::timestamptz[], $3::text[], $4::double precision[], $5::text[], $6::text[], $7::double precision[],
    $8::text[], $9::text[]
) AS sent ({_COLUMNS})
ON CONFLICT (asset, timestamp) DO UPDATE SET
    price = excluded.price, unix_time = excluded.unix_time, tier = excluded.tier, spread = excluded.spread,
    updated_at = excluded.updated_at, sources = excluded.sources, left_out = excluded.left_out
"""
_FIELDS = "asset, price, unix_time, tier, spread, updated_at, sources::text, left_out::text"
# The key has rounded times: its range is wider by less than a microsecond, and the exact time decides.
_WITHIN = "asset = $1 AND timestamp BETWEEN $2 AND $3 AND unix_time >= $4 AND unix_time <= $5"
_BETWEEN = {
    False: f"SELECT {_FIELDS} FROM prices WHERE {_WITHIN} ORDER BY timestamp LIMIT $6",
    True: f"SELECT {_FIELDS} FROM prices WHERE {_WITHIN} ORDER BY timestamp DESC LIMIT $6",
}
_POINTS = f"SELECT unix_time, price::double precision FROM prices WHERE {_WITHIN} ORDER BY timestamp LIMIT $6"
_LATEST = f"""
SELECT last.* FROM unnest($1::text[]) AS asked (symbol) CROSS JOIN LATERAL (
    SELECT {_FIELDS} FROM prices WHERE asset = asked.symbol AND timestamp <= $2 ORDER BY timestamp DESC LIMIT 1
) AS last
"""
_MINUTES = """
SELECT
    floor(unix_time / 60) * 60 AS start,
    (array_agg(price ORDER BY timestamp))[1]::double precision,
    max(price)::double precision,
    min(price)::double precision,
    (array_agg(price ORDER BY timestamp DESC))[1]::double precision,
    count(*)::double precision
FROM prices WHERE asset = $1 AND timestamp BETWEEN $2 AND $3 AND unix_time >= $4 AND unix_time < $5
GROUP BY start ORDER BY start
"""

_sources_decoder = msgspec.json.Decoder(tuple[Source, ...])
_left_out_decoder = msgspec.json.Decoder(tuple[LeftOut, ...])


class PostgresTable(PostgresDatabase):
    """`aggregator.ports.Table`, `PointSource` and `MinuteSource` in a PostgreSQL database.

    Raises StoreUnavailable, or StoreRefused where a retry cannot help. `retention` is in seconds after `updated_at`.
    """

    name = "postgresql"
    batch = 500

    def __init__(
        self,
        address: PostgresAddress,
        password: SecretStr,
        retention: float | None = None,
        now: Callable[[], float] = time.time,
        read_seconds: float = READ_SECONDS,
        write_seconds: float = WRITE_SECONDS,
    ) -> None:
        super().__init__(address, password, _WRITERS, read_seconds, write_seconds)
        self._retention = retention
        self._now = now

    async def put(self, prices: Sequence[Price]) -> list[Price]:
        """Put all of `prices` in one statement, which is all or nothing; return none."""
        # One row for each rounded time, in the order of keys, so that two writers do not lock each other out.
        unique = {(price.asset, round(price.timestamp * 1_000_000)): price for price in prices}
        rows = [unique[key] for key in sorted(unique)]
        await self.writes.execute(
            _PUT,
            [price.asset for price in rows],
            [price.timestamp for price in rows],
            [str(price.price) for price in rows],
            [price.timestamp for price in rows],
            [price.tier for price in rows],
            [str(price.spread) for price in rows],
            [price.updated_at for price in rows],
            [encode(price.sources).decode() for price in rows],
            [encode(price.left_out).decode() for price in rows],
        )
        return []

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """As `History.latest`."""
        rows = await self.reads.fetch(_LATEST, list(set(symbols)), self._now() + FUTURE_TOLERANCE)
        return {price.asset: price for price in map(_price, rows)}

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """As `History.between`."""
        rows = await self.reads.fetch(_BETWEEN[newest_first], symbol, *wide_range(start, end), start, end, limit)
        return [_price(row) for row in rows]

    async def points(self, symbol: str, start: float, end: float, limit: int) -> list[tuple[float, float]]:
        """As `PointSource.points`."""
        rows = await self.reads.fetch(_POINTS, symbol, *wide_range(start, end), start, end, limit)
        return [(row[0], row[1]) for row in rows]

    async def minutes(self, symbol: str, start: int, end: int) -> Bars:
        """As `MinuteSource.minutes`."""
        rows = await self.reads.fetch(_MINUTES, symbol, *wide_range(start, end), start, end)
        return Bars(row[place] for row in rows for place in range(6))

    async def run(self) -> None:
        """Delete old prices now and every ten minutes; returns at once where prices are kept for good."""
        retention = self._retention
        if retention is not None:
            await keep_deleting(self.writes, "prices", lambda: self._now() - retention, "updated_at")


def _price(row: Row) -> Price:
    """Return the row's price. Raises StoreRefused for a row of another writer that is no price."""
    try:
        return Price(
            asset=row[0],
            price=Decimal(row[1]),
            timestamp=row[2],
            tier=Tier(row[3]),
            spread=Decimal(row[4]),
            updated_at=row[5],
            sources=_sources_decoder.decode(row[6]),
            left_out=_left_out_decoder.decode(row[7]),
        )
    except (ValueError, ArithmeticError) as error:
        raise StoreRefused(f"PostgreSQL: a row that is no price: {error!r}") from error
