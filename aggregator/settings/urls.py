"""The address of a history: `sqlite:///file.db` or `dynamodb://table?region=us-east-1[&endpoint=http://…]`."""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

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


_URL = re.compile(r"rediss?://[^/\s]\S*")
_NUMBERS = frozenset({"db", "protocol", "health_check_interval"})
_ANY = _NUMBERS | {"client_name"}
_TLS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"})
_SIGN_IN = frozenset({"iam", "region"})


def check_redis_url(url: str) -> None:
    """Raise ValueError saying what is wrong with `redis[s]://[user:password@]host:port/db[?name=value&…]`."""
    if not _URL.fullmatch(url) or not has_good_port(url):
        raise ValueError("is neither memory:// nor redis://host:6379/0")
    parts = urlsplit(url)
    query = parse_qs(parts.query, keep_blank_values=True)
    usual = _ANY | _TLS | _SIGN_IN if parts.scheme == "rediss" else _ANY
    known = usual | _SIGN_IN if "iam" in query else usual - _SIGN_IN
    unknown = sorted(query.keys() - known)
    if unknown:
        takes = ", ".join(sorted(usual))
        raise ValueError(f"{parts.scheme}:// takes no parameter {_named(unknown)}, only {takes}")
    wrong = sorted(name for name in _NUMBERS & query.keys() if not re.fullmatch("[0-9]{1,9}", query[name][-1]))
    if wrong:
        raise ValueError(f"its parameter {_named(wrong)} is no whole number")
    signed = parts.scheme == "rediss" and parts.username and not parts.password and "region" in query
    if "iam" in query and not signed:  # without TLS, what is signed could be read and used
        raise ValueError("with iam= it is rediss://user@host:6379/0?iam=cache&region=us-east-1")


def _named(names: list[str]) -> str:
    """Return the names, each at most so long, as a password with an & in it would be among them."""
    return ", ".join(repr(name if re.fullmatch("[a-z_]{1,32}", name) else "…") for name in names)
