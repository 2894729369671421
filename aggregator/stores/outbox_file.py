"""The outbox's file of prices: a `WaitingFile` with a group for each tier, and its reads."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from aggregator.models import Price, Tier, decode_price, encode
from aggregator.stores.record_kind import Key, RecordKind
from aggregator.stores.waiting_file import WaitingFile


def price_key(price: Price) -> Key:
    """Return what identifies a price."""
    return (price.asset, price.timestamp)


PRICE = RecordKind(
    key=price_key,
    encode=lambda price: encode(price).decode(),
    decode=decode_price,
    groups=tuple(tier.value for tier in Tier),
    group=lambda price: price.tier.value,
)
"""The oldest cold prices are the first that are given up when the file is full."""


class OutboxFile(WaitingFile[Price]):
    """The file at `path`, at most `most_bytes` large without its journal. Raises StoreError."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        super().__init__(path, most_bytes, PRICE)

    async def latest(self, symbols: Sequence[str], until: float) -> dict[str, Price]:
        """Return each symbol's newest waiting price that is not later than `until` (unix seconds)."""
        query = self.of_all_groups("WHERE asset = ?1 AND timestamp <= ?2 ORDER BY timestamp DESC, id DESC LIMIT 1")
        found = await self.read_each(query, [(symbol, until) for symbol in symbols])
        newest = (_newest_first(rows)[:1] for rows in found)
        return {price.asset: price for prices in newest for price in prices}

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """As `History.between`, of waiting prices; of two with the same time, the one written last."""
        order = "DESC" if newest_first else "ASC"
        # One row per time: with max(id), SQLite takes the other columns from the row that has the largest id.
        part = (
            f"WHERE asset = ?1 AND timestamp BETWEEN ?2 AND ?3 GROUP BY timestamp ORDER BY timestamp {order} LIMIT ?4"
        )
        query = self.of_all_groups(part, "max(id) AS id, body")
        prices = _newest_first(await self.read(query, (symbol, start, end, limit)))
        return (prices if newest_first else prices[::-1])[:limit]


def _newest_first(rows: Iterable[tuple[int, str]]) -> list[Price]:
    """Return one price per time, the one written last; newest first."""
    by_time: dict[float, tuple[int, Price]] = {}
    for row_id, body in rows:
        price = decode_price(body)
        known = by_time.get(price.timestamp)
        if known is None or row_id > known[0]:
            by_time[price.timestamp] = (row_id, price)
    return [by_time[timestamp][1] for timestamp in sorted(by_time, reverse=True)]
