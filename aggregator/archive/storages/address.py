"""Reads ARCHIVE_URL: a folder (`file://lake`, `lake/`) or an S3 bucket (`s3://bucket/prefix?region=…&endpoint=…`).

Imports neither DuckDB nor Amazon's libraries.
"""

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec

from aggregator.libraries.extras import has_extra, install
from aggregator.stores.definition import has_valid_port

EXAMPLE = "file://lake or s3://bucket/prefix?region=us-east-1"
FORM = "file://folder (file:/// for an absolute path), or s3://bucket/prefix[?region=us-east-1&endpoint=http://…]"

_S3 = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>/[A-Za-z0-9_./=-]*)?(\?\S*)?")
_TAKES = frozenset({"region", "endpoint"})
_INSTALL = f"DuckDB is not installed; {install('archive')}"


class FolderAddress(msgspec.Struct, frozen=True):
    """A folder of this machine."""

    folder: Path

    @property
    def root(self) -> str:
        """The folder as DuckDB takes it, without a slash at the end."""
        return str(self.folder)


class S3Address(msgspec.Struct, frozen=True):
    """A bucket; `prefix` has no slash at its ends and may be empty, `endpoint` is None for Amazon's own."""

    bucket: str
    prefix: str
    region: str
    endpoint: str | None

    @property
    def root(self) -> str:
        """The address of the prefix as DuckDB takes it, without a slash at the end."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def key(self, path: str) -> str:
        """Return the key of a path in the archive."""
        return f"{self.prefix}/{path}" if self.prefix else path


ArchiveAddress = FolderAddress | S3Address


def parse_archive_url(url: str) -> ArchiveAddress:
    """Return the place that the URL names: `file://…`, a path, or `s3://…`. Raises ValueError."""
    if not has_extra("archive"):
        raise ValueError(_INSTALL)
    if url.startswith("s3://"):
        return _bucket(url)
    path = url.removeprefix("file://")
    if "://" in path or not path or "\0" in path or any(one in path for one in "*?[]"):
        raise ValueError(f"must be {EXAMPLE}")
    return FolderAddress(Path(path))


def _bucket(url: str) -> S3Address:
    match = _S3.fullmatch(url)
    if match is None:
        raise ValueError(f"must be {EXAMPLE}; the name of a bucket has 3 to 63 of small letters, digits and . -")
    query = parse_qs(urlsplit(url).query, keep_blank_values=True)
    if unknown := sorted(query.keys() - _TAKES):
        raise ValueError(f"s3:// takes region and endpoint, not {', '.join(map(repr, unknown))}")
    endpoint = query.get("endpoint", [None])[-1]
    if endpoint is not None and not (has_valid_port(endpoint) and re.fullmatch(r"https?://[^/\s'?#@]+/?", endpoint)):
        raise ValueError("endpoint is not http://host:port; credentials come from the chain of AWS")
    region = query.get("region", ["us-east-1"])[-1]
    if not re.fullmatch(r"[a-z0-9-]{1,40}", region):
        raise ValueError("region is not like us-east-1")
    prefix = (match["prefix"] or "").strip("/")
    if "//" in prefix or ".." in prefix.split("/"):
        raise ValueError("the prefix has an empty part or `..`")
    return S3Address(match["bucket"], prefix, region, endpoint and endpoint.rstrip("/"))
