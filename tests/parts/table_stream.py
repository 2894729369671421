"""A DynamoDB table with a stream, as others write it."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import boto3

from tests.parts.dynamodb import DynamoServer
from tests.parts.process import wait_for


class StreamedTable:
    """A new table whose stream has new images. `keys` are partition key and sort key with their types."""

    def __init__(
        self,
        server: DynamoServer,
        keys: Sequence[tuple[str, str]] = (("symbol", "S"), ("timestamp", "N")),
        view: str | None = "NEW_IMAGE",
    ) -> None:
        self.name = f"market-{uuid.uuid4().hex[:12]}"
        self._endpoint = server.endpoint
        self._client = boto3.client(
            "dynamodb",
            region_name="us-east-1",
            endpoint_url=server.endpoint,
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106  # no secret
        )
        kinds = ("HASH", "RANGE")
        stream = {} if view is None else {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": view}}
        self._client.create_table(
            TableName=self.name,
            KeySchema=[{"AttributeName": name, "KeyType": kind} for (name, _), kind in zip(keys, kinds, strict=True)],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in keys],
            BillingMode="PAY_PER_REQUEST",
            **stream,
        )
        wait_for(lambda: self._client.describe_table(TableName=self.name)["Table"]["TableStatus"] == "ACTIVE")

    def url(self, **options: object) -> str:
        """Return the address of the stream, for AGGREGATOR_TABLE_STREAM."""
        given = {"region": "us-east-1", "endpoint": self._endpoint, "lease": 3} | options
        return f"dynamodb://{self.name}?" + "&".join(f"{name}={value}" for name, value in given.items())

    def put(self, item: Mapping[str, Mapping[str, Any]]) -> None:
        """Write an item."""
        self._client.put_item(TableName=self.name, Item=item)

    def delete(self, key: Mapping[str, Mapping[str, Any]]) -> None:
        """Delete an item."""
        self._client.delete_item(TableName=self.name, Key=key)

    def checkpoints(self) -> set[str]:
        """Return the checkpoints in the table of leases."""
        items = self._client.scan(TableName=f"aggregator-{self.name}")["Items"]
        return {one["checkpoint"]["S"] for one in items}


def market_item(number: int, symbol: str = "BTCUSDT", price: str = "70000.10") -> dict[str, dict[str, str]]:
    """Return an item of MarketStream, of some seconds ago."""
    milliseconds = int(time.time() * 1000) - 100_000 + number
    return {"symbol": {"S": symbol}, "timestamp": {"N": str(milliseconds)}, "price": {"N": price}}
