"""The address of a Kinesis stream: `kinesis://stream?region=us-east-1[&endpoint=http://…]`. Pure.

| option | values | default |
| --- | --- | --- |
| region | the region of the stream and of the table of leases | none, required |
| endpoint | http(s)://host:port of a Kinesis other than Amazon's | Amazon's |
| table | the DynamoDB table of leases; processes with the same table share the shards | aggregator-STREAM |
| table_endpoint | http(s)://host:port of a DynamoDB other than Amazon's | that of `endpoint` |
| format | json, protobuf: of records that do not show it themselves | json |
| start | trim_horizon, latest, or a time, for a shard without a checkpoint | trim_horizon |
| lease | seconds (3 to 300) after which a lease that is not renewed may be taken | 10 |

Credentials come from the standard chain of AWS, so that no address has a secret.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

EXAMPLE = "kinesis://stream?region=us-east-1"
FORM = f"{EXAMPLE}[&endpoint=http://…&format=json|protobuf&start=trim_horizon|latest|TIME&table=…]"
TRIM_HORIZON, LATEST = "TRIM_HORIZON", "LATEST"
_FORMATS = ("json", "protobuf")
_OPTIONS = ("region", "endpoint", "table", "table_endpoint", "format", "start", "lease")
_URL = re.compile(r"[a-z-]+://(?P<stream>[^/?#]*)/?(?:\?(?P<query>[^#]*))?")
_STREAM = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]{2,12}){1,3}-\d{1,2}")
_ENDPOINT = re.compile(r"https?://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?/?")
_SECONDS = re.compile(r"\d{9,11}(?:\.\d{1,6})?")
_LEAST_LEASE, _LEASE, _MOST_LEASE = 3, 10, 300  # seconds


class KinesisAddress(NamedTuple):
    """A stream, and how it is read.

    An endpoint is None for Amazon's own. `start` is TRIM_HORIZON, LATEST, or unix seconds. `lease` is in seconds.
    """

    stream: str
    region: str
    endpoint: str | None
    table: str
    table_endpoint: str | None
    format: str
    start: str | float
    lease: int


def parse_kinesis_url(url: str, scheme: str = "kinesis") -> KinesisAddress:
    """Return the address that a URL names. Raises ValueError, whose message has no secret of the URL in it.

    `scheme` is another one of streams that are read alike.
    """
    match = _URL.fullmatch(url) if url.startswith(f"{scheme}:") else None
    if match is None:
        raise ValueError(f"must be {EXAMPLE.replace('kinesis', scheme)}")
    stream = match["stream"]
    if "@" in stream:
        raise ValueError(f"{scheme}:// takes no credentials; use the environment, a profile or a role of AWS")
    if not _STREAM.fullmatch(stream):
        raise ValueError(f"the stream of {scheme}:// must have 1 to 128 letters, digits, dots, dashes and underscores")
    given = _given(match["query"] or "", scheme)
    region, table = given.get("region", ""), given.get("table", f"aggregator-{stream}")
    if not _REGION.fullmatch(region):
        raise ValueError(f"region of {scheme}:// must be the name of a region, such as us-east-1")
    if not _TABLE.fullmatch(table):
        raise ValueError(f"table of {scheme}:// must have 3 to 255 letters, digits, dots, dashes and underscores")
    format_ = given.get("format", _FORMATS[0])
    if format_ not in _FORMATS:
        raise ValueError(f"format of {scheme}:// must be {' or '.join(_FORMATS)}")
    endpoint = _endpoint(given, "endpoint", scheme)
    return KinesisAddress(
        stream,
        region,
        endpoint,
        table,
        _endpoint(given, "table_endpoint", scheme) or endpoint,
        format_,
        _start(given.get("start", TRIM_HORIZON), scheme),
        _lease(given.get("lease", str(_LEASE)), scheme),
    )


def _given(query: str, scheme: str) -> Mapping[str, str]:
    given = parse_qs(query, keep_blank_values=True)
    unknown = given.keys() - set(_OPTIONS)
    if unknown:
        raise ValueError(f"{scheme}:// takes {', '.join(_OPTIONS)}, not {', '.join(map(repr, sorted(unknown)))}")
    if twice := [name for name, values in given.items() if len(values) > 1]:
        raise ValueError(f"{scheme}:// takes {twice[0]} once")
    return {name: values[0] for name, values in given.items()}


def _endpoint(given: Mapping[str, str], name: str, scheme: str) -> str | None:
    endpoint = given.get(name)
    if endpoint is None:
        return None
    try:
        is_valid = bool(_ENDPOINT.fullmatch(endpoint)) and urlsplit(endpoint).port != 0
    except ValueError:  # the port is above 65535
        is_valid = False
    if not is_valid:
        raise ValueError(f"{name} of {scheme}:// must be http://host:port or https://host:port")
    return endpoint.rstrip("/")


def _start(text: str, scheme: str) -> str | float:
    if text.upper() in (TRIM_HORIZON, LATEST):
        return text.upper()
    try:
        if _SECONDS.fullmatch(text):
            return float(text)
        moment = datetime.fromisoformat(text.upper().replace(" ", "+"))  # a query's plus is a space
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"start of {scheme}:// must be trim_horizon, latest, or a time as 2026-11-21T06:10:27Z or unix seconds"
        ) from error


def _lease(text: str, scheme: str) -> int:
    if not (text.isascii() and text.isdigit()) or not _LEAST_LEASE <= int(text[:9]) <= _MOST_LEASE:
        raise ValueError(f"lease of {scheme}:// must be {_LEAST_LEASE} to {_MOST_LEASE} whole seconds")
    return int(text)
