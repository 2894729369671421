"""Finnhub and the mock exchange's headlines, from a real server."""

import json
from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from aggregator.news.ports import Source, SourceError
from aggregator.newsfeeds import finnhub, http
from aggregator.newsfeeds.finnhub import Finnhub
from aggregator.newsfeeds.http import Client
from aggregator.newsfeeds.mock import MockNews
from tests.parts.examples import NOW
from tests.parts.site import Site, reply, site

KEY = "secret-key"
ARTICLE = {
    "id": "a1",
    "headline": "Bitcoin soars",
    "summary": "s",
    "source": "Wire",
    "url": "https://example.com/1",
    "published_at": NOW - 5,
    "symbols": ["btcusdt"],
}
NEWS = {
    "category": "crypto",
    "datetime": int(NOW),
    "headline": "Bitcoin soars",
    "id": 71,
    "image": "",
    "related": "BTC,",
    "source": "Wire",
    "summary": None,
    "url": "https://example.com/1",
}


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    """Serve."""
    async with site() as one:
        yield one


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Open a client."""
    async with http.session() as one:
        yield Client(one, lambda: NOW, frozenset())


def as_json(value: object) -> bytes:
    """Return an answer with this value."""
    return reply(json.dumps(value).encode())


async def test_headlines_of_a_mock_exchange(here: Site, client: Client) -> None:
    """They are asked for from an hour ago on, then from two minutes before the newest one."""
    source = MockNews(here.url("/"), client, lambda: NOW)
    here.answers["/mock/news"] = as_json({"articles": [ARTICLE, {"id": 1}, 7, ARTICLE | {"id": 2, "symbols": []}]})
    first, second = await source.read()
    assert (first.id, first.headline, first.url, first.published_at, first.symbols) == (
        "mock:a1",
        "Bitcoin soars",
        "https://example.com/1",
        NOW - 5,
        ("btcusdt",),
    )
    assert second.id == "mock:2"
    here.answers["/mock/news"] = as_json({"articles": []})
    assert await source.read() == []
    asked = [line.split()[1] for line, _ in here.requests]
    assert asked == [f"/mock/news?since={NOW - 3600:.3f}", f"/mock/news?since={NOW - 125:.3f}"]


async def test_finnhub_is_called_with_its_key_in_a_header(
    here: Site, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is in a header; crypto is asked for from the newest id on, companies by day."""
    monkeypatch.setattr(finnhub, "_BETWEEN", 0.001)
    source = Finnhub(here.url(""), SecretStr(KEY), ["COIN", "A&B"], 60, client, lambda: NOW)
    here.answers |= {"/news": as_json([NEWS]), "/company-news": as_json([NEWS | {"id": 8, "related": "COIN"}])}
    found = await source.read()
    assert [(one.id, one.symbols) for one in found[:2]] == [("finnhub:71", ("BTC",)), ("finnhub:8", ("COIN", "COIN"))]
    await source.read()
    asked = [line.split()[1] for line, _ in here.requests]
    assert asked[:4] == [
        "/news?category=crypto&minId=0",
        "/company-news?symbol=COIN&from=2025-10-08&to=2025-10-09",
        "/company-news?symbol=A%26B&from=2025-10-08&to=2025-10-09",
        "/news?category=crypto&minId=71",
    ]
    assert all(headers["x-finnhub-token"] == KEY for _, headers in here.requests)


@pytest.mark.parametrize("status", ["302 Found", "401 Unauthorized", "429 Too Many Requests", "500 Oops"])
async def test_the_key_stays_secret(status: str, here: Site, client: Client) -> None:
    """No redirect is followed with it, and no error or log line has it."""
    here.answers["/news"] = reply(KEY.encode(), status, Location="/other")
    with capture_logs() as logs, pytest.raises(SourceError) as caught:
        await Finnhub(here.url(""), SecretStr(KEY), [], 60, client, lambda: NOW).read()
    assert KEY not in f"{logs} {caught.value!r} {caught.value}"
    assert len(here.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[1, 2]",
        b'{"articles": 1}',
        b'{"articles": [{"id": {}}]}',
        b'{"articles": ' + b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"articles": [{"id": "\\ud800", "headline": 5}]}',
        b"\xff\xfe" * 100,
        b'{"articles": [{"id": 1, "headline": "\xff"}]}',
    ],
)
@pytest.mark.parametrize("kind", ["mock", "finnhub"])
async def test_an_undecodable_answer_is_an_error(kind: str, body: bytes, here: Site, client: Client) -> None:
    """Each is an error with the same reason."""
    here.answers |= {"/mock/news": reply(body), "/news": reply(body)}
    source: Source = MockNews(here.url(""), client, lambda: NOW)
    if kind == "finnhub":
        source = Finnhub(here.url(""), SecretStr(KEY), [], 60, client, lambda: NOW)
    with pytest.raises(SourceError) as caught:
        await source.read()
    assert caught.value.reason == "undecodable"


async def test_a_summary_of_a_megabyte(here: Site, client: Client) -> None:
    """It is read."""
    here.answers["/mock/news"] = as_json({"articles": [ARTICLE | {"summary": "<p>" * 350_000}]})
    (found,) = await MockNews(here.url(""), client, lambda: NOW).read()
    assert found.headline == "Bitcoin soars"


async def test_a_server_that_is_not_there(client: Client) -> None:
    """A connection that is refused has a reason of its own."""
    with pytest.raises(SourceError) as caught:
        await MockNews("http://127.0.0.1:1", client, lambda: NOW).read()
    assert caught.value.reason == "unreachable"
