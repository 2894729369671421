"""The fault proxy in front of DynamoDB, called with the client that the service uses."""

import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import aioboto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from tests.parts.dynamodb import DynamoServer
from tests.parts.dynamodb_proxy import DynamoProxy
from tests.parts.ports import free_port
from tests.parts.service import call

pytestmark = pytest.mark.real

TABLE = f"prices-{uuid.uuid4()}"


@pytest.fixture(scope="module")
def proxy(dynamodb_running: DynamoServer) -> Iterator[DynamoProxy]:
    """Share one proxy among these tests."""
    running = DynamoProxy(dynamodb_running.endpoint)
    yield running
    running.stop()


@pytest.fixture
async def client(proxy: DynamoProxy) -> AsyncIterator[Any]:
    """Return a client that calls through the proxy, without retries; all faults are off before and after."""
    proxy.faults()
    async with connected(proxy.endpoint) as found:
        with contextlib.suppress(found.exceptions.ResourceInUseException):  # an earlier test has created it
            await found.create_table(
                TableName=TABLE,
                KeySchema=[{"AttributeName": "asset", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "asset", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        yield found
    proxy.faults()


def connected(endpoint: str, read_timeout: float = 60) -> Any:
    """Return a client without retries, whose calls may take `read_timeout` seconds."""
    config = Config(connect_timeout=60, read_timeout=read_timeout, retries={"total_max_attempts": 1})
    credentials = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    return aioboto3.Session().client(
        "dynamodb", region_name="us-east-1", endpoint_url=endpoint, config=config, **credentials
    )


def requests(*assets: str) -> dict[str, list[Any]]:
    """Return the RequestItems that put these assets."""
    return {TABLE: [{"PutRequest": {"Item": {"asset": {"S": asset}, "price": {"N": "1.5"}}}} for asset in assets]}


async def refusal(client: Any, *assets: str) -> tuple[int, str]:
    """Put a batch that must fail; return the HTTP status and DynamoDB's error code."""
    with pytest.raises(ClientError) as raised:
        await client.batch_write_item(RequestItems=requests(*assets))
    answer = raised.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


async def held(client: Any, asset: str) -> bool:
    """Return whether the table has the asset."""
    return "Item" in await client.get_item(TableName=TABLE, Key={"asset": {"S": asset}})


async def test_without_faults_it_is_not_noticed(client: Any, proxy: DynamoProxy) -> None:
    """Without faults the proxy changes nothing: items, the server's own errors, and the count of items."""
    before = proxy.done("items")
    answer = await client.batch_write_item(RequestItems=requests("a1", "a2", "a3"), ReturnConsumedCapacity="TOTAL")
    assert answer["UnprocessedItems"] == {}
    assert sum(one["CapacityUnits"] for one in answer["ConsumedCapacity"]) == 3
    item = (await client.get_item(TableName=TABLE, Key={"asset": {"S": "a2"}}))["Item"]
    assert item == {"asset": {"S": "a2"}, "price": {"N": "1.5"}}
    assert proxy.done("items") == before + 3
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        await client.describe_table(TableName="nowhere")


async def test_it_throttles_batches_and_nothing_else(client: Any, proxy: DynamoProxy) -> None:
    """Throttling answers 400 with DynamoDB's error code, writes nothing, and does not affect reads."""
    proxy.faults(throttle_rate=1)
    assert await refusal(client, "b1") == (400, "ProvisionedThroughputExceededException")
    assert not await held(client, "b1")
    assert proxy.done("throttled") == 1


async def test_it_hands_half_of_a_batch_back(client: Any, proxy: DynamoProxy) -> None:
    """Half of a batch comes back as unprocessed, and sending it again writes the rest."""
    proxy.faults(half_rate=1)
    left = requests("c1", "c2", "c3", "c4", "c5")
    sizes = []
    while left:
        sizes.append(len(left[TABLE]))
        left = (await client.batch_write_item(RequestItems=left))["UnprocessedItems"]
    assert sizes == [5, 2, 1]
    assert all([await held(client, f"c{number}") for number in range(1, 6)])


async def test_it_fails_as_dynamodb_does(client: Any, proxy: DynamoProxy) -> None:
    """A failing call is 500 InternalServerError, for any operation."""
    proxy.faults(error_rate=1)
    assert await refusal(client, "d1") == (500, "InternalServerError")
    with pytest.raises(client.exceptions.InternalServerError):
        await client.describe_table(TableName=TABLE)


async def test_it_hangs_and_cuts(client: Any, proxy: DynamoProxy) -> None:
    """A hanging call ends by the client's timeout, a cut one by a closed connection; without faults, calls work."""
    proxy.faults(hang_rate=1)
    async with connected(proxy.endpoint, read_timeout=1) as hasty:
        with pytest.raises(ReadTimeoutError):
            await hasty.batch_write_item(RequestItems=requests("e1"))
    proxy.faults(drop_rate=1)
    with pytest.raises(ConnectionClosedError):
        await client.batch_write_item(RequestItems=requests("e1"))
    proxy.faults()
    await client.batch_write_item(RequestItems=requests("e1"))
    assert await held(client, "e1")


async def test_it_refuses_an_asset_for_good(client: Any, proxy: DynamoProxy) -> None:
    """A refused asset fails the whole call that puts it, as on AWS; the same word in another attribute does not."""
    proxy.faults(refuse_for_good="poison")
    assert await refusal(client, "f1", "poisonusdt") == (400, "ValidationException")
    assert not await held(client, "f1")
    with pytest.raises(ClientError, match="ValidationException"):
        await client.put_item(TableName=TABLE, Item={"asset": {"S": "poisonusdt"}})
    await client.put_item(TableName=TABLE, Item={"asset": {"S": "f1"}, "note": {"S": "poison"}})
    assert await held(client, "f1")


async def test_rates_are_shares_of_the_calls(client: Any, proxy: DynamoProxy) -> None:
    """With rates of 0.3 and 0.1, these shares of the calls are hit, within random variation."""
    before = {what: proxy.done(what) for what in ("throttled", "errors")}
    proxy.faults(throttle_rate=0.3, error_rate=0.1)
    for _ in range(300):
        try:
            await client.batch_write_item(RequestItems=requests("g1"))
        except ClientError:
            continue
    shares = {what: Decimal(proxy.done(what) - count) / 300 for what, count in before.items()}
    assert Decimal("0.2") < shares["throttled"] < Decimal("0.4")
    assert Decimal("0.04") < shares["errors"] < Decimal("0.17")


def test_a_fault_that_is_none_is_refused(proxy: DynamoProxy) -> None:
    """A misspelled fault, a rate over 1 and invalid JSON are answered with 400 and change nothing."""
    for body in (b'{"throtle_rate":1}', b'{"error_rate":1.5}', b'{"error_rate":0.6,"drop_rate":0.6}', b"{"):
        assert call("PUT", f"{proxy.endpoint}/faults", body=body).status == 400
    assert not any(call("GET", f"{proxy.endpoint}/faults").json["faults"].values())


async def test_a_target_that_is_away_cuts_the_connection() -> None:
    """While the target is away, the proxy resets connections."""
    proxy = DynamoProxy(f"http://127.0.0.1:{free_port()}")
    async with connected(proxy.endpoint) as client:
        with pytest.raises(ConnectionClosedError):
            await client.describe_table(TableName=TABLE)
    assert proxy.done("unreachable") == 1
    proxy.stop()
