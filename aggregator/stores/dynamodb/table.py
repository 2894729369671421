"""The DynamoDB table of prices, through aioboto3.

Attributes: asset (S, partition), timestamp (N, sort: exchange time in unix seconds), price (N), updated_at (N, our
time), tier (S), spread (N), sources and, if any, left_out (S, JSON), expires_at (N, only with a retention).
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from decimal import Decimal
from typing import Any

import aioboto3
import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from aggregator.errors import StoreError, StoreRefused, StoreUnavailable
from aggregator.models import FUTURE_TOLERANCE, LeftOut, Price, Source, Tier, encode
from aggregator.observability.metrics import Metrics
from aggregator.stores.dynamodb.batch_body import encode_batches_in_one_call

Item = dict[str, dict[str, str]]

_QUERIES_IN_FLIGHT = 32
_QUERY_SECONDS = 1.0  # per page of a query; leaves a request the time to get its price elsewhere
_TABLE_WAIT = 30.0  # seconds for a new table to become active
_KEYS = [{"AttributeName": "asset", "KeyType": "HASH"}, {"AttributeName": "timestamp", "KeyType": "RANGE"}]
_TYPES = [
    {"AttributeName": "asset", "AttributeType": "S"},
    {"AttributeName": "timestamp", "AttributeType": "N"},
]
_TEST_KEY: Item = {"asset": {"S": "-doctor"}, "timestamp": {"N": "0"}}  # of no asset: no symbol has a hyphen
_FINAL = {"ValidationException"}  # errors of the item; missing rights or a missing table can be mended

_sources_decoder = msgspec.json.Decoder(tuple[Source, ...])
_left_out_decoder = msgspec.json.Decoder(tuple[LeftOut, ...])


class DynamoTable:
    """`aggregator.ports.Table`. Raises StoreUnavailable, or StoreRefused where a retry cannot help.

    With `retention` (seconds after `updated_at`), items expire by DynamoDB's TTL; without, they never expire.
    """

    name = "dynamodb"
    batch = 25  # the most that BatchWriteItem takes

    def __init__(
        self,
        table: str,
        region: str,
        endpoint: str | None,
        metrics: Metrics,
        retention: float | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._table = table
        self._region = region
        self._endpoint = endpoint
        self._metrics = metrics
        self._retention = retention
        self._now = now
        self._stack = AsyncExitStack()
        self._client: Any = None  # aioboto3 has no types
        self._queries = asyncio.Semaphore(_QUERIES_IN_FLIGHT)

    async def open(self) -> None:
        """Connect, and create the table if it is missing. May be called again after an error."""
        if self._client is None:
            await self.connect()
        with self._mapped_errors():
            await self._ensure_table()
            if self._retention is not None:
                await self._ensure_expiry()

    async def connect(self) -> None:
        """Create the client, which takes 60 ms. Sends nothing yet."""
        with self._mapped_errors():
            session = aioboto3.Session()
            self._client = await self._stack.enter_async_context(
                session.client(
                    "dynamodb",
                    region_name=self._region,
                    endpoint_url=self._endpoint,
                    config=Config(
                        connect_timeout=3,  # seconds; a busy machine needs one or two when the service starts
                        read_timeout=3,
                        max_pool_connections=2 * _QUERIES_IN_FLIGHT,
                        parameter_validation=False,  # takes half the CPU time; this module builds every request
                        retries={"total_max_attempts": 1},  # the outbox retries; nested retries would multiply
                        user_agent="price-aggregator",  # botocore builds its own anew for each call
                    ),
                    **await _credentials(session, self._endpoint),
                )
            )
        encode_batches_in_one_call(self._client)

    async def exists(self) -> bool:
        """Return whether the table exists. Raises StoreRefused when it has other keys than ours."""
        with self._mapped_errors():
            try:
                self._check_keys(await self._client.describe_table(TableName=self._table))
            except self._client.exceptions.ResourceNotFoundException:
                return False
        return True

    async def expires(self) -> bool:
        """Return whether the table's TTL is on. Raises StoreRefused where it uses another attribute."""
        with self._mapped_errors():
            return await self._has_expiry()

    async def try_rights(self, *, writing: bool) -> None:
        """Read a test item and, if `writing`, write and delete it. Raises StoreUnavailable where a right is missing."""
        await self._query(_TEST_KEY["asset"]["S"], 0, 1, 1, newest_first=True)
        put = {"PutRequest": {"Item": _TEST_KEY | {"price": {"N": "0"}}}}
        for request in (put, {"DeleteRequest": {"Key": _TEST_KEY}}) if writing else ():
            with self._mapped_errors():
                await self._client.batch_write_item(RequestItems={self._table: [request]})

    async def put(self, prices: Sequence[Price]) -> list[Price]:
        """Put at most `batch` prices of different keys in one call; return those DynamoDB did not process."""
        requests = [{"PutRequest": {"Item": self._item(price)}} for price in prices]
        with self._mapped_errors(), self._metrics.dynamodb_write_seconds.time():
            answer = await self._client.batch_write_item(
                RequestItems={self._table: requests}, ReturnConsumedCapacity="TOTAL"
            )
            left = answer["UnprocessedItems"].get(self._table, [])  # missing from an answer that is not DynamoDB's
        self._metrics.dynamodb_write_units.inc(_units(answer.get("ConsumedCapacity")))
        return [_price(request["PutRequest"]["Item"]) for request in left]

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return the newest price of each symbol, without prices of the future; a symbol without any is left out."""
        try:
            async with asyncio.TaskGroup() as group:  # the first failure cancels the others
                queries = [group.create_task(self._latest(symbol)) for symbol in symbols]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        found = (query.result() for query in queries)
        return {price.asset: price for price in found if price is not None}

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """As `History.between`."""
        return await self._query(symbol, start, end, limit, newest_first=newest_first)

    async def close(self) -> None:
        """Close the connections."""
        await self._stack.aclose()

    async def _latest(self, symbol: str) -> Price | None:
        try:
            prices = await self._query(symbol, 0, self._now() + FUTURE_TOLERANCE, 1, newest_first=True)
        except StoreRefused:  # an item of another writer that is no price must not fail the other symbols
            self._metrics.store_errors.labels(self.name, StoreRefused.reason).inc()
            return None
        return prices[0] if prices else None

    async def _query(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        if start > end:
            return []  # DynamoDB refuses such a range
        condition, values = _condition(symbol, start, end)
        prices: list[Price] = []
        page: dict[str, Any] = {}
        while len(prices) < limit:
            async with self._queries:
                with self._mapped_errors(), self._metrics.dynamodb_read_seconds.time():
                    async with asyncio.timeout(_QUERY_SECONDS):
                        answer = await self._client.query(
                            TableName=self._table,
                            KeyConditionExpression=condition,
                            ExpressionAttributeNames={"#timestamp": "timestamp"},
                            ExpressionAttributeValues=values,
                            Limit=limit - len(prices),
                            ScanIndexForward=not newest_first,
                            ReturnConsumedCapacity="TOTAL",
                            **page,
                        )
                    items = answer["Items"]
            self._metrics.dynamodb_read_units.inc(_units([answer.get("ConsumedCapacity", {})]))
            prices += [_price(item) for item in items]
            if "LastEvaluatedKey" not in answer:
                break
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        return prices

    async def _ensure_table(self) -> None:
        try:
            found = await self._client.describe_table(TableName=self._table)
        except self._client.exceptions.ResourceNotFoundException:
            await self._create_table()
            found = await self._client.describe_table(TableName=self._table)
        deadline = time.monotonic() + _TABLE_WAIT
        while found["Table"]["TableStatus"] == "CREATING" and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            found = await self._client.describe_table(TableName=self._table)
        if found["Table"]["TableStatus"] == "CREATING":
            raise StoreUnavailable(f"table {self._table} is still being created after {_TABLE_WAIT:g} s")
        self._check_keys(found)

    def _check_keys(self, found: Mapping[str, Any]) -> None:
        keys = {key["AttributeName"]: key["KeyType"] for key in found["Table"]["KeySchema"]}
        if keys != {"asset": "HASH", "timestamp": "RANGE"}:
            raise StoreRefused(f"table {self._table} has other keys than asset (partition) and timestamp (sort)")

    async def _create_table(self) -> None:
        try:
            await self._client.create_table(
                TableName=self._table, KeySchema=_KEYS, AttributeDefinitions=_TYPES, BillingMode="PAY_PER_REQUEST"
            )
        except self._client.exceptions.ResourceInUseException:
            return  # another process was faster

    async def _ensure_expiry(self) -> None:
        """Turn on the table's TTL, by `expires_at`."""
        if not await self._has_expiry():
            await self._client.update_time_to_live(
                TableName=self._table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
            )

    async def _has_expiry(self) -> bool:
        found = (await self._client.describe_time_to_live(TableName=self._table))["TimeToLiveDescription"]
        if found.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
            return False
        if found.get("AttributeName") != "expires_at":
            raise StoreRefused(f"table {self._table} expires by {found.get('AttributeName')}, not by expires_at")
        return True

    def _item(self, price: Price) -> Item:
        if self._retention is None:
            return _item(price)
        return _item(price) | {"expires_at": {"N": str(int(price.updated_at + self._retention))}}

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        """Map botocore's errors to StoreError."""
        try:
            yield
        except ClientError as error:
            self._metrics.dynamodb_errors.inc()
            code = error.response.get("Error", {}).get("Code", "")
            kind: type[StoreError] = StoreRefused if code in _FINAL else StoreUnavailable
            raise kind(f"DynamoDB: {error}") from error
        except (BotoCoreError, ResponseParserError, OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            # The last four come from reading a body that is not DynamoDB's, such as a proxy's error page.
            self._metrics.dynamodb_errors.inc()
            raise StoreUnavailable(f"DynamoDB: {error!r}") from error


async def _credentials(session: Any, endpoint: str | None) -> dict[str, str]:
    """Return placeholders for an endpoint such as DynamoDB Local if no credentials are configured; else nothing."""
    if endpoint is None or await session.get_credentials() is not None:
        return {}
    return {"aws_access_key_id": "local", "aws_secret_access_key": "local"}


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


def _price(item: Mapping[str, Mapping[str, str]]) -> Price:
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


def _units(consumed: Sequence[Mapping[str, Any]] | None) -> float:
    return sum(float(one.get("CapacityUnits", 0)) for one in consumed or [])
