"""The table of leases in DynamoDB: one item a shard, every write on a condition. See shard_plan.py."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.trades.event_log.kinesis.client import Conflict, NotThere, ShardClients, mapped_errors
from aggregator.trades.event_log.kinesis.shard_plan import SHARD_END, Lease

_KEY = "leaseKey"
_TABLE_SECONDS = 30  # for a new table to become active
_LOOK_SECONDS = 0.5
_MINE = "leaseOwner = :me"


class LeaseTable:
    """Reads and writes leases for the process `me`. Every call raises StoreError."""

    def __init__(self, clients: ShardClients, me: str) -> None:
        self._clients = clients
        self._me = {"S": me}

    async def open(self) -> None:
        """Create the table if it is missing. Raises StoreRefused for one with other keys."""
        with mapped_errors():
            await self._open()

    async def _open(self) -> None:
        try:
            found = await self._clients.table("describe_table")
        except NotThere:
            found = await self._create()
        for _ in range(int(_TABLE_SECONDS / _LOOK_SECONDS)):
            if found["Table"]["TableStatus"] != "CREATING":
                break
            await asyncio.sleep(_LOOK_SECONDS)
            found = await self._clients.table("describe_table")
        else:
            raise StoreUnavailable(f"the table of leases is still being created after {_TABLE_SECONDS} s")
        if [key["AttributeName"] for key in found["Table"]["KeySchema"]] != [_KEY]:
            raise StoreRefused(f"table {self._clients.address.table} has another key than {_KEY}")

    async def _create(self) -> Mapping[str, Any]:
        with suppress(StoreUnavailable):  # another process may have been faster; the look that follows tells
            await self._clients.table(
                "create_table",
                KeySchema=[{"AttributeName": _KEY, "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": _KEY, "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
        return await self._clients.table("describe_table")

    async def all(self) -> dict[str, Lease]:
        """Return all leases, by shard."""
        found: dict[str, Lease] = {}
        parameters: dict[str, Any] = {"ConsistentRead": True}
        with mapped_errors():
            while True:
                answer = await self._clients.table("scan", **parameters)
                found |= {lease.shard: lease for lease in map(_lease_of, answer["Items"])}
                if not (last := answer.get("LastEvaluatedKey")):
                    return found
                parameters["ExclusiveStartKey"] = last

    async def create(self, lease: Lease) -> None:
        """Write a lease without an owner, unless there is one of the shard."""
        item: dict[str, dict[str, Any]] = {
            _KEY: {"S": lease.shard},
            "leaseCounter": {"N": "0"},
            "checkpoint": {"S": lease.checkpoint},
            "readFrom": {"S": lease.start},
        }
        if lease.parents:
            item["parentShardId"] = {"SS": list(lease.parents)}
        with suppress(Conflict):  # another process was faster
            await self._clients.table("put_item", Item=item, ConditionExpression=f"attribute_not_exists({_KEY})")

    async def take(self, lease: Lease) -> Lease:
        """Become the owner of a lease as it was read. Raises Conflict if another process did."""
        unchanged = "leaseOwner = :owner" if lease.owner else "attribute_not_exists(leaseOwner)"
        values: dict[str, Any] = {":seen": {"N": str(lease.counter)}}
        if lease.owner:
            values[":owner"] = {"S": lease.owner}
        return await self._update(
            lease.shard,
            "SET leaseOwner = :me ADD leaseCounter :one REMOVE wantedBy",
            f"leaseCounter = :seen AND {unchanged}",
            {":me": self._me, **values},
        )

    async def ask(self, lease: Lease) -> None:
        """Ask the owner of a lease to pass it to this process. Raises Conflict if it has changed its owner."""
        await self._clients.table(
            "update_item",
            Key={_KEY: {"S": lease.shard}},
            UpdateExpression="SET wantedBy = :me",
            ConditionExpression="leaseOwner = :owner AND attribute_not_exists(wantedBy)",
            ExpressionAttributeValues={":me": self._me, ":owner": {"S": lease.owner}},
        )

    async def renew(self, shard: str, checkpoint: str, windows: str) -> Lease:
        """Renew a lease of this process, with its checkpoint. Raises Conflict if another process owns it."""
        return await self._update(
            shard,
            "SET checkpoint = :checkpoint, windows = :windows ADD leaseCounter :one",
            _MINE,
            {":me": self._me, **_position(checkpoint, windows)},
        )

    async def give(self, shard: str, checkpoint: str, windows: str, to: str) -> Lease:
        """Write the last checkpoint, and pass the lease to another process, or to none."""
        owner = "leaseOwner = :to" if to else ""
        values = {":me": self._me, **_position(checkpoint, windows), **({":to": {"S": to}} if to else {})}
        return await self._update(
            shard,
            f"SET checkpoint = :checkpoint, windows = :windows{', ' + owner if to else ''} ADD leaseCounter :one"
            f" REMOVE wantedBy{'' if to else ', leaseOwner'}",
            _MINE,
            values,
        )

    async def finish(self, shard: str) -> Lease:
        """Note that all records of a shard are processed."""
        return await self.give(shard, SHARD_END, "", "")

    async def delete(self, lease: Lease) -> None:
        """Delete a lease as it was read, unless it has changed."""
        with suppress(Conflict):  # another process deleted or took it
            await self._clients.table(
                "delete_item",
                Key={_KEY: {"S": lease.shard}},
                ConditionExpression="leaseCounter = :seen",
                ExpressionAttributeValues={":seen": {"N": str(lease.counter)}},
            )

    async def _update(self, shard: str, update: str, condition: str, values: Mapping[str, Any]) -> Lease:
        with mapped_errors():
            answer = await self._clients.table(
                "update_item",
                Key={_KEY: {"S": shard}},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues={":one": {"N": "1"}, **values},
                ReturnValues="ALL_NEW",
            )
            return _lease_of(answer["Attributes"])


def _position(checkpoint: str, windows: str) -> dict[str, dict[str, str]]:
    return {":checkpoint": {"S": checkpoint}, ":windows": {"S": windows}}


def _lease_of(item: Mapping[str, Mapping[str, Any]]) -> Lease:
    """Return the lease of an item, which may be one of KCL's."""

    def text(name: str, default: str = "") -> str:
        return str(item.get(name, {}).get("S", default))

    return Lease(
        text(_KEY),
        text("leaseOwner"),
        int(item.get("leaseCounter", {}).get("N", 0)),
        text("checkpoint", "TRIM_HORIZON"),
        text("readFrom", "TRIM_HORIZON"),
        text("windows"),
        tuple(_texts(item.get("parentShardId", {}))),
        text("wantedBy"),
    )


def _texts(value: Mapping[str, Any]) -> Sequence[str]:
    found: Sequence[str] = sorted(value.get("SS", ()))
    return found
