"""The DynamoDB table of prices, through aioboto3.

Attributes: asset (S, partition), timestamp (N, sort: exchange time in unix seconds), price (N), updated_at (N, our
time), tier (S), spread (N), sources and, if any, left_out (S, JSON), expires_at (N, only with a retention).
"""

import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from aggregator.errors import StoreRefused
from aggregator.models import FUTURE_TOLERANCE, LeftOut, Price, Source, Tier, encode
from aggregator.observability.metrics import Metrics
from aggregator.resilience.together import all_of
from aggregator.stores.dynamodb.connected_table import QUERY_SECONDS, ConnectedTable, Item
from aggregator.stores.dynamodb.table_setup import TableKeys

_KEYS = TableKeys(partition="asset", sort="timestamp", sort_type="N")

_sources_decoder = msgspec.json.Decoder(tuple[Source, ...])
_left_out_decoder = msgspec.json.Decoder(tuple[LeftOut, ...])


class DynamoTable(ConnectedTable):
    """`aggregator.ports.Table`. Raises StoreUnavailable, or StoreRefused where a retry cannot help.

    With `retention` (seconds after `updated_at`), items expire by DynamoDB's TTL; without, they never expire.
    """

    def __init__(
        self,
        table: str,
        region: str,
        endpoint: str | None,
        metrics: Metrics,
        retention: float | None = None,
        now: Callable[[], float] = time.time,
        query_seconds: float = QUERY_SECONDS,
    ) -> None:
        super().__init__(table, region, endpoint, metrics, _KEYS, query_seconds, expires=retention is not None)
        self._retention = retention
        self._now = now

    async def put(self, prices: Sequence[Price]) -> list[Price]:
        """Put at most `batch` prices of different keys in one call; return those DynamoDB did not process."""
        left = await self._write([{"PutRequest": {"Item": self._item(price)}} for price in prices])
        return [price_of(item) for item in left]

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return the newest price of each symbol, without prices of the future; a symbol without any is left out."""
        found = await all_of(self._latest(symbol) for symbol in symbols)
        return {price.asset: price for price in found if price is not None}

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """As `History.between`."""
        return await self._query(symbol, start, end, limit, newest_first=newest_first)

    async def points(self, symbol: str, start: float, end: float, limit: int) -> list[tuple[float, float]]:
        """As `PointSource.points`. Only times and prices are sent, a tenth of an item."""
        items = await self._items(
            symbol, start, end, limit, newest_first=False, ProjectionExpression="#timestamp, price"
        )
        return [_point(item) for item in items]

    async def _latest(self, symbol: str) -> Price | None:
        try:
            prices = await self._query(symbol, 0, self._now() + FUTURE_TOLERANCE, 1, newest_first=True)
        except StoreRefused:  # an item of another writer that is no price must not fail the other symbols
            self._metrics.store_errors.labels(self.name, StoreRefused.reason).inc()
            return None
        return prices[0] if prices else None

    async def _query(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        items = await self._items(symbol, start, end, limit, newest_first=newest_first)
        return [price_of(item) for item in items]

    async def _items(
        self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool, **parameters: str
    ) -> list[Item]:
        if start > end:
            return []  # DynamoDB refuses such a range
        condition, values = _condition(symbol, start, end)
        items: list[Item] = []
        page: dict[str, Any] = {}
        while len(items) < limit:
            found, last = await self._page(
                limit - len(items),
                KeyConditionExpression=condition,
                ExpressionAttributeNames={"#timestamp": "timestamp"},
                ExpressionAttributeValues=values,
                ScanIndexForward=not newest_first,
                **parameters,
                **page,
            )
            items += found
            if last is None:
                break
            page = {"ExclusiveStartKey": last}
        return items

    def _item(self, price: Price) -> Item:
        if self._retention is None:
            return _item(price)
        return _item(price) | {"expires_at": {"N": str(int(price.updated_at + self._retention))}}


def _condition(symbol: str, start: float, end: float) -> tuple[str, Item]:
    values = {":asset": {"S": symbol}, ":start": {"N": repr(start)}, ":end": {"N": repr(end)}}
    return "asset = :asset AND #timestamp BETWEEN :start AND :end", values


def _item(price: Price) -> Item:
    item = {
        "asset": {"S": price.asset},
        "timestamp": {"N": repr(price.timestamp)},
        "price": {"N": str(price.price)},
        "updated_at": {"N": repr(price.updated_at)},
        "tier": {"S": price.tier.value},
        "spread": {"N": str(price.spread)},
        "sources": {"S": encode(price.sources).decode()},
    }
    if price.left_out:
        item["left_out"] = {"S": encode(price.left_out).decode()}
    return item


def price_of(item: Item) -> Price:
    """Return the item's price. Only keys and price are required, because items of other writers may have no more.

    Raises StoreRefused for an item that is no price.
    """
    try:
        return Price(
            asset=item["asset"]["S"],
            price=Decimal(item["price"]["N"]),
            timestamp=float(item["timestamp"]["N"]),
            tier=Tier(item.get("tier", {"S": Tier.COLD})["S"]),
            spread=Decimal(item.get("spread", {"N": "0"})["N"]),
            updated_at=float(item.get("updated_at", item["timestamp"])["N"]),
            sources=_sources_decoder.decode(item.get("sources", {"S": "[]"})["S"]),
            left_out=_left_out_decoder.decode(item.get("left_out", {"S": "[]"})["S"]),
        )
    except (KeyError, ValueError, ArithmeticError) as error:
        raise StoreRefused(f"DynamoDB: an item that is no price: {error!r}") from error


def _point(item: Item) -> tuple[float, float]:
    """Return time and price of the item. Raises StoreRefused for an item that is no price."""
    try:
        return float(item["timestamp"]["N"]), float(item["price"]["N"])
    except (KeyError, ValueError) as error:
        raise StoreRefused(f"DynamoDB: an item that is no price: {error!r}") from error
