"""The monthly cost of a stream of trades in three shapes. Pure arithmetic, in dollars."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from aggregator.cli.cost import units
from aggregator.numerals import counted

HOURS = 730.0  # of a month
SECONDS = HOURS * 3600
_VCPUS = 2  # of each machine in the list of prices
_SMALL_CORES = 0.4  # that a t4g.small may use all the time: 20 % of each of its two
_SHARD_RECORDS, _SHARD_BYTES = 1000.0, 1e6  # a second
_SHARD_SHARE = 0.8  # of a shard's limit that is planned with
_MACHINES = 2  # at least, so that one may fail
_DISK = 8.0  # GB of a machine
_GB = 1e9

Shape = Literal["dynamodb", "archive", "postgresql"]
SHAPES: Sequence[Shape] = ("dynamodb", "archive", "postgresql")


class Load(msgspec.Struct, frozen=True):
    """The stream and where it runs.

    `rate` is in trades per second, `retention` in seconds of the hot store, `delivered` the share of trades for which
    an event goes to a queue. `archive_days`: how long files of the archive are paid for in this sum. `has_log`: trades
    come from Kinesis. `endpoints` are interface endpoints times zones, `alarms` CloudWatch's.
    """

    rate: float
    assets: int
    retention: float
    delivered: float
    archive_days: float
    has_log: bool
    endpoints: int
    alarms: int

    @property
    def trades(self) -> float:
        """Trades of a month."""
        return self.rate * SECONDS


class Line(msgspec.Struct, frozen=True):
    """One part of the sum: `quantity` of units a month, and their dollars."""

    part: str
    quantity: float
    unit: str
    dollars: float


def lines_of(shape: Shape, load: Load, prices: Mapping[str, float]) -> list[Line]:
    """Return the parts of a shape's cost. Every shape has machines, the archive, the network and alarms."""
    hot = {"dynamodb": _dynamodb, "archive": _embedded, "postgresql": _postgresql}[shape]
    return [
        *_log(load, prices),
        *_machines(load, prices),
        *hot(load, prices),
        *_archive(load, prices),
        *_rest(load, prices),
    ]


def per_million(lines: Sequence[Line], load: Load) -> float:
    """Return the dollars of a million trades."""
    return sum(line.dollars for line in lines) / (load.trades / 1e6)


def _log(load: Load, prices: Mapping[str, float]) -> list[Line]:
    if not load.has_log:
        return []
    needed = max(load.rate / _SHARD_RECORDS, load.rate * units.RECORD_BYTES / _SHARD_BYTES)
    shards = max(1, math.ceil(needed / _SHARD_SHARE))
    return [
        _line("log: Kinesis records", load.trades / 1e6, "M units", prices["kinesis_put"]),
        _line(f"log: {counted(shards, 'shard')}", shards * HOURS, "hours", prices["kinesis_shard"]),
    ]


def _machines(load: Load, prices: Mapping[str, float]) -> list[Line]:
    cores = load.rate * units.CPU_SECONDS / units.UTILISATION
    small = cores <= _SMALL_CORES
    number = _MACHINES if small else max(_MACHINES, math.ceil(cores / _VCPUS))
    kind, price = ("t4g.small", "small_machine") if small else ("c7g.large", "large_machine")
    return [
        _line(f"machines: {number} {kind}", number * HOURS, "hours", prices[price]),
        _line("machines: disks", number * _DISK, "GB", prices["disk"]),
    ]


def _dynamodb(load: Load, prices: Mapping[str, float]) -> list[Line]:
    kept = load.rate * load.retention * units.ITEM_BYTES / _GB
    flushes = SECONDS / units.FLUSH_SECONDS
    partitions = load.assets * units.SHARDS
    each = max(1.0, load.rate * units.FLUSH_SECONDS * units.ITEM_BYTES / partitions / units.READ_BYTES)
    reads = flushes * partitions * math.ceil(each) / 2
    return [
        _line("hot store: writes", load.trades * units.WRITES / 1e6, "M units", prices["dynamodb_write"]),
        _line("hot store: kept", kept, "GB", prices["dynamodb_storage"]),
        _line("hot store: read by the archive", reads / 1e6, "M units", prices["dynamodb_read"]),
    ]


def _embedded(load: Load, prices: Mapping[str, float]) -> list[Line]:
    kept = load.rate * load.retention * units.SQLITE_BYTES / _GB
    return [_line("hot store: SQLite on the machines' disks", kept, "GB", prices["disk"])]


def _postgresql(load: Load, prices: Mapping[str, float]) -> list[Line]:
    cores = load.rate * units.DATABASE_CPU_SECONDS / units.UTILISATION
    small = cores <= _SMALL_CORES
    number = 1 if small else max(1, math.ceil(cores / _VCPUS))
    kind, price = ("db.t4g.medium", "small_database") if small else (f"{number * _VCPUS} vCPU", "large_database")
    kept = load.rate * load.retention * units.ROW_BYTES / _GB
    return [
        _line(f"hot store: RDS {kind}", number * HOURS, "hours", prices[price]),
        _line("hot store: disk", kept, "GB", prices["database_disk"]),
    ]


def _archive(load: Load, prices: Mapping[str, float]) -> list[Line]:
    flushes = SECONDS / units.FLUSH_SECONDS
    files = max(1, math.ceil(load.rate * units.FLUSH_SECONDS / units.FILE_ROWS))
    writes = flushes * (files + 1)  # and the manifest
    kept = load.rate * 86_400 * load.archive_days * units.ARCHIVE_BYTES / _GB
    return [
        _line("archive: writes", writes / 1e6, "M requests", prices["s3_put"]),
        _line(f"archive: {load.archive_days:g} days kept", kept, "GB", prices["s3_storage"]),
    ]


def _rest(load: Load, prices: Mapping[str, float]) -> list[Line]:
    requests = load.trades * load.delivered * units.QUEUE_REQUESTS / 1e6
    through = (
        load.trades * units.RECORD_BYTES * 2 / _GB if load.endpoints and load.has_log else 0.0
    )  # into the stream and out of it
    return [
        _line("queues", requests, "M requests", prices["sqs_requests"]),
        _line(f"network: {counted(load.endpoints, 'endpoint')}", load.endpoints * HOURS, "hours", prices["endpoint"]),
        _line("network: through endpoints", through, "GB", prices["endpoint_data"]),
        _line("alarms", load.alarms, "alarms", prices["alarm"]),
    ]


def _line(part: str, quantity: float, unit: str, price: float) -> Line:
    return Line(part, quantity, unit, quantity * price)
