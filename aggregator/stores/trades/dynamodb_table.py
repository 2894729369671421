"""The DynamoDB table of trades: batches of items, and reads that merge the shards of an asset."""

from collections.abc import Callable, Sequence
from itertools import chain
from math import inf, isqrt

from aggregator.errors import StoreRefused
from aggregator.models import Trade, TradeKey
from aggregator.observability.metrics import Metrics
from aggregator.resilience.together import all_of
from aggregator.stores.dynamodb.connected_table import QUERY_SECONDS, ConnectedTable, Item
from aggregator.stores.dynamodb.table_setup import TableKeys
from aggregator.stores.trades.dynamodb_items import (
    PARTITION,
    SHARDS,
    SORT,
    item_of,
    partition,
    sort_key,
    sort_range,
    trade_of,
)

_KEYS = TableKeys(partition=PARTITION, sort=SORT, sort_type="S")
_CONDITION = f"{PARTITION} = :partition AND {SORT} BETWEEN :low AND :high"


class TradeTable(ConnectedTable):
    """A table of trades. Items expire `retention` seconds after the time of their trade, by DynamoDB's TTL.

    Raises StoreUnavailable, or StoreRefused where a retry cannot help.
    """

    def __init__(
        self,
        table: str,
        region: str,
        endpoint: str | None,
        metrics: Metrics,
        retention: float,
        now: Callable[[], float],
        query_seconds: float = QUERY_SECONDS,
    ) -> None:
        super().__init__(table, region, endpoint, metrics, _KEYS, query_seconds, expires=True)
        self._retention = retention
        self._now = now

    async def put(self, trades: Sequence[Trade]) -> list[Trade]:
        """Put at most `batch` trades of different keys in one call; return those DynamoDB did not process."""
        left = await self._write([{"PutRequest": {"Item": item_of(trade, self._retention)}} for trade in trades])
        return [trade_of(item) for item in left]

    async def trades(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None = None
    ) -> list[Trade]:
        """As `TradeReader.trades`, without trades that are older than the retention."""
        low, high = sort_range(max(start, self._now() - self._retention), end)
        excluded = "" if after is None else sort_key(after)
        if after is not None and newest_first:
            high = min(high, excluded)
        elif after is not None:
            low = max(low, excluded)
        if low > high:
            return []  # DynamoDB refuses such a range
        shards = [_Shard(partition(asset, number), low, high, excluded) for number in range(SHARDS)]
        return [trade_of(item) for item in await self._merged(shards, limit, newest_first=newest_first)]

    async def latest(self, assets: Sequence[str]) -> dict[str, Trade]:
        """As `TradeReader.latest`, without trades that are older than the retention."""
        found = await all_of(self._latest(asset) for asset in assets)
        return {trade.asset: trade for trade in found if trade is not None}

    async def _latest(self, asset: str) -> Trade | None:
        try:
            trades = await self.trades(asset, 0, inf, 1, newest_first=True)
        except StoreRefused:  # an item of another writer that is no trade must not fail the other assets
            self._metrics.store_errors.labels(self.name, StoreRefused.reason).inc()
            return None
        return trades[0] if trades else None

    async def _merged(self, shards: Sequence["_Shard"], limit: int, *, newest_first: bool) -> list[Item]:
        """Return the first items of all shards, in order. Each read takes a shard's share of them, and some more."""
        size = min(limit, limit // SHARDS + isqrt(limit) + 1)
        unread, items = list(shards), list[Item]()
        while unread:
            await all_of(self._read(shard, size, newest_first=newest_first) for shard in unread)
            items = sorted(chain.from_iterable(shard.items for shard in shards), key=_sort, reverse=newest_first)
            items = items[:limit]
            last = _sort(items[-1]) if len(items) == limit else None
            unread = [shard for shard in shards if shard.may_have_before(last, newest_first=newest_first)]
        return items

    async def _read(self, shard: "_Shard", size: int, *, newest_first: bool) -> None:
        more = {} if shard.next is None else {"ExclusiveStartKey": shard.next}
        values = {":partition": {"S": shard.partition}, ":low": {"S": shard.low}, ":high": {"S": shard.high}}
        items, shard.next = await self._page(
            size,
            KeyConditionExpression=_CONDITION,
            ExpressionAttributeValues=values,
            ScanIndexForward=not newest_first,
            **more,
        )
        shard.items += [item for item in items if _sort(item) != shard.excluded]


class _Shard:
    """The trades that were read of one shard. `next` is where its next page begins, None after the last."""

    def __init__(self, partition: str, low: str, high: str, excluded: str) -> None:
        self.partition, self.low, self.high, self.excluded = partition, low, high, excluded
        self.items: list[Item] = []
        self.next: Item | None = None

    def may_have_before(self, last: str | None, *, newest_first: bool) -> bool:
        """Whether pages that were not read may have items before this sort key; None stands for the end."""
        if self.next is None or last is None:
            return self.next is not None
        reached = _sort(self.next)
        return reached > last if newest_first else reached < last


def _sort(item: Item) -> str:
    found: str = item[SORT]["S"]
    return found
