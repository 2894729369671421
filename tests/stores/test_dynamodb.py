"""What only DynamoDB has to show: the table, batches of 25, and what it hands back."""

import asyncio
import uuid
from typing import Any

import aioboto3
import pytest
from prometheus_client import CollectorRegistry

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.metrics import Metrics
from aggregator.stores.dynamodb import DynamoHistory
from tests.parts.dynamodb import DynamoServer
from tests.parts.examples import NOW, price
from tests.parts.ports import free_port

pytestmark = pytest.mark.real


def history_at(endpoint: str, table: str | None = None) -> tuple[DynamoHistory, Metrics]:
    """Return a history not opened yet, and its metrics."""
    metrics = Metrics(CollectorRegistry())
    return DynamoHistory(table or f"prices-{uuid.uuid4()}", "us-east-1", endpoint, metrics), metrics


def value(metrics: Metrics, name: str) -> float:
    """Return a series' value."""
    return metrics.registry.get_sample_value(name) or 0.0


async def test_the_table_is_made_as_the_design_says(dynamodb: DynamoHistory) -> None:
    """Asset (S) and timestamp (N), paid per request."""
    found = (await dynamodb._client.describe_table(TableName=dynamodb._table))["Table"]
    assert {key["AttributeName"]: key["KeyType"] for key in found["KeySchema"]} == {
        "asset": "HASH",
        "timestamp": "RANGE",
    }
    assert {one["AttributeName"]: one["AttributeType"] for one in found["AttributeDefinitions"]} == {
        "asset": "S",
        "timestamp": "N",
    }
    assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


async def test_the_attributes_are_as_the_design_says(dynamodb: DynamoHistory) -> None:
    """price, updated_at as numbers, so that others can read the table."""
    await dynamodb.write([price()])
    key = {"asset": {"S": "btcusdt"}, "timestamp": {"N": str(NOW)}}
    item = (await dynamodb._client.get_item(TableName=dynamodb._table, Key=key))["Item"]
    assert item["price"] == {"N": "79450.12"}
    assert float(item["updated_at"]["N"]) == NOW + 0.123456


async def test_processes_starting_at_once_share_one_table(dynamodb_running: DynamoServer) -> None:
    """Whoever comes second finds it made or being made."""
    table = f"prices-{uuid.uuid4()}"
    histories = [history_at(dynamodb_running.endpoint, table)[0] for _ in range(5)]
    await asyncio.gather(*(history.open() for history in histories))
    await histories[0].write([price()])
    assert await histories[4].latest(["btcusdt"]) == {"btcusdt": price()}
    await asyncio.gather(*(history.close() for history in histories))


async def test_a_table_of_another_make_is_refused(dynamodb_running: DynamoServer) -> None:
    """Before anything is written to it."""
    credentials = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
    async with aioboto3.Session().client(
        "dynamodb", region_name="us-east-1", endpoint_url=dynamodb_running.endpoint, **credentials
    ) as client:
        await client.create_table(
            TableName="other-make",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    history, _ = history_at(dynamodb_running.endpoint, "other-make")
    with pytest.raises(StoreRefused, match="keys"):
        await history.open()
    await history.close()


async def test_batches_are_of_25(dynamodb: DynamoHistory) -> None:
    """101 prices take five calls, as DynamoDB refuses more in one."""
    await dynamodb.write([price(timestamp=NOW + number) for number in range(101)])
    assert value(dynamodb._metrics, "price_dynamodb_write_latency_seconds_count") == 5
    assert value(dynamodb._metrics, "price_dynamodb_write_units_total") >= 101


async def test_what_is_handed_back_is_sent_again(dynamodb: DynamoHistory) -> None:
    """Half of each batch unprocessed, by a stand-in between us and the real server, as DynamoDB Local never does it."""
    real, calls = dynamodb._client.batch_write_item, []

    async def half(RequestItems: dict[str, list[Any]], **rest: Any) -> Any:  # noqa: N803  # Amazon's names
        requests = RequestItems[dynamodb._table]
        taken, left = requests[: (len(requests) + 1) // 2], requests[(len(requests) + 1) // 2 :]
        calls.append(len(requests))
        answer = await real(RequestItems={dynamodb._table: taken}, **rest)
        return answer | {"UnprocessedItems": {dynamodb._table: left} if left else {}}

    dynamodb._client.batch_write_item = half
    prices = [price(timestamp=NOW + number) for number in range(25)]
    await dynamodb.write(prices)
    assert calls == [25, 12, 6, 3, 1]
    assert await dynamodb.between("btcusdt", 0, NOW * 2, 100, newest_first=False) == prices
    assert value(dynamodb._metrics, "price_dynamodb_unprocessed_total") == 12 + 6 + 3 + 1


async def test_what_stays_unprocessed_is_an_error_in_the_end(dynamodb: DynamoHistory) -> None:
    """Attempts are bounded, and nobody is told that it was written."""

    async def nothing(RequestItems: dict[str, list[Any]], **_: Any) -> Any:  # noqa: N803  # Amazon's names
        return {"UnprocessedItems": RequestItems}

    dynamodb._client.batch_write_item = nothing
    with pytest.raises(StoreUnavailable, match="1 items still unprocessed"):
        await dynamodb.write([price()])


async def test_away_is_an_error_and_back_is_service() -> None:
    """Refused at start; killed while we run; back again: served by the same client."""
    history, metrics = history_at(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailable):
        await history.open()
    await history.close()
    server = DynamoServer()
    history, metrics = history_at(server.endpoint)
    await history.open()
    server.stop()
    with pytest.raises(StoreUnavailable):
        await history.write([price()])
    assert value(metrics, "price_dynamodb_errors_total") >= 1
    server = DynamoServer(server.port)
    await history._ensure_table()  # in memory, so its tables went with it
    await history.write([price()])
    assert await history.latest(["btcusdt"]) == {"btcusdt": price()}
    await history.close()
    server.stop()
