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
from aggregator.stores.dynamodb.table_setup import ensure_expiry, ensure_table, has_expiry, table_exists

Item = dict[str, dict[str, str]]

_QUERIES_IN_FLIGHT = 32
QUERY_SECONDS = 1.0  # per page of a query; leaves a request the time to get its price elsewhere
_TEST_KEY: Item = {"asset": {"S": "-doctor"}, "timestamp": {"N": "0"}}  # of no asset: no symbol has a hyphen
_BODY = "aggregator.body"  # key in the context that botocore keeps for each request
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
        query_seconds: float = QUERY_SECONDS,
    ) -> None:
        self._table = table
        self._region = region
        self._endpoint = endpoint
        self._metrics = metrics
        self._retention = retention
        self._now = now
        self._query_seconds = query_seconds
        self._stack = AsyncExitStack()
        self._client: Any = None  # aioboto3 has no types
        self._queries = asyncio.Semaphore(_QUERIES_IN_FLIGHT)

    async def open(self) -> None:
        """Connect, and create the table if it is missing. May be called again after an error."""
        if self._client is None:
            await self.connect()
        with self._mapped_errors():
            await ensure_table(self._client, self._table)
            if self._retention is not None:
                await ensure_expiry(self._client, self._table)

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
        events = self._client.meta.events
        events.register("provide-client-params.dynamodb.BatchWriteItem", encode_parameters)
        events.register("before-call.dynamodb.BatchWriteItem", set_body)

    async def exists(self) -> bool:
        """Return whether the table exists. Raises StoreRefused when it has other keys than ours."""
        with self._mapped_errors():
            return await table_exists(self._client, self._table)

    async def expires(self) -> bool:
        """Return whether the table's TTL is on. Raises StoreRefused where it uses another attribute."""
        with self._mapped_errors():
            return await has_expiry(self._client, self._table)

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

    async def points(self, symbol: str, start: float, end: float, limit: int) -> list[tuple[float, float]]:
        """As `PointSource.points`. Only times and prices are sent, a tenth of an item."""
        items = await self._items(
            symbol, start, end, limit, newest_first=False, ProjectionExpression="#timestamp, price"
        )
        return [_point(item) for item in items]

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
        items = await self._items(symbol, start, end, limit, newest_first=newest_first)
        return [_price(item) for item in items]

    async def _items(
        self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool, **parameters: str
    ) -> list[Item]:
        if start > end:
            return []  # DynamoDB refuses such a range
        condition, values = _condition(symbol, start, end)
        items: list[Item] = []
        page: dict[str, Any] = {}
        while len(items) < limit:
            async with self._queries:
                with self._mapped_errors(), self._metrics.dynamodb_read_seconds.time():
                    async with asyncio.timeout(self._query_seconds):
                        answer = await self._client.query(
                            TableName=self._table,
                            KeyConditionExpression=condition,
                            ExpressionAttributeNames={"#timestamp": "timestamp"},
                            ExpressionAttributeValues=values,
                            Limit=limit - len(items),
                            ScanIndexForward=not newest_first,
                            ReturnConsumedCapacity="TOTAL",
                            **parameters,
                            **page,
                        )
                    items += answer["Items"]
            self._metrics.dynamodb_read_units.inc(_units([answer.get("ConsumedCapacity", {})]))
            if "LastEvaluatedKey" not in answer:
                break
            page = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        return items

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


def encode_parameters(params: dict[str, Any], context: dict[str, Any], **_: object) -> dict[str, Any]:
    """Encode the body of BatchWriteItem in one call instead of by botocore's model, attribute by attribute.

    That saves a tenth of the CPU time of a refreshed price. Our parameters hold only strings, so their JSON is the
    body. Returned are the table names alone, from which botocore derives the endpoint. A handler of botocore's event
    `provide-client-params`; `set_body` sets the body that this keeps in the context of the request.
    """
    context[_BODY] = msgspec.json.encode(params)
    return {"RequestItems": {table: [] for table in params["RequestItems"]}}


def set_body(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    """Set the body that `encode_parameters` has kept. A handler of botocore's event `before-call`."""
    params["body"] = context.pop(_BODY)


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


def _point(item: Mapping[str, Mapping[str, str]]) -> tuple[float, float]:
    """Return time and price of the item. Raises StoreRefused for an item that is no price."""
    try:
        return float(item["timestamp"]["N"]), float(item["price"]["N"])
    except (KeyError, ValueError) as error:
        raise StoreRefused(f"DynamoDB: an item that is no price: {error!r}") from error


def _units(consumed: Sequence[Mapping[str, Any]] | None) -> float:
    return sum(float(one.get("CapacityUnits", 0)) for one in consumed or [])
