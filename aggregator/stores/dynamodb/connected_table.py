"""A DynamoDB table through aioboto3: its connection, batches, pages of queries and errors.

The tables of prices and of trades add keys and items. Only this module imports botocore for DynamoDB.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from aggregator.errors import StoreError, StoreRefused, StoreUnavailable, in_words
from aggregator.libraries.aws import new_client
from aggregator.observability.metrics import Metrics
from aggregator.stores.dynamodb.table_setup import TableKeys, ensure_expiry, ensure_table, has_expiry, table_exists

Item = dict[str, dict[str, Any]]

BATCH = 25  # the most that BatchWriteItem takes
QUERY_SECONDS = 1.0  # per page of a query; leaves a request the time to get its price elsewhere
_QUERIES_IN_FLIGHT = 32
_BODY = "aggregator.body"  # key in the context that botocore keeps for each request
_NO_ASSET = "-doctor"  # no symbol has a hyphen
_FINAL = {"ValidationException"}  # errors of the item; missing rights or a missing table can be mended


class ConnectedTable:
    """A table with `keys`. Raises StoreUnavailable, or StoreRefused where a retry cannot help.

    With `expires`, the TTL of the table is turned on, by the attribute `expires_at`.
    """

    name = "dynamodb"
    batch = BATCH

    def __init__(
        self,
        table: str,
        region: str,
        endpoint: str | None,
        metrics: Metrics,
        keys: TableKeys,
        query_seconds: float,
        *,
        expires: bool,
    ) -> None:
        self._table = table
        self._region = region
        self._endpoint = endpoint
        self._metrics = metrics
        self._keys = keys
        self._query_seconds = query_seconds
        self._expires = expires
        self._stack = AsyncExitStack()
        self._client: Any = None  # aioboto3 has no types
        self._queries = asyncio.Semaphore(_QUERIES_IN_FLIGHT)

    async def open(self) -> None:
        """Connect, and create the table if it is missing. May be called again after an error."""
        if self._client is None:
            await self.connect()
        with self._mapped_errors():
            await ensure_table(self._client, self._table, self._keys)
            if self._expires:
                await ensure_expiry(self._client, self._table)

    async def connect(self) -> None:
        """Create the client, which takes 0.1 s of CPU for the first of a process. Sends nothing yet."""
        with self._mapped_errors():
            self._client = await self._stack.enter_async_context(
                await new_client(
                    "dynamodb",
                    self._region,
                    self._endpoint,
                    connect=3,  # seconds; a busy machine needs one or two when the service starts
                    read=3,
                    connections=2 * _QUERIES_IN_FLIGHT,
                )
            )
        events = self._client.meta.events
        events.register("provide-client-params.dynamodb.BatchWriteItem", encode_parameters)
        events.register("before-call.dynamodb.BatchWriteItem", set_body)

    async def exists(self) -> bool:
        """Return whether the table exists. Raises StoreRefused when it has other keys than ours."""
        with self._mapped_errors():
            return await table_exists(self._client, self._table, self._keys)

    async def expires(self) -> bool:
        """Return whether the table's TTL is on. Raises StoreRefused where it uses another attribute."""
        with self._mapped_errors():
            return await has_expiry(self._client, self._table)

    async def try_rights(self, *, writing: bool) -> None:
        """Read a test item and, if `writing`, write and delete it. Raises StoreUnavailable where a right is missing."""
        keys = self._keys
        key = {keys.partition: {"S": _NO_ASSET}, keys.sort: {keys.sort_type: "0"}}
        await self._page(
            1,
            KeyConditionExpression="#partition = :partition",
            ExpressionAttributeNames={"#partition": keys.partition},
            ExpressionAttributeValues={":partition": {"S": _NO_ASSET}},
        )
        for request in ({"PutRequest": {"Item": key}}, {"DeleteRequest": {"Key": key}}) if writing else ():
            with self._mapped_errors():
                await self._client.batch_write_item(RequestItems={self._table: [request]})

    async def close(self) -> None:
        """Close the connections."""
        await self._stack.aclose()

    async def _write(self, requests: Sequence[Mapping[str, Any]]) -> list[Item]:
        """Send at most `batch` requests in one call; return the items that DynamoDB did not put."""
        with self._mapped_errors(), self._metrics.dynamodb_write_seconds.time():
            answer = await self._client.batch_write_item(
                RequestItems={self._table: requests}, ReturnConsumedCapacity="TOTAL"
            )
            left = answer["UnprocessedItems"].get(self._table, [])  # missing from an answer that is not DynamoDB's
            items = [request["PutRequest"]["Item"] for request in left]
        self._metrics.dynamodb_write_units.inc(consumed_units(answer.get("ConsumedCapacity")))
        return items

    async def _page(self, limit: int, **parameters: Any) -> tuple[Sequence[Item], Item | None]:
        """Return one page of a query, and the key after which the next begins; None after the last."""
        async with self._queries:
            with self._mapped_errors(), self._metrics.dynamodb_read_seconds.time():
                async with asyncio.timeout(self._query_seconds):
                    answer = await self._client.query(
                        TableName=self._table, Limit=limit, ReturnConsumedCapacity="TOTAL", **parameters
                    )
                items, last = answer["Items"], answer.get("LastEvaluatedKey")
        self._metrics.dynamodb_read_units.inc(consumed_units([answer.get("ConsumedCapacity", {})]))
        return items, last

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
            raise StoreUnavailable(f"DynamoDB: {in_words(error)}") from error


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


def consumed_units(consumed: Sequence[Mapping[str, Any]] | None) -> float:
    """Return the sum of the capacity units in what DynamoDB says about consumed capacity."""
    return sum(float(one.get("CapacityUnits", 0)) for one in consumed or [])
