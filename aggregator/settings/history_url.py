"""The address of a history: `sqlite:///file.db` or `dynamodb://table?region=us-east-1[&endpoint=http://…]`."""

import re
from pathlib import Path
from urllib.parse import parse_qs

import msgspec

from aggregator.exchanges.targets import has_good_port

_DYNAMODB = re.compile(r"dynamodb://(?P<table>[A-Za-z0-9_.-]{3,255})/?(\?(?P<query>.*))?")


class SqliteTarget(msgspec.Struct, frozen=True):
    """History in a local file."""

    path: Path


class DynamoTarget(msgspec.Struct, frozen=True):
    """History in a DynamoDB table; `endpoint` is None for Amazon's own."""

    table: str
    region: str
    endpoint: str | None


def history_target(url: str) -> SqliteTarget | DynamoTarget:
    """Read a history URL. Raises ValueError."""
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return SqliteTarget(Path(url.removeprefix("sqlite:///")))
    match = _DYNAMODB.fullmatch(url)
    if match is None:
        raise ValueError("is neither sqlite:///file.db nor dynamodb://table?region=us-east-1")
    query = parse_qs(match["query"] or "")
    unknown = query.keys() - {"region", "endpoint"}
    if unknown:
        raise ValueError(f"dynamodb:// takes region and endpoint, not {', '.join(map(repr, sorted(unknown)))}")
    endpoint = query.get("endpoint", [None])[0]
    if endpoint is not None and not (has_good_port(endpoint) and re.match(r"https?://[^/]", endpoint)):
        raise ValueError("endpoint is not http://host:port")
    return DynamoTarget(match["table"], query.get("region", ["us-east-1"])[0], endpoint)
