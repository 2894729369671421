"""Finnhub: news of crypto, and of companies. https://finnhub.io/docs/api; free keys may call 60 times a minute."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec
from pydantic import SecretStr

from aggregator.news.articles import Sent
from aggregator.newsfeeds.answers import MOST_BYTES, decoded, each, id_of
from aggregator.newsfeeds.http import Client

URL = "https://finnhub.io/api/v1"
_BETWEEN = 1.1  # seconds between two calls, so that a minute has fewer than 60
MOST_COMPANIES = 30  # so that one reading is done within the time that a reader allows
_DAY = 86_400.0


class _Article(msgspec.Struct):
    id: int
    headline: str
    summary: str | None = None
    source: str | None = None
    url: str | None = None
    datetime: float | None = None
    related: str | None = None


class Finnhub:
    """`aggregator.news.ports.Source`. The key goes into a header, so no URL has it."""

    name = "finnhub"

    def __init__(
        self,
        url: str,
        key: SecretStr,
        companies: Sequence[str],
        interval: float,
        client: Client,
        now: Callable[[], float],
    ) -> None:
        self.interval = interval
        self._url = url.rstrip("/")
        self._key = key
        self._companies = companies
        self._client = client
        self._now = now
        self._newest_id = 0

    async def read(self) -> Sequence[Sent]:
        """As `Source.read`: one call for crypto, and one for each company."""
        crypto = await self._get(f"/news?category=crypto&minId={self._newest_id}")
        found = [_sent(one) for one in crypto]
        for company in self._companies:
            await asyncio.sleep(_BETWEEN)
            found += await self._company(company)
        # Only now: after a failure, the same articles are asked for again.
        self._newest_id = max([self._newest_id, *(one.id for one in crypto)])
        return found

    async def _company(self, symbol: str) -> list[Sent]:
        until = self._now()
        days = [datetime.fromtimestamp(at, UTC).date().isoformat() for at in (until - _DAY, until)]
        path = f"/company-news?symbol={quote(symbol, safe='')}&from={days[0]}&to={days[1]}"
        return [_sent(one, symbol) for one in await self._get(path)]

    async def _get(self, path: str) -> list[_Article]:
        headers = {"X-Finnhub-Token": self._key.get_secret_value(), "Accept": "application/json"}
        reply = await self._client.get(self._url + path, headers, MOST_BYTES)
        return [*each(decoded(reply.body, list[msgspec.Raw]), _Article)]


def _sent(one: _Article, company: str = "") -> Sent:
    symbols = tuple(filter(None, (company, *(one.related or "").split(",", 50))))
    texts = one.summary or "", one.source or "", one.url or ""
    return Sent(id_of("finnhub", str(one.id)), one.headline, *texts, one.datetime, symbols)
