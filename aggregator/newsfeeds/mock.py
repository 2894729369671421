"""The headlines of a mock exchange: GET /mock/news?since=SECONDS."""

from collections.abc import Callable, Sequence

import msgspec

from aggregator.news.articles import Sent
from aggregator.newsfeeds.answers import MOST_BYTES, decoded, each, id_of
from aggregator.newsfeeds.http import Client

INTERVAL = 0.25  # seconds: a headline is to be joined within a second
_FIRST, _AGAIN = 3600.0, 120.0  # seconds before now, or before the newest article, from which articles are read


class _Answer(msgspec.Struct):
    articles: list[msgspec.Raw]


class _Article(msgspec.Struct):
    id: str | int
    headline: str
    summary: str = ""
    source: str = ""
    url: str = ""
    published_at: float | str | None = None
    symbols: list[str] = []


class MockNews:
    """`aggregator.news.ports.Source` of one mock exchange. `url` is its base address."""

    name = "mock"
    interval = INTERVAL

    def __init__(self, url: str, client: Client, now: Callable[[], float]) -> None:
        self._url = f"{url.rstrip('/')}/mock/news"
        self._client = client
        self._now = now
        self._newest = 0.0

    async def read(self) -> Sequence[Sent]:
        """As `Source.read`."""
        now = self._now()
        since = max(self._newest - _AGAIN, now - _FIRST)
        reply = await self._client.get(f"{self._url}?since={since:.3f}", {}, MOST_BYTES)
        found = []
        for one in each(decoded(reply.body, _Answer).articles, _Article):
            sent = Sent(
                id_of(self.name, str(one.id)),
                one.headline,
                one.summary,
                one.source,
                one.url,
                one.published_at,
                (*one.symbols,),
            )
            found.append(sent)
            if isinstance(one.published_at, float) and one.published_at <= now:
                self._newest = max(self._newest, one.published_at)
        return found
