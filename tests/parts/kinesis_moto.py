"""moto's server with shards as Amazon's are. `python -m tests.parts.kinesis_moto -H 127.0.0.1 -p 5000`.

moto writes new records into shards that were split or merged, moves their records to their children, never ends their
iterators, and counts sequence numbers from 1 in each shard.
"""

import itertools
from collections import OrderedDict
from typing import Any

from moto.kinesis.models import KinesisBackend, Record, Shard, Stream
from moto.kinesis.utils import decompose_shard_iterator
from moto.server import main

_sequence_numbers = itertools.count(49590338271490256608559692538361571095921575989136588898)


class Shards:
    """The methods that replace moto's."""

    find = staticmethod(Stream.get_shard_for_key)
    split = staticmethod(Stream.split_shard)
    merge = staticmethod(Stream.merge_shards)
    get_records = staticmethod(KinesisBackend.get_records)

    @staticmethod
    def get_shard_for_key(stream: Any, partition_key: str, explicit_hash_key: str) -> Any:
        """Return the open shard of a key."""
        every = stream.shards
        stream.shards = {name: shard for name, shard in every.items() if shard.is_open}
        try:
            return Shards.find(stream, partition_key, explicit_hash_key)
        finally:
            stream.shards = every

    @staticmethod
    def put_record(shard: Any, partition_key: str, data: str, explicit_hash_key: str) -> str:
        """Append a record with a sequence number that is larger than any before."""
        number = next(_sequence_numbers)
        shard.records[number] = Record(partition_key, data, number, explicit_hash_key)
        return str(number)

    @staticmethod
    def split_shard(stream: Any, shard: str, hash_key: str) -> None:
        """Split a shard, which keeps its records."""
        parent = stream.shards[shard]
        kept, parent.records = parent.records, OrderedDict()
        Shards.split(stream, shard, hash_key)
        parent.records = kept

    @staticmethod
    def merge_shards(stream: Any, first: str, second: str) -> None:
        """Merge two shards, which keep their records."""
        parents = [stream.shards[first], stream.shards[second]]
        kept = [parent.records for parent in parents]
        for parent in parents:
            parent.records = OrderedDict()
        Shards.merge(stream, first, second)
        for parent, records in zip(parents, kept, strict=True):
            parent.records = records

    @staticmethod
    def get(backend: Any, stream_arn: str | None, shard_iterator: str, limit: int | None) -> Any:
        """Return records, and no further iterator at the end of a closed shard."""
        iterator, records, behind = Shards.get_records(backend, stream_arn, shard_iterator, limit)
        name, shard, _ = decompose_shard_iterator(shard_iterator)
        is_open = backend.describe_stream(stream_arn=stream_arn, stream_name=name).get_shard(shard).is_open
        return (iterator if is_open or records else None), records, behind


_REPLACED: list[tuple[type, str, Any]] = [
    (Stream, "get_shard_for_key", Shards.get_shard_for_key),
    (Stream, "split_shard", Shards.split_shard),
    (Stream, "merge_shards", Shards.merge_shards),
    (Shard, "put_record", Shards.put_record),
    (KinesisBackend, "get_records", Shards.get),
]

if __name__ == "__main__":
    for kind, name, method in _REPLACED:
        setattr(kind, name, method)
    main()
