"""A Kinesis for tests: moto's server behind a proxy with Amazon's limits. The same server has the tables of leases."""

import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3

from tests.parts.kinesis_proxy import KinesisProxy
from tests.parts.ports import free_port
from tests.parts.process import ROOT, Process, wait_for

_MOST = 500  # records of one PutRecords
LEASE = 3  # seconds; the shortest that an address may name


class Kinesis:
    """A server; each test has streams of its own. Calls of the tests go around the proxy, except for reshards."""

    def __init__(self, port: int) -> None:
        self.target = f"http://127.0.0.1:{port}"
        self.process = Process(
            [sys.executable, "-m", "tests.parts.kinesis_moto", "-H", "127.0.0.1", "-p", str(port)], cwd=ROOT
        )
        wait_for(self._answers, what="moto")
        self.proxy = KinesisProxy(self.target)
        self._direct = _client("kinesis", self.target)
        self._behind = _client("kinesis", self.proxy.endpoint)
        self._dynamodb = _client("dynamodb", self.target)

    def stream(self, shards: int = 2) -> str:
        """Create a stream; return its name."""
        name = f"trades-{uuid.uuid4().hex[:12]}"
        self._direct.create_stream(StreamName=name, ShardCount=shards)
        wait_for(lambda: self._direct.describe_stream(StreamName=name)["StreamDescription"]["StreamStatus"] == "ACTIVE")
        return name

    def url(self, stream: str, **options: object) -> str:
        """Return the address of a stream behind the proxy, for AGGREGATOR_TRADES_LOG."""
        given = {"region": "us-east-1", "endpoint": self.proxy.endpoint, "lease": LEASE} | options
        return f"kinesis://{stream}?" + "&".join(f"{name}={value}" for name, value in given.items())

    def put(self, stream: str, records: Iterable[tuple[str, bytes]]) -> None:
        """Put records of keys and values, through the proxy, so that no read meets a write in moto."""
        some: list[dict[str, Any]] = []
        for key, value in records:
            some.append({"PartitionKey": key, "Data": value})
            if len(some) == _MOST:
                self._put(stream, some)
                some = []
        if some:
            self._put(stream, some)

    def _put(self, stream: str, records: list[dict[str, Any]]) -> None:
        answer = self._behind.put_records(StreamName=stream, Records=records)
        assert not answer.get("FailedRecordCount"), answer

    def shards(self, stream: str) -> list[str]:
        """Return the shards that are open."""
        found = self._direct.list_shards(StreamName=stream)["Shards"]
        return [one["ShardId"] for one in found if "EndingSequenceNumber" not in one["SequenceNumberRange"]]

    def split(self, stream: str, shard: str) -> None:
        """Split a shard in the middle."""
        found = {one["ShardId"]: one["HashKeyRange"] for one in self._direct.list_shards(StreamName=stream)["Shards"]}
        middle = (int(found[shard]["StartingHashKey"]) + int(found[shard]["EndingHashKey"])) // 2
        self._behind.split_shard(StreamName=stream, ShardToSplit=shard, NewStartingHashKey=str(middle))

    def merge(self, stream: str, first: str, second: str) -> None:
        """Merge two neighbours."""
        self._behind.merge_shards(StreamName=stream, ShardToMerge=first, AdjacentShardToMerge=second)

    def leases(self, stream: str) -> Mapping[str, Mapping[str, str]]:
        """Return the items of the table of leases, by shard, with plain values."""
        items = self._dynamodb.scan(TableName=f"aggregator-{stream}")["Items"]
        return {
            one["leaseKey"]["S"]: {name: next(iter(value.values())) for name, value in one.items()} for one in items
        }

    def steal(self, stream: str, shard: str, owner: str) -> None:
        """Give a lease to another owner."""
        self._dynamodb.update_item(
            TableName=f"aggregator-{stream}",
            Key={"leaseKey": {"S": shard}},
            UpdateExpression="SET leaseOwner = :owner ADD leaseCounter :one",
            ExpressionAttributeValues={":owner": {"S": owner}, ":one": {"N": "1"}},
        )

    def add_lease(self, stream: str, shard: str, checkpoint: str) -> None:
        """Write a lease without an owner."""
        item = {"leaseKey": {"S": shard}, "checkpoint": {"S": checkpoint}, "leaseCounter": {"N": "7"}}
        self._dynamodb.put_item(TableName=f"aggregator-{stream}", Item=item)

    def checkpoints(self, stream: str) -> Mapping[str, str]:
        """Return the checkpoint of each shard."""
        return {shard: one["checkpoint"] for shard, one in self.leases(stream).items()}

    def records(self, stream: str, shard: str) -> list[tuple[str, bytes]]:
        """Return the sequence number and data of all records of a shard."""
        iterator = self._direct.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")[
            "ShardIterator"
        ]
        found = self._direct.get_records(ShardIterator=iterator)["Records"]
        return [(one["SequenceNumber"], one["Data"]) for one in found]

    def ends(self, stream: str) -> Mapping[str, str]:
        """Return the last sequence number of each open shard that has records."""
        found = {shard: self.records(stream, shard) for shard in self.shards(stream)}
        return {shard: records[-1][0] for shard, records in found.items() if records}

    def is_processed(self, stream: str) -> bool:
        """Whether the checkpoints are at the ends of the open shards."""
        ends = self.ends(stream)
        return {shard: at for shard, at in self.checkpoints(stream).items() if shard in ends} == ends

    def stop(self) -> None:
        """Stop the processes."""
        for client in (self._direct, self._behind, self._dynamodb):
            client.close()
        self.proxy.stop()
        self.process.stop()

    def _answers(self) -> bool:
        assert self.process.child.poll() is None, self.process.output
        try:
            urllib.request.urlopen(self.target, timeout=1).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True


def _client(service: str, endpoint: str) -> Any:
    names = ("aws_access_key_id", "aws_secret_access_key")  # moto takes any
    return boto3.client(service, region_name="us-east-1", endpoint_url=endpoint, **dict.fromkeys(names, "local"))


@contextmanager
def running() -> Iterator[Kinesis]:
    """Run a server."""
    server = Kinesis(free_port())
    yield server
    server.stop()
