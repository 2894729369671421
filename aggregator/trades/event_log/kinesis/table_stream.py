"""The stream of a DynamoDB table (DynamoDB Streams), read by the consumer of Kinesis: shards, leases, checkpoints.

    dynamodb://table?region=us-east-1[&endpoint=http://…&table=LEASES&start=trim_horizon|latest&lease=10]

A record is a written item. It is kept for 24 hours, and the shards of a stream are replaced every few hours.
"""

import msgspec

from aggregator.errors import StoreRefused
from aggregator.trades.event_log.kinesis.client import (
    NotThere,
    Record,
    RecordsPage,
    ShardClients,
    is_sequence_number,
    mapped_errors,
    shard_of,
)
from aggregator.trades.event_log.kinesis.shard_plan import TRIM_HORIZON, Shard
from aggregator.trades.event_log.kinesis.table_stream_address import TableStreamAddress

_MOST_RECORDS = 1000  # of one GetRecords
_DIGITS = 21  # of a sequence number, the least; DynamoDB Local fills it up with zeros
_WITH_ITEMS = ("NEW_IMAGE", "NEW_AND_OLD_IMAGES")


class _Change(msgspec.Struct, rename="pascal"):
    sequence_number: str
    new_image: msgspec.Raw = msgspec.Raw()
    approximate_creation_date_time: float = 0.0


class _Entry(msgspec.Struct):
    dynamodb: _Change


class _Page(msgspec.Struct, rename="pascal"):
    records: list[_Entry]
    next_shard_iterator: str | None = None


_page = msgspec.json.Decoder(_Page)


class TableStreamClients(ShardClients):
    """The connections to the stream of a table. The data of a record is the JSON of the item; none of a deleted one."""

    service = "dynamodbstreams"
    log_events = "table_stream_failing", "table_stream_recovered"

    def __init__(self, address: TableStreamAddress) -> None:
        super().__init__(address)
        self._source = address.stream
        self._arn = ""

    async def records(self, iterator: str) -> tuple[RecordsPage, int]:
        """As `ShardClients.records`. How far the page is behind is not told: see the times of its records."""
        with mapped_errors():
            answer = await self._streams.get_records(ShardIterator=iterator, Limit=_MOST_RECORDS)
            body: bytes = answer["page"]
            page = _page.decode(body)
            return RecordsPage([_record(entry.dynamodb) for entry in page.records], 0, page.next_shard_iterator), len(
                body
            )

    async def iterator(self, shard: str, kind: str, **position: object) -> str:
        """As `ShardClients.iterator`. A position in time is the beginning: the reader of the records looks at times."""
        number = position.get("StartingSequenceNumber")
        more = {} if number is None else {"SequenceNumber": str(number).zfill(_DIGITS)}
        with mapped_errors():
            answer = await self._streams.get_shard_iterator(
                StreamArn=await self._found(),
                ShardId=shard,
                ShardIteratorType=kind if more else TRIM_HORIZON,
                **more,
            )
            return str(answer["ShardIterator"])

    async def shards(self) -> list[Shard]:
        """As `ShardClients.shards`. Raises StoreRefused if the stream has no items in it."""
        found: list[Shard] = []
        parameters: dict[str, str] = {}
        arn = await self._found()
        with mapped_errors():
            while True:
                answer = (await self._streams.describe_stream(StreamArn=arn, **parameters))["StreamDescription"]
                if answer["StreamViewType"] not in _WITH_ITEMS:
                    raise StoreRefused(f"the stream of table {self._source} has no items: set it to NEW_IMAGE")
                found += map(shard_of, answer["Shards"])
                if not (last := answer.get("LastEvaluatedShardId")):
                    return found
                parameters = {"ExclusiveStartShardId": last}

    async def _found(self) -> str:
        """Return the name of the newest stream of the table. Raises NotThere for a table without a stream."""
        if not self._arn:
            with mapped_errors():
                answer = await self._streams.list_streams(TableName=self._source)
                labels = {str(one["StreamLabel"]): str(one["StreamArn"]) for one in answer["Streams"]}
            if not labels:
                raise NotThere(f"table {self._source} has no stream: turn it on, with new images")
            self._arn = labels[max(labels)]  # labels are times
        return self._arn


def _record(change: _Change) -> Record:
    if not is_sequence_number(change.sequence_number):
        raise ValueError("a sequence number is no number")
    return Record(change.sequence_number, bytes(change.new_image), change.approximate_creation_date_time)
