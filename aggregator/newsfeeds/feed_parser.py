"""Parses a feed in a process of its own: reads RSS or Atom from stdin, and writes its entries as JSON.

feedparser takes seconds for a malformed feed of some hundred kilobytes. In this process, neither its CPU time nor its
memory is the service's; the operating system ends it at its limits. The only module that imports feedparser.
"""

import calendar
import io
import os
import resource
import sys
from hashlib import blake2b
from typing import Any

import msgspec

MOST_ENTRIES = 200
_MOST_TEXT = 20_000  # characters of a text
_CPU_SECONDS, _MEMORY = 10, 1 << 30
_PRIORITY = 5


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """An entry of a feed. `published` is in unix seconds, None where the feed has no date that can be read."""

    id: str
    title: str
    summary: str
    link: str
    published: float | None


def entries_of(body: bytes, content_type: str) -> list[Entry] | None:
    """Return the entries of a feed; None for what is no feed. Nothing is fetched, and no file is opened."""
    import feedparser  # noqa: PLC0415  # only in this process

    headers = {"content-type": content_type} if content_type else {}
    # As a stream: a text or bytes alone could be taken for an address or the name of a file.
    feed = feedparser.parse(
        io.BytesIO(body), response_headers=headers, resolve_relative_uris=False, sanitize_html=False
    )
    if not feed.entries and not feed.get("version"):
        return None
    return [_entry(one) for one in feed.entries[:MOST_ENTRIES]]


def _entry(one: Any) -> Entry:
    title, link = _text(one.get("title")), _text(one.get("link"))
    published = _seconds(dict.get(one, "published_parsed") or dict.get(one, "updated_parsed"))
    id_ = _text(one.get("id")) or link or _hash(f"{title} {published}")
    return Entry(id_, title, _text(one.get("summary")), link, published)


def _text(value: object) -> str:
    """Return a text that JSON can hold."""
    return value[:_MOST_TEXT].encode(errors="replace").decode() if isinstance(value, str) else ""


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _seconds(parsed: Any) -> float | None:
    try:
        return None if parsed is None else float(calendar.timegm(parsed))
    except (TypeError, ValueError, OverflowError):
        return None


def main() -> None:
    """Parse stdin. The only argument is the feed's content type."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    os.nice(_PRIORITY)
    entries = entries_of(sys.stdin.buffer.read(), sys.argv[1] if len(sys.argv) > 1 else "")
    sys.stdout.buffer.write(msgspec.json.encode(entries))


if __name__ == "__main__":
    main()
