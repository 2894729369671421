"""Checks of a Kinesis log: the stream and its shards, the table of leases, and the rights that the service needs."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aggregator.cli.doctor.checks import Finding, Level, failure, passed, warning
from aggregator.errors import StoreError
from aggregator.numerals import counted
from aggregator.trades.event_log.kinesis.address import LATEST, KinesisAddress

if TYPE_CHECKING:
    from aggregator.trades.event_log.kinesis.client import KinesisClients, ShardClients

_LOG = "AGGREGATOR_TRADES_LOG"
_MEND = f"check region, endpoint and credentials ({_LOG})"
_STREAM_RIGHTS = "allow kinesis:ListShards, GetShardIterator, GetRecords and PutRecords on the stream"
_TABLE_RIGHTS = "allow dynamodb:DescribeTable, Scan, PutItem, UpdateItem and DeleteItem on the table"
_KEY = "leaseKey"
_NOBODY = {"S": "aggregator doctor"}  # no shard and no process has this name


async def kinesis_check(role: str, address: KinesisAddress, seconds: float) -> Sequence[Finding]:
    """Look at the stream and, for a role that reads it, at its leases. Nothing is written.

    `seconds` limit all calls together.
    """
    from aggregator.trades.event_log.kinesis.client import KinesisClients  # noqa: PLC0415  # a second of imports

    clients = KinesisClients(address)
    try:
        async with asyncio.timeout(seconds):
            await clients.open()
            stream = await _stream(clients, reads=role != "api")
            if role == "api" or stream.level is Level.FAIL:
                return [stream]
            return [stream, await leases_finding(clients)]
    except TimeoutError:
        return [failure("kinesis", f"no answer within {seconds:g} s", _MEND)]
    finally:
        await clients.close()


async def _stream(clients: "KinesisClients", *, reads: bool) -> Finding:
    """Return the number of shards; for a role that reads, read at the end of one of them."""
    from aggregator.trades.event_log.kinesis.client import NotThere  # noqa: PLC0415  # a second of imports

    address = clients.address
    try:
        shards = await clients.shards()
        if reads and shards:
            await clients.records(await clients.iterator(shards[-1].id, LATEST))
    except NotThere:
        says = f"the stream {address.stream} does not exist in {address.region}"
        return failure("kinesis", says, f"create it, with as many shards as there may be processors ({_LOG})")
    except StoreError as error:
        return _refused("kinesis", error, _STREAM_RIGHTS)
    says = f"stream {address.stream} in {address.region} has {counted(len(shards), 'shard')}"
    says += ", and we may read it" if reads else ""
    return passed("kinesis", f"{says}; whether we may write (kinesis:PutRecords) is not tried")


async def leases_finding(clients: "ShardClients") -> Finding:
    """Return how many leases there are, after an update on a condition that never holds."""
    from aggregator.trades.event_log.kinesis.client import Conflict, NotThere  # noqa: PLC0415  # a second of imports

    table = clients.address.table
    try:
        found = await clients.table("describe_table")
        if [key["AttributeName"] for key in found["Table"]["KeySchema"]] != [_KEY]:
            return failure("leases", f"table {table} has another key than {_KEY}", f"name another table= ({_LOG})")
        leases = (await clients.table("scan", ConsistentRead=True))["Items"]
        await clients.table(
            "update_item",
            Key={_KEY: _NOBODY},
            UpdateExpression="SET wantedBy = :nobody",
            ConditionExpression="leaseOwner = :nobody",
            ExpressionAttributeValues={":nobody": _NOBODY},
        )
    except NotThere:
        says = f"the table of leases {table} is missing; the service creates it"
        return warning("leases", says, "allow dynamodb:CreateTable, or create it with the key leaseKey (text)")
    except Conflict:  # as it must be
        owners = {lease["leaseOwner"]["S"] for lease in leases if "leaseOwner" in lease}
        return passed(
            "leases", f"table {table} has {len(leases)} leases of {len(owners)} processes; we may update them"
        )
    except StoreError as error:
        return _refused("leases", error, _TABLE_RIGHTS)
    return failure("leases", f"table {table} ignores the conditions of writes", "use Amazon's DynamoDB")


def _refused(check: str, error: StoreError, rights: str) -> Finding:
    return failure(check, str(error), rights if "AccessDenied" in str(error) else _MEND)
