"""What only DynamoDB has: a table with keys and TTL, batches, and calls over the network."""

import asyncio
import uuid
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import aioboto3
import pytest
from botocore.config import Config
from prometheus_client import CollectorRegistry

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.observability.metrics import Metrics
from aggregator.stores.dynamodb.connected_table import QUERY_SECONDS
from aggregator.stores.dynamodb.table import DynamoTable
from aggregator.stores.outbox import Outbox
from tests.parts.dynamodb import PATIENT_SECONDS, DynamoServer, jar
from tests.parts.dynamodb_proxy import DynamoProxy
from tests.parts.examples import NOW, price
from tests.parts.limits import allowed
from tests.parts.ports import free_port, lasting_port
from tests.parts.tcp_server import port_of, tcp_server

pytestmark = pytest.mark.real

LOCAL = {"region_name": "us-east-1", "aws_access_key_id": "local", "aws_secret_access_key": "local"}


def table_at(
    endpoint: str, name: str | None = None, retention: float | None = None, query_seconds: float = PATIENT_SECONDS
) -> tuple[DynamoTable, Metrics]:
    """Return a table that is not open yet, and its metrics."""
    metrics = Metrics(CollectorRegistry())
    name = name or f"prices-{uuid.uuid4()}"
    return DynamoTable(name, "us-east-1", endpoint, metrics, retention, query_seconds=query_seconds), metrics


def value(metrics: Metrics, name: str) -> float:
    """Return the value of a metric."""
    return metrics.registry.get_sample_value(name) or 0.0


async def test_the_table_is_made_as_the_design_says(table: DynamoTable) -> None:
    """Keys asset (S) and timestamp (N), billed per request."""
    found = (await table._client.describe_table(TableName=table._table))["Table"]
    assert {key["AttributeName"]: key["KeyType"] for key in found["KeySchema"]} == {
        "asset": "HASH",
        "timestamp": "RANGE",
    }
    assert {one["AttributeName"]: one["AttributeType"] for one in found["AttributeDefinitions"]} == {
        "asset": "S",
        "timestamp": "N",
    }
    assert found["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"


async def test_the_attributes_are_as_the_design_says(table: DynamoTable) -> None:
    """Prices and times are numbers, so that other programs can read the table; items expire only with a retention."""
    assert await table.put([price()]) == []
    key = {"asset": {"S": "btcusdt"}, "timestamp": {"N": str(NOW)}}
    item = (await table._client.get_item(TableName=table._table, Key=key))["Item"]
    assert item["price"] == {"N": "79450.12"}
    assert float(item["updated_at"]["N"]) == NOW + 0.123456
    assert "expires_at" not in item


async def test_items_of_other_writers_are_read_or_refused(table: DynamoTable) -> None:
    """Keys and price are enough; an item that is no price is a StoreRefused, not a crash."""
    key = {"asset": {"S": "btcusdt"}, "timestamp": {"N": str(NOW)}}
    await table._client.put_item(TableName=table._table, Item=key | {"price": {"N": "1.5"}})
    found = (await table.latest(["btcusdt"]))["btcusdt"]
    assert (found.price, found.timestamp, found.updated_at, found.sources) == (Decimal("1.5"), NOW, NOW, ())
    await table.put([price("ethusdt")])
    for odd in ({}, {"price": {"S": "much"}}, {"price": {"N": "1"}, "sources": {"S": "[1]"}}):
        await table._client.put_item(TableName=table._table, Item=key | odd)
        with pytest.raises(StoreRefused):
            await table.between("btcusdt", 0, NOW * 2, 10, newest_first=True)
        assert list(await table.latest(["btcusdt", "ethusdt"])) == ["ethusdt"]


@pytest.mark.parametrize("status", [200, 500, 503])
async def test_answers_that_are_not_dynamodb_s_take_nothing(dynamodb_running: DynamoServer, status: int) -> None:
    """A proxy's page with status 200 must neither remove rows from the outbox nor end the process."""
    table, _ = table_at(dynamodb_running.endpoint, "proxied")
    await table.open()
    body = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    async with tcp_server(serve) as server:
        port = port_of(server)
        once = Config(retries={"total_max_attempts": 1})  # like our own client
        session = aioboto3.Session()
        async with session.client("dynamodb", endpoint_url=f"http://127.0.0.1:{port}", config=once, **LOCAL) as client:
            table._client, ours = client, table._client
            for body in (b"", b"<html>", b"null", b"[]", b'"x"', b"{}"):  # noqa: B007  # `serve` sends it
                with pytest.raises(StoreUnavailable):
                    await table.put([price()])
                with pytest.raises(StoreUnavailable):
                    await table.between("btcusdt", 0, NOW * 2, 10, newest_first=True)
            table._client = ours
    await table.close()


async def test_a_retention_turns_expiry_on(dynamodb_running: DynamoServer) -> None:
    """The TTL attribute is the one in the items, in unix seconds: `updated_at` plus the retention."""
    for _ in range(2):  # the second start finds the TTL on
        table, _ = table_at(dynamodb_running.endpoint, "expiring", retention=86_400)
        await table.open()
        await table.put([price()])
        described = await table._client.describe_time_to_live(TableName="expiring")
        assert described["TimeToLiveDescription"]["AttributeName"] == "expires_at"
        assert described["TimeToLiveDescription"]["TimeToLiveStatus"] in ("ENABLED", "ENABLING")
        key = {"asset": {"S": "btcusdt"}, "timestamp": {"N": str(NOW)}}
        item = (await table._client.get_item(TableName="expiring", Key=key)).get("Item")
        assert item is None or item["expires_at"] == {"N": str(int(NOW) + 86_400)}
        await table.close()


async def test_a_table_that_expires_by_something_else_is_refused(dynamodb_running: DynamoServer) -> None:
    """The start fails, so that no items vanish by another rule."""
    table, _ = table_at(dynamodb_running.endpoint, "expiring-otherwise")
    await table.open()
    await table._client.update_time_to_live(
        TableName="expiring-otherwise", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
    )
    await table.close()
    table, _ = table_at(dynamodb_running.endpoint, "expiring-otherwise", retention=86_400)
    with pytest.raises(StoreRefused, match="expires by ttl"):
        await table.open()
    await table.close()


async def test_processes_starting_at_once_share_one_table(dynamodb_running: DynamoServer) -> None:
    """A process that comes second finds the table created or being created."""
    name = f"prices-{uuid.uuid4()}"
    tables = [table_at(dynamodb_running.endpoint, name)[0] for _ in range(5)]
    for table in tables:
        await table.connect()  # takes CPU time, in which the calls of the others would time out
    await asyncio.gather(*(table.open() for table in tables))
    await tables[0].put([price()])
    assert await tables[4].latest(["btcusdt"]) == {"btcusdt": price()}
    await asyncio.gather(*(table.close() for table in tables))


async def test_a_table_with_other_keys_is_refused(dynamodb_running: DynamoServer) -> None:
    """Before anything is written to it."""
    async with aioboto3.Session().client("dynamodb", endpoint_url=dynamodb_running.endpoint, **LOCAL) as client:
        await client.create_table(
            TableName="other-make",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
    table, _ = table_at(dynamodb_running.endpoint, "other-make")
    with pytest.raises(StoreRefused, match="keys"):
        await table.open()
    await table.close()


async def test_a_batch_is_one_call(table: DynamoTable) -> None:
    """Twenty-five prices make one call, whose capacity is counted; twenty-six are refused."""
    prices = [price(timestamp=NOW + number) for number in range(26)]
    assert await table.put(prices[:25]) == []
    assert value(table._metrics, "price_dynamodb_write_latency_seconds_count") == 1
    # moto counts a unit for a call, whatever is in it
    assert value(table._metrics, "price_dynamodb_write_units_total") >= (25 if jar() else 1)
    assert await table.between("btcusdt", 0, NOW * 2, 100, newest_first=False) == prices[:25]
    if jar():  # moto takes what AWS refuses
        with pytest.raises(StoreRefused):
            await table.put(prices)


async def test_a_table_that_hangs_is_an_error_in_time(dynamodb_running: DynamoServer, tmp_path: Path) -> None:
    """A read of one asset or of a thousand fails after a second; the outbox then returns its own prices."""
    proxy = DynamoProxy(dynamodb_running.endpoint)
    table, metrics = table_at(proxy.endpoint, query_seconds=QUERY_SECONDS)
    await table.open()
    outbox = Outbox(tmp_path / "outbox.db", 1 << 30, table, metrics)
    await outbox.open()
    await outbox.write([price()])
    proxy.faults(hang_rate=1)
    for symbols in (["btcusdt"], [f"asset{number}" for number in range(1000)]):
        async with asyncio.timeout(allowed(QUERY_SECONDS + 1)):
            with pytest.raises(StoreUnavailable, match="no answer in time"):
                await table.latest(symbols)
    async with asyncio.timeout(allowed(QUERY_SECONDS + 1)):
        assert await outbox.latest(["btcusdt"]) == {"btcusdt": price()}
    proxy.faults()
    async with asyncio.timeout(allowed(QUERY_SECONDS + 1)):  # the thousand queries have released their slots
        while True:
            with suppress(StoreUnavailable):  # on a busy machine one query may take longer than its second
                assert await table.latest(["btcusdt"]) == {}
                break
    await outbox.close()
    proxy.stop()


async def test_away_is_an_error_and_back_is_service(dynamodb_running: DynamoServer) -> None:
    """Away at the start, away later, then back: the same client works again."""
    table, metrics = table_at(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailable):
        await table.open()
    await table.close()
    port = lasting_port()
    proxy = DynamoProxy(dynamodb_running.endpoint, port=port)
    table, metrics = table_at(proxy.endpoint)
    await table.open()
    proxy.stop()
    with pytest.raises(StoreUnavailable):
        await table.put([price()])
    assert value(metrics, "price_dynamodb_errors_total") >= 1
    proxy = DynamoProxy(dynamodb_running.endpoint, port=port)
    await table.put([price()])
    assert await table.latest(["btcusdt"]) == {"btcusdt": price()}
    await table.close()
    proxy.stop()
