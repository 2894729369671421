"""Feeds from a real server, good and hostile."""

import asyncio
import os
import resource
import zlib
from collections.abc import AsyncIterator
from itertools import pairwise

import aiohttp
import pytest

from aggregator.news.articles import Sent, checked
from aggregator.news.ports import SourceError
from aggregator.newsfeeds import http
from aggregator.newsfeeds.http import Client
from aggregator.newsfeeds.rss import MOST_BYTES, Feed
from tests.parts.limits import FULL, allowed
from tests.parts.site import Site, reply, site

AT = 1_756_720_800  # of the date below
NOW = AT + 60.0
MANY = 600_000 if FULL else 150_000  # tags of an attack; the larger number fills a feed
ITEM = (
    "<item><title>Bitcoin &amp;amp; &lt;b&gt;Ether&lt;/b&gt; rise</title><link>https://example.com/1</link>"
    "<guid>one</guid><pubDate>Mon, 01 Sep 2025 10:00:00 GMT</pubDate><description>{}</description></item>"
)
RSS = '<?xml version="1.0"{}?><rss version="2.0"><channel><title>News</title>{}</channel></rss>'
ATOM = (
    '<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><entry><id>urn:1</id><title>Bitcoin</title>'
    '<link href="https://example.com/1"/><updated>2025-09-01T12:00:00+02:00</updated><summary>s</summary></entry></feed>'
)
GOOD = RSS.format("", ITEM.format("A summary")).encode()


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    """Serve."""
    async with site() as one:
        yield one


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Open the session of the sources; a call may take half a second."""
    async with http.session() as one:
        one._timeout = aiohttp.ClientTimeout(total=allowed(0.5))
        yield one


def feed(here: Site, session: aiohttp.ClientSession, path: str = "/feed", *hosts: str) -> Feed:
    """Return the source of a feed of the server."""
    return Feed(here.url(path), 60, Client(session, lambda: NOW, frozenset(hosts)))


async def read(here: Site, session: aiohttp.ClientSession, answer: bytes) -> list[Sent]:
    """Return the articles of a feed with this answer."""
    here.answers["/feed"] = answer
    return [*await feed(here, session).read()]


async def outcome(here: Site, session: aiohttp.ClientSession, answer: bytes) -> tuple[list[Sent], str]:
    """Return the articles of a feed with this answer, or the reason for which it cannot be read."""
    try:
        return await read(here, session, answer), ""
    except SourceError as error:
        return [], error.reason


async def refused(here: Site, session: aiohttp.ClientSession, *hosts: str) -> str:
    """Return the reason for which /feed cannot be read."""
    with pytest.raises(SourceError) as caught:
        await feed(here, session, "/feed", *hosts).read()
    return caught.value.reason


async def test_rss_and_atom(here: Site, session: aiohttp.ClientSession) -> None:
    """Headline, summary, link and time; an id that is the same at the next reading and bounded."""
    (found,) = await read(here, session, reply(GOOD, Content_Type="application/rss+xml"))
    again = await feed(here, session).read()
    assert (found.summary, found.source, found.url, found.published_at) == (
        "A summary",
        "127.0.0.1",
        "https://example.com/1",
        AT,
    )
    article = checked(found, NOW)
    assert not isinstance(article, str)
    assert article.headline == "Bitcoin & Ether rise"
    assert [one.id for one in again] == [found.id]
    (other,) = await read(here, session, reply(ATOM.encode()))
    assert (other.headline, other.published_at, other.url) == ("Bitcoin", AT, "https://example.com/1")
    assert other.id != found.id


async def test_a_feed_that_has_not_changed(here: Site, session: aiohttp.ClientSession) -> None:
    """It is asked for with the validators of the last answer, and not parsed again."""
    here.answers["/feed"] = reply(GOOD, ETag='"1"', Last_Modified="Mon, 01 Sep 2025 10:00:00 GMT")
    one = feed(here, session)
    assert len(await one.read()) == 1
    assert await one.read() == ()
    here.answers["/feed"] = reply(b"", "304 Not Modified")
    assert await one.read() == ()
    assert here.requests[-1][1]["if-none-match"] == '"1"'
    assert here.requests[-1][1]["if-modified-since"] == "Mon, 01 Sep 2025 10:00:00 GMT"


@pytest.mark.parametrize("date", ["", "<pubDate>yesterday</pubDate>", "<pubDate>Mon, 99 Sep 99999 10:00</pubDate>"])
async def test_articles_without_dates(date: str, here: Site, session: aiohttp.ClientSession) -> None:
    """They come without a time, so that they are refused."""
    item = f"<item><title>Bitcoin</title><link>https://example.com/1</link>{date}</item>"
    (found,) = await read(here, session, reply(RSS.format("", item).encode()))
    assert found.published_at is None
    assert checked(found, NOW) == "no_date"


async def test_a_summary_of_a_megabyte(here: Site, session: aiohttp.ClientSession) -> None:
    """It is cut."""
    (found,) = await read(here, session, reply(RSS.format("", ITEM.format("word " * 200_000)).encode()))
    assert len(found.summary) == 20_000


@pytest.mark.parametrize(
    ("declared", "actual", "content_type"),
    [
        ("utf-8", "latin-1", "application/xml"),
        ("latin-1", "utf-8", "application/xml; charset=utf-8"),
        ("nosuch", "utf-8", "text/xml; charset=nosuch"),
        ("utf-16", "utf-8", ""),
        ("utf-8", "utf-16", "text/html; charset=\x7f"),
        ("utf-7", "cp1251", "application/xml"),
    ],
)
async def test_wrong_encodings(
    declared: str, actual: str, content_type: str, here: Site, session: aiohttp.ClientSession
) -> None:
    """The feed is read with some characters wrong, or refused; what is read can be sent as JSON."""
    body = RSS.format(f' encoding="{declared}"', ITEM.format("café")).encode(actual, "replace")
    found, reason = await outcome(here, session, reply(body, Content_Type=content_type))
    assert reason in ("", "undecodable")
    assert all(one.headline.encode() for one in found)


@pytest.mark.parametrize(
    "body", [b"", b"<html><body>Are you human?</body></html>", b"{}", os.urandom(1000), b"\0" * 999]
)
async def test_a_body_that_is_no_feed_is_an_error(body: bytes, here: Site, session: aiohttp.ClientSession) -> None:
    """An error, so that a page in place of the feed is noticed."""
    here.answers["/feed"] = reply(body)
    assert await refused(here, session) == "undecodable"


@pytest.mark.parametrize(
    ("status", "reason", "seconds"),
    [
        ("429 Too Many Requests", "rate_limited", 90),
        ("503 Service Unavailable", "http_error", 90),
        ("401 Unauthorized", "key_refused", 90),
    ],
)
async def test_a_refusal_has_a_reason_and_a_pause(
    status: str, reason: str, seconds: float, here: Site, session: aiohttp.ClientSession
) -> None:
    """Each has a reason, and the pause that the server asks for."""
    here.answers["/feed"] = reply(b"x", status, Retry_After="90")
    with pytest.raises(SourceError) as caught:
        await feed(here, session).read()
    assert (caught.value.reason, caught.value.seconds) == (reason, seconds)


async def test_redirects_on_the_same_host(here: Site, session: aiohttp.ClientSession) -> None:
    """They are followed, absolute and relative."""
    here.answers |= {
        "/feed": reply(b"", "301 Moved", Location="/second"),
        "/second": reply(b"", "307 Moved", Location=here.url("/third")),
        "/third": reply(GOOD),
    }
    assert len(await feed(here, session).read()) == 1


@pytest.mark.parametrize(
    "location",
    [
        "http://localhost:{}/third",
        "http://127.0.0.1:1/third",
        "http://user@127.0.0.1:{}/third",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "//localhost:{}/third",
        "http://[",
        "http://127.0.0.1:99999/",
        "",
    ],
)
async def test_redirects_that_are_not_followed(location: str, here: Site, session: aiohttp.ClientSession) -> None:
    """Other hosts, other ports, other schemes, and what is no address."""
    here.answers |= {
        "/feed": reply(b"", "302 Found", Location=location.format(here.port)),
        "/third": reply(GOOD),
    }
    assert await refused(here, session) == "redirect"
    assert len(here.requests) == 1


async def test_a_redirect_to_a_configured_host(here: Site, session: aiohttp.ClientSession) -> None:
    """It is followed, as that host is asked anyway."""
    here.answers |= {
        "/feed": reply(b"", "302 Found", Location=here.url("/third", "localhost")),
        "/third": reply(GOOD),
    }
    assert len(await feed(here, session, "/feed", f"localhost:{here.port}").read()) == 1


async def test_redirects_in_a_circle(here: Site, session: aiohttp.ClientSession) -> None:
    """They end after three."""
    here.answers |= {"/feed": reply(b"", "302 Found", Location="/feed")}
    assert await refused(here, session) == "redirect"
    assert len(here.requests) == 4


async def test_a_feed_that_never_ends(here: Site, session: aiohttp.ClientSession) -> None:
    """It is cut off at the most bytes, or at the end of the time."""

    async def fast(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + GOOD)
        while True:
            writer.write(b" " * 65536)
            await writer.drain()

    async def slow(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + GOOD)
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def silent(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await writer.drain()
        await asyncio.sleep(allowed(30))

    for handler, reason in ((fast, "too_large"), (slow, "timeout"), (silent, "timeout")):
        here.answers["/feed"] = handler
        assert await refused(here, session) == reason


async def test_a_gzip_bomb(here: Site, session: aiohttp.ClientSession) -> None:
    """It is cut off at the most bytes, and takes no memory."""
    packer, megabyte = zlib.compressobj(9, wbits=31), b" " * (1 << 20)
    first, next_one = (packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    bomb = first + next_one * 511  # without the end, which is not read
    assert zlib.decompressobj(wbits=31).decompress(bomb, 2 << 20) == 2 * megabyte
    assert len(bomb) < MOST_BYTES
    here.answers["/feed"] = reply(bomb, Content_Encoding="gzip")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert await refused(here, session) == "too_large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32_000  # KiB


def _laughs() -> bytes:
    names = "abcdefghij"
    entities = '<!ENTITY a "aaaaaaaaaaaaaaaaaaaa">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise(names)
    )
    return f'<?xml version="1.0"?><!DOCTYPE l [{entities}]>{RSS[21:].format(ITEM.format("&j;"))}'.encode()


@pytest.mark.parametrize(
    "body",
    [
        _laughs(),
        f'<!DOCTYPE l [<!ENTITY a "{"a" * 100_000}">]>{RSS[21:].format(ITEM.format("&a;" * 30_000))}'.encode(),
        b'<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + RSS[21:].format(ITEM.format("&a;")).encode(),
        b"<rss><channel><item>" + b"<a>" * MANY,
        b"<rss><channel>" + b"<item>" * (MANY // 12),
        b'<a b="' * (MANY // 12),
    ],
    ids=["laughs", "quadratic", "external", "nested", "items", "attributes"],
)
async def test_xml_that_attacks_the_parser(body: bytes, here: Site, session: aiohttp.ClientSession) -> None:
    """The parser ends by itself or is ended, other work goes on meanwhile, and no file is read."""
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.01)
            beats += 1

    beating = asyncio.create_task(beat())
    found, reason = await outcome(here, session, reply(body))
    beating.cancel()
    assert beats > 3
    assert reason in ("", "undecodable")
    assert all(len(one.summary) <= 20_000 and "root:" not in one.summary for one in found)
