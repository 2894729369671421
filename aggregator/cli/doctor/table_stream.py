"""The check of the stream of a table that others write, for the role `streams`."""

import asyncio
from collections.abc import Sequence
from functools import partial

from aggregator.cli.doctor.checks import Check, Finding, failure, passed
from aggregator.cli.doctor.kinesis import leases_finding
from aggregator.errors import StoreError
from aggregator.numerals import counted
from aggregator.settings import Settings
from aggregator.trades.event_log.kinesis.shard_plan import TRIM_HORIZON
from aggregator.trades.event_log.kinesis.table_stream_address import TableStreamAddress, parse_table_stream_url

_CHECK = "table stream"
_SETTING = "AGGREGATOR_TABLE_STREAM"
_RIGHTS = "allow dynamodb:ListStreams, DescribeStream, GetShardIterator and GetRecords on the stream"


def table_stream_checks(settings: Settings, seconds: float) -> dict[str, Check]:
    """Return the check of the stream and its leases. `seconds` limit it."""
    return {_CHECK: partial(table_stream_check, parse_table_stream_url(settings.table_stream), seconds)}


async def table_stream_check(address: TableStreamAddress, seconds: float) -> Sequence[Finding]:
    """Read one page of the stream, and look at the leases. Nothing is written."""
    from aggregator.trades.event_log.kinesis.table_stream import TableStreamClients  # noqa: PLC0415  # Amazon's libraries take 0.3 s and 25 MiB

    clients = TableStreamClients(address)
    try:
        async with asyncio.timeout(seconds):
            await clients.open()
            shards = await clients.shards()
            if shards:
                await clients.records(await clients.iterator(shards[-1].id, TRIM_HORIZON))
            found = passed(
                _CHECK, f"the stream of table {address.stream} has {counted(len(shards), 'shard')}, and we may read it"
            )
            return [found, await leases_finding(clients)]
    except TimeoutError:
        return [failure(_CHECK, f"no answer within {seconds:g} s", f"check region and endpoint ({_SETTING})")]
    except StoreError as error:
        mend = _RIGHTS if "AccessDenied" in str(error) else f"check table, region and credentials ({_SETTING})"
        return [failure(_CHECK, str(error), mend)]
    finally:
        await clients.close()
