"""Creating and checking the DynamoDB table and its TTL. Raises StoreError, and botocore's errors."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from aggregator.errors import StoreRefused, StoreUnavailable

_TABLE_WAIT = 30.0  # seconds for a new table to become active


class TableKeys(msgspec.Struct, frozen=True):
    """The names of the partition key, a text, and of the sort key, whose type is S (text) or N (number)."""

    partition: str
    sort: str
    sort_type: str

    @property
    def schema(self) -> list[dict[str, str]]:
        """The key schema of the table."""
        return [
            {"AttributeName": self.partition, "KeyType": "HASH"},
            {"AttributeName": self.sort, "KeyType": "RANGE"},
        ]

    @property
    def types(self) -> list[dict[str, str]]:
        """The types of the keys."""
        return [
            {"AttributeName": self.partition, "AttributeType": "S"},
            {"AttributeName": self.sort, "AttributeType": self.sort_type},
        ]


async def table_exists(client: Any, table: str, keys: TableKeys) -> bool:  # aioboto3 has no types
    """Return whether the table exists. Raises StoreRefused when it has other keys than ours."""
    try:
        _check_keys(table, keys, await client.describe_table(TableName=table))
    except client.exceptions.ResourceNotFoundException:
        return False
    return True


async def ensure_table(client: Any, table: str, keys: TableKeys) -> None:
    """Create the table if it is missing, and wait until it is active. Raises StoreRefused as `table_exists`."""
    try:
        found = await client.describe_table(TableName=table)
    except client.exceptions.ResourceNotFoundException:
        await _create(client, table, keys)
        found = await client.describe_table(TableName=table)
    deadline = time.monotonic() + _TABLE_WAIT
    while found["Table"]["TableStatus"] == "CREATING" and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        found = await client.describe_table(TableName=table)
    if found["Table"]["TableStatus"] == "CREATING":
        raise StoreUnavailable(f"table {table} is still being created after {_TABLE_WAIT:g} s")
    _check_keys(table, keys, found)


async def ensure_expiry(client: Any, table: str) -> None:
    """Turn on the table's TTL, by `expires_at`. Raises StoreRefused as `has_expiry`."""
    if not await has_expiry(client, table):
        await client.update_time_to_live(
            TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires_at"}
        )


async def has_expiry(client: Any, table: str) -> bool:
    """Return whether the table's TTL is on. Raises StoreRefused where it uses another attribute."""
    found = (await client.describe_time_to_live(TableName=table))["TimeToLiveDescription"]
    if found.get("TimeToLiveStatus") not in ("ENABLED", "ENABLING"):
        return False
    if found.get("AttributeName") != "expires_at":
        raise StoreRefused(f"table {table} expires by {found.get('AttributeName')}, not by expires_at")
    return True


async def _create(client: Any, table: str, keys: TableKeys) -> None:
    try:
        await client.create_table(
            TableName=table, KeySchema=keys.schema, AttributeDefinitions=keys.types, BillingMode="PAY_PER_REQUEST"
        )
    except client.exceptions.ResourceInUseException:
        return  # another process was faster


def _check_keys(table: str, keys: TableKeys, found: Mapping[str, Any]) -> None:
    there = {key["AttributeName"]: key["KeyType"] for key in found["Table"]["KeySchema"]}
    if there != {keys.partition: "HASH", keys.sort: "RANGE"}:
        raise StoreRefused(f"table {table} has other keys than {keys.partition} (partition) and {keys.sort} (sort)")
