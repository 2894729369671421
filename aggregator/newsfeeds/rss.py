"""A feed: RSS or Atom at any address."""

import asyncio
import os
import sys
from collections.abc import Sequence
from hashlib import blake2b
from urllib.parse import urlsplit

import msgspec

from aggregator.news.articles import Sent
from aggregator.news.ports import SourceError
from aggregator.newsfeeds.answers import id_of
from aggregator.newsfeeds.feed_parser import Entry
from aggregator.newsfeeds.http import MOST_REDIRECTS, Client

MOST_BYTES = 2 << 20  # of a feed
_PARSE_SECONDS = 30.0  # of a busy machine; the parser is ended after 10 s of CPU time
_MOST_HEADER = 200  # characters
_INHERITED = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")  # but for keys and passwords
_ACCEPT = "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.8, */*;q=0.1"
_CHANGE_HEADERS = (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since"))


class Feed:
    """`aggregator.news.ports.Source` of one feed. It is parsed only if it has changed."""

    def __init__(self, url: str, interval: float, client: Client) -> None:
        self.name = f"rss:{urlsplit(url).hostname}"
        self.interval = interval
        self._url = url
        self._client = client
        self._conditions: dict[str, str] = {}
        self._digest = b""

    async def read(self) -> Sequence[Sent]:
        """As `Source.read`."""
        headers = {"Accept": _ACCEPT, **self._conditions}
        reply = await self._client.get(self._url, headers, MOST_BYTES, redirects=MOST_REDIRECTS)
        if reply.body is None:
            return ()
        digest = blake2b(reply.body).digest()
        if digest == self._digest:
            return ()
        entries = await parsed(reply.body, reply.headers.get("Content-Type", ""))
        sent = {ask: reply.headers.get(name, "") for name, ask in _CHANGE_HEADERS}
        self._conditions = {ask: value for ask, value in sent.items() if 0 < len(value) <= _MOST_HEADER}
        self._digest = digest
        return [self._sent(entry) for entry in entries]

    def _sent(self, entry: Entry) -> Sent:
        # An id that is an address is the same in all feeds of a publisher; any other is unique in its feed only.
        id_ = entry.id if entry.id.startswith(("http://", "https://")) else f"{self._url} {entry.id}"
        hashed = blake2b(id_.encode(), digest_size=16).hexdigest()
        host = self.name.partition(":")[2]
        return Sent(id_of("rss", hashed), entry.title, entry.summary, host, entry.link, entry.published)


async def parsed(body: bytes, content_type: str) -> list[Entry]:
    """Return the entries of a feed, parsed in a process of its own. Raises SourceError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # without the working directory among the places of modules
        "-m",
        "aggregator.newsfeeds.feed_parser",
        content_type[:_MOST_HEADER].encode("ascii", "replace").decode().replace("\0", ""),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={name: os.environ[name] for name in _INHERITED if name in os.environ},
    )
    try:
        async with asyncio.timeout(_PARSE_SECONDS):
            output, _ = await process.communicate(body)
    except TimeoutError as error:
        raise SourceError("undecodable", f"the feed was not parsed within {_PARSE_SECONDS:g} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    try:
        entries = msgspec.json.decode(output, type=list[Entry] | None)
    except msgspec.MsgspecError as error:  # there is no output where the parser was ended
        raise SourceError("undecodable", "the feed cannot be parsed within bounds of time and memory") from error
    if entries is None:
        raise SourceError("undecodable", "the answer is no feed")
    return entries
