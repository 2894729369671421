"""Trades as DynamoDB items. Pure.

Attributes: asset_shard (S, partition: `btcusdt#3`), time_id (S, sort: microseconds in 20 digits, `#`, venue, tab, id),
price (N), venue (S), id (S), expires_at (N, unix seconds) and, if any, volume (N), side (S), sequence_number (N), late
(BOOL).

An asset has SHARDS partitions, because DynamoDB limits the writes of one partition to 1,000 a second. The order of
`time_id` is that of `trade_key`, because venues have printable characters only, which are all above a tab.
"""

import zlib
from decimal import Decimal
from typing import Any

from aggregator.errors import StoreRefused
from aggregator.models import Side, Trade, TradeKey, trade_key

Item = dict[str, dict[str, Any]]

PARTITION, SORT = "asset_shard", "time_id"
SHARDS = 8
_LATEST = 10**14  # seconds; 20 digits hold it in microseconds


def item_of(trade: Trade, retention: float) -> Item:
    """Return the item of a trade; it expires `retention` seconds after the trade."""
    item: Item = {
        PARTITION: {"S": partition(trade.asset, shard_of(trade.venue, trade.id))},
        SORT: {"S": sort_key(trade_key(trade))},
        "price": {"N": str(trade.price)},
        "venue": {"S": trade.venue},
        "id": {"S": trade.id},
        "expires_at": {"N": str(int(trade.timestamp + retention))},
    }
    if trade.volume is not None:
        item["volume"] = {"N": str(trade.volume)}
    if trade.side is not None:
        item["side"] = {"S": trade.side.value}
    if trade.sequence is not None:
        item["sequence_number"] = {"N": str(trade.sequence)}
    if trade.late:
        item["late"] = {"BOOL": True}
    return item


def trade_of(item: Item) -> Trade:
    """Return the trade of an item. Raises StoreRefused for an item that is no trade."""
    try:
        return Trade(
            asset=item[PARTITION]["S"].rpartition("#")[0],
            price=Decimal(item["price"]["N"]),
            volume=Decimal(item["volume"]["N"]) if "volume" in item else None,
            timestamp=int(item[SORT]["S"][:20]) / 1_000_000,
            venue=item["venue"]["S"],
            id=item["id"]["S"],
            side=Side(item["side"]["S"]) if "side" in item else None,
            sequence=int(item["sequence_number"]["N"]) if "sequence_number" in item else None,
            late="late" in item,
        )
    except (KeyError, ValueError, ArithmeticError) as error:
        raise StoreRefused(f"DynamoDB: an item that is no trade: {error!r}") from error


def partition(asset: str, shard: int) -> str:
    """Return the partition key of one shard of an asset."""
    return f"{asset}#{shard}"


def shard_of(venue: str, trade_id: str) -> int:
    """Return the shard of a trade, from 0: a hash that is the same in every process."""
    return zlib.crc32(f"{venue}#{trade_id}".encode()) % SHARDS


def sort_key(key: TradeKey) -> str:
    """Return the sort key of a trade."""
    return f"{round(key.timestamp * 1_000_000):020d}#{key.venue}\t{key.id}"


def sort_range(start: float, end: float) -> tuple[str, str]:
    """Return the lowest and the highest sort key of trades with start <= timestamp <= end."""
    first, last = max(0.0, min(start, _LATEST)), min(end, _LATEST)
    low, high = round(first * 1_000_000), round(last * 1_000_000)
    low += low / 1_000_000 < first
    high -= high / 1_000_000 > last
    return (f"{low:020d}", f"{high:020d}$") if high >= 0 else ("1", "0")
