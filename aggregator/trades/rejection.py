"""A record that is no trade, with the reason. Pure, so that `ingest.py` can use it."""

import msgspec


class Rejection(msgspec.Struct, frozen=True):
    """Something that was sent as a trade and is none: its bytes (the first 4,096), and the reason in words.

    `code` is one of REJECTION_CODES, or REFUSED for a trade that the store does not take. `index` counts the records of
    one call from 0. `source` says where it came from: `ingest`, `replay`, `kafka`, `kinesis`, `table_stream`, or the
    name of a venue or of the store; `place` where exactly, if that is known, as topic/partition/offset or
    stream/shard/sequence number. `at` is our time in unix seconds.
    """

    index: int
    code: str
    reason: str
    raw: bytes
    source: str
    at: float
    place: str = ""


REJECTION_CODES = ("malformed", "asset", "price", "volume", "timestamp", "future", "venue", "id", "side", "sequence")
REFUSED = "refused"
