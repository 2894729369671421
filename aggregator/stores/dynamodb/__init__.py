"""`dynamodb://table?region=us-east-1[&endpoint=http://…]`: history in a DynamoDB table, behind an outbox on disk.

Amazon's libraries take 0.3 s and 25 MiB. This module does not import them until a table is made.
"""

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED
from aggregator.stores.definition import (
    FILE_REMEDY,
    CreatedHistory,
    HistoryParts,
    HistoryStore,
    OpenStep,
    has_valid_port,
)
from aggregator.stores.outbox import Outbox
from aggregator.stores.traced import TracedTable

if TYPE_CHECKING:
    from aggregator.stores.dynamodb.table import DynamoTable

TABLE_REMEDY = "check region, endpoint, credentials and rights, or use sqlite:///prices.db"

_EXAMPLE = "dynamodb://table?region=us-east-1"
_URL = re.compile(r"dynamodb://(?P<table>[A-Za-z0-9_.-]{3,255})/?(\?(?P<query>.*))?")


class DynamoAddress(msgspec.Struct, frozen=True):
    """A table; `endpoint` is None for Amazon's own."""

    table: str
    region: str
    endpoint: str | None


def parse_dynamodb_url(url: str) -> DynamoAddress:
    """Return the table that the URL names. Raises ValueError."""
    match = _URL.fullmatch(url)
    if match is None:
        raise ValueError(f"must be {_EXAMPLE}; the name of a table has 3 to 255 of letters, digits and . - _")
    query = parse_qs(match["query"] or "")
    unknown = query.keys() - {"region", "endpoint"}
    if unknown:
        raise ValueError(f"dynamodb:// takes region and endpoint, not {', '.join(map(repr, sorted(unknown)))}")
    endpoint = query.get("endpoint", [None])[0]
    if endpoint is not None and not (has_valid_port(endpoint) and re.match(r"https?://[^/]", endpoint)):
        raise ValueError("endpoint is not http://host:port")
    return DynamoAddress(match["table"], query.get("region", ["us-east-1"])[0], endpoint)


def make_table(
    address: DynamoAddress, metrics: Metrics, retention: float | None, now: Callable[[], float] = time.time
) -> "DynamoTable":
    """Return the table, not connected yet. `retention` is in seconds."""
    from aggregator.stores.dynamodb.table import DynamoTable  # noqa: PLC0415  # imports botocore: 0.3 s

    return DynamoTable(address.table, address.region, address.endpoint, metrics, retention, now)


def _create(url: str, parts: HistoryParts) -> CreatedHistory:
    table = make_table(parse_dynamodb_url(url), parts.metrics, parts.retention, parts.now)
    target = table if parts.tracer is UNTRACED else TracedTable(table, parts.tracer)
    outbox = Outbox(parts.outbox_path, parts.outbox_max_bytes, target, parts.metrics, parts.now)
    steps = [OpenStep(table.open, TABLE_REMEDY), OpenStep(outbox.open, FILE_REMEDY, "outbox_path")]
    return CreatedHistory(outbox, steps)


DYNAMODB = HistoryStore(
    example=_EXAMPLE,
    form=f"{_EXAMPLE}[&endpoint=http://…]",
    check=parse_dynamodb_url,
    create=_create,
)
