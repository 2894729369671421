"""The DynamoDB table of events and positions, and the stores on it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from aggregator.errors import StoreUnavailable
from aggregator.observability.metrics import Metrics
from aggregator.resilience.backoff import Backoff
from aggregator.stores.dynamodb.connected_table import QUERY_SECONDS, ConnectedTable, Item, consumed_units
from aggregator.stores.dynamodb.table_setup import TableKeys
from aggregator.stores.events.definition import check_events
from aggregator.stores.events.dynamodb_items import (
    OPEN,
    PARTITION,
    SORT,
    closed_id_key,
    closed_items,
    closed_partition,
    event_item,
    event_of,
    event_partition,
    open_item,
    open_key,
    position_of,
    sort_key,
    sort_range,
)
from aggregator.strategy.ports import Position
from aggregator.trades.ports import StoredEvent

_KEYS = TableKeys(partition=PARTITION, sort=SORT, sort_type="S")
_RANGE = f"{PARTITION} = :partition AND {SORT} BETWEEN :low AND :high"
_PUT_ATTEMPTS = 4  # for items that DynamoDB leaves out of a batch while it is too busy
_TESTED_ID = "-doctor"


class EventTable(ConnectedTable):
    """The table: batches of items, pages of a partition, transactions. Items with `expires_at` expire by the TTL.

    Raises StoreUnavailable, or StoreRefused where a retry cannot help.
    """

    def __init__(
        self, table: str, region: str, endpoint: str | None, metrics: Metrics, query_seconds: float = QUERY_SECONDS
    ) -> None:
        super().__init__(table, region, endpoint, metrics, _KEYS, query_seconds, expires=True)

    async def try_rights(self, *, writing: bool) -> None:
        """As `ConnectedTable.try_rights`, and with transactions."""
        await super().try_rights(writing=writing)
        if writing:
            await self.transact([self.put(open_key(_TESTED_ID)), self.absent(closed_id_key(_TESTED_ID))])
            await self.transact([self.delete(open_key(_TESTED_ID))])

    async def put_items(self, items: Sequence[Item]) -> None:
        """Put items of different keys, in batches."""
        for first in range(0, len(items), self.batch):
            await self._put_batch(items[first : first + self.batch])

    async def _put_batch(self, items: Sequence[Item]) -> None:
        backoff = Backoff()
        for _ in range(_PUT_ATTEMPTS):
            items = await self._write([{"PutRequest": {"Item": item}} for item in items])
            if not items:
                return
            self._metrics.dynamodb_retries.inc(len(items))
            await backoff.pause()
        raise StoreUnavailable(f"DynamoDB: {len(items)} items were not put, as it is too busy")

    async def read(
        self, partition: str, low: str, high: str, limit: int, *, newest_first: bool, consistent: bool
    ) -> list[Item]:
        """Return at most `limit` items of a partition with low <= sort key <= high, in the order of the sort keys."""
        if low > high:
            return []  # DynamoDB refuses such a range
        values = {":partition": {"S": partition}, ":low": {"S": low}, ":high": {"S": high}}
        items: list[Item] = []
        more: dict[str, Any] = {}
        while len(items) < limit:
            page, last = await self._page(
                limit - len(items),
                KeyConditionExpression=_RANGE,
                ExpressionAttributeValues=values,
                ScanIndexForward=not newest_first,
                ConsistentRead=consistent,
                **more,
            )
            items += page
            if last is None:
                break
            more = {"ExclusiveStartKey": last}
        return items

    async def transact(self, actions: Sequence[Item]) -> bool:
        """Do all of `actions` in one transaction, or none; return False where a condition of one does not hold.

        Raises StoreUnavailable also where another transaction uses one of the items.
        """
        with self._mapped_errors(), self._metrics.dynamodb_write_seconds.time():
            try:
                answer = await self._client.transact_write_items(TransactItems=actions, ReturnConsumedCapacity="TOTAL")
            except self._client.exceptions.TransactionCanceledException as error:
                reasons = {one.get("Code") for one in error.response.get("CancellationReasons", ())}
                if reasons <= {"None", "ConditionalCheckFailed"} and "ConditionalCheckFailed" in reasons:
                    return False
                raise
        self._metrics.dynamodb_write_units.inc(consumed_units(answer.get("ConsumedCapacity")))
        return True

    def put(self, item: Item, condition: str = "", **values: str) -> Item:
        """Return the action that puts an item, under a condition; `values` are texts in it."""
        return self._action("Put", {"Item": item}, condition, values)

    def delete(self, key: Item, condition: str = "", **values: str) -> Item:
        """Return the action that deletes an item, under a condition; `values` are texts in it."""
        return self._action("Delete", {"Key": key}, condition, values)

    def absent(self, key: Item) -> Item:
        """Return the action that checks that there is no item of a key."""
        return self._action("ConditionCheck", {"Key": key}, f"attribute_not_exists({PARTITION})", {})

    def _action(self, kind: str, what: Item, condition: str, values: dict[str, str]) -> Item:
        action: dict[str, Any] = {"TableName": self._table, **what}
        if condition:
            action["ConditionExpression"] = condition
        if values:
            action["ExpressionAttributeValues"] = {f":{name}": {"S": value} for name, value in values.items()}
        return {kind: action}


class DynamoEvents:
    """`aggregator.trades.ports.EventStore` in a table. `retention` is in seconds, by the time of an event."""

    name = "dynamodb"

    def __init__(self, table: EventTable, retention: float, now: Callable[[], float]) -> None:
        self._table = table
        self._retention = retention
        self._now = now

    async def put(self, topic: str, events: Sequence[StoredEvent]) -> None:
        """As `EventStore.put`. Of events with the same key in one call, the last is put."""
        check_events(events)
        items = [event_item(topic, event, self._retention) for event in events]
        await self._table.put_items(list({(item[PARTITION]["S"], item[SORT]["S"]): item for item in items}.values()))

    async def events(
        self,
        topic: str,
        asset: str,
        start: float,
        end: float,
        limit: int,
        *,
        newest_first: bool,
        after: tuple[float, str] | None = None,
    ) -> list[StoredEvent]:
        """As `EventReader.events`."""
        low, high = sort_range(max(start, self._now() - self._retention), end)
        excluded = "" if after is None else sort_key(*after)
        if after is not None and newest_first:
            high = min(high, excluded)
        elif after is not None:
            low = max(low, excluded)
        partition = event_partition(topic, asset)
        items = await self._table.read(
            partition, low, high, limit + (after is not None), newest_first=newest_first, consistent=False
        )
        return [event_of(item) for item in items if item[SORT]["S"] != excluded][:limit]

    async def run(self) -> None:
        """Wait; DynamoDB deletes old events itself."""
        await asyncio.Event().wait()

    async def ping(self) -> None:
        """Raise StoreError unless the table can be read."""
        await self._table.read(OPEN, _TESTED_ID, _TESTED_ID, 1, newest_first=False, consistent=False)

    async def close(self) -> None:
        """Close the connections, also those of positions."""
        await self._table.close()


class DynamoPositions:
    """`aggregator.strategy.ports.PositionStore` in the same table, which DynamoEvents closes.

    An asset has one item for its open position, so it has at most one. Reads of positions are consistent.
    """

    def __init__(self, table: EventTable) -> None:
        self._table = table

    async def open(self, position: Position) -> bool:
        """As `PositionStore.open`: a conditional put, and a check that the position was not closed."""
        condition = f"attribute_not_exists({PARTITION}) OR id = :id"
        return await self._table.transact(
            [
                self._table.put(open_item(position), condition, id=position.id),
                self._table.absent(closed_id_key(position.id)),
            ]
        )

    async def close_position(self, position: Position) -> bool:
        """As `PositionStore.close_position`, in one transaction."""
        closed = [self._table.put(item) for item in closed_items(position)]
        return await self._table.transact(
            [self._table.delete(open_key(position.asset), "id = :id", id=position.id), *closed]
        )

    async def open_positions(self, assets: Sequence[str]) -> list[Position]:
        """As `PositionReader.open_positions`."""
        if not assets:
            return []
        low, high, most = min(assets), max(assets), 1 << 20
        items = await self._table.read(OPEN, low, high, most, newest_first=False, consistent=True)
        asked = set(assets)
        found = {item[SORT]["S"]: position_of(item) for item in items if item[SORT]["S"] in asked}
        return [found[asset] for asset in assets if asset in found]

    async def closed(self, asset: str | None, limit: int, after: tuple[float, str] | None = None) -> list[Position]:
        """As `PositionReader.closed`."""
        last = "" if after is None else sort_key(*after)
        high = last or sort_range(0, float("inf"))[1]
        items = await self._table.read(
            closed_partition(asset), "0", high, limit + bool(last), newest_first=True, consistent=True
        )
        return [position_of(item) for item in items if item[SORT]["S"] != last][:limit]
