"""The units that one trade costs. `python -m tests.bench.cost_units` measures bytes and the CPU of PostgreSQL."""

WRITES = 1.0
"""DynamoDB write request units of a trade: its item has less than 1 KB.

tests/stores/trades/test_dynamodb.py asks DynamoDB Local.
"""

ITEM_BYTES = 258.0
"""Bytes of an item that DynamoDB charges for: 158 of a trade, and 100 that it adds to each item."""

RECORD_BYTES = 176.0
"""Bytes of a trade as JSON, in a stream of Kinesis. Each record is a PUT payload unit of up to 25 KB."""

READ_BYTES = 4096.0
"""Bytes that half of a DynamoDB read request unit reads."""

SHARDS = 8
"""Partitions of an asset in DynamoDB; the archive reads each of them once a flush."""

FLUSH_SECONDS = 300.0
"""Seconds of a file of the archive."""

FILE_ROWS = 1e6
"""The most rows of a file of the archive."""

ARCHIVE_BYTES = 25.0
"""Bytes of a trade in a Parquet file of the archive; the bound of `./test.sh bench archive`."""

SQLITE_BYTES = 270.0
"""Bytes of a trade in SQLite: 215 to 270 of a million trades, with the journal and the write-ahead log."""

ROW_BYTES = 222.0
"""Bytes of a trade in PostgreSQL: its row and its entry in the primary key."""

QUEUE_REQUESTS = 0.3
"""SQS requests of a delivered event: a batch of 10 is sent, received and deleted."""

CPU_SECONDS = 50e-6
"""CPU of the service for a trade, all in: 33 to 48 µs over HTTP, 29 to 36 from Kafka (docs/performance.md)."""

DATABASE_CPU_SECONDS = 10e-6
"""CPU of PostgreSQL for an inserted trade: 8.9 µs in batches of 5,000."""

UTILISATION = 0.5
"""The share of its CPU that a machine uses on average; the rest is for bursts, rebalances and reads."""
