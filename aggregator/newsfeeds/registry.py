"""The sources of news by the names that the setting NEWS has for them."""

from collections.abc import Callable, Sequence
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from pydantic import SecretStr

from aggregator.news.ports import Source
from aggregator.newsfeeds import finnhub
from aggregator.newsfeeds.finnhub import Finnhub
from aggregator.newsfeeds.http import Client, Session, host_of
from aggregator.newsfeeds.mock import MockNews
from aggregator.newsfeeds.rss import Feed

FORMS = "mock, mock+http://HOST:PORT, finnhub or rss+https://…"
MOST_SOURCES = 50
Kind = Literal["mock", "finnhub", "rss"]
KINDS: tuple[Kind, ...] = ("mock", "finnhub", "rss")


class Target(msgspec.Struct, frozen=True):
    """A source that the settings name. `url` is empty where it follows from other settings."""

    kind: Kind
    url: str


class Parts(msgspec.Struct, frozen=True):
    """The parts that sources are made of. `interval` is in seconds; `mock_url` is the address of a mock exchange."""

    http: Session
    now: Callable[[], float]
    interval: float
    key: SecretStr
    companies: Sequence[str]
    mock_url: str


def news_targets(text: str) -> list[Target]:
    """Return the sources of a comma-separated list. Raises ValueError."""
    found = [_target(one.strip()) for one in text.split(",") if one.strip()]
    if len(found) > MOST_SOURCES:
        raise ValueError(f"more than {MOST_SOURCES} sources")
    if len({(one.kind, one.url) for one in found}) < len(found):
        raise ValueError("a source is there twice")
    return found


def open_sources(targets: Sequence[Target], parts: Parts) -> list[Source]:
    """Return the sources. Redirects may lead to the hosts of all feeds."""
    hosts = frozenset(host_of(urlsplit(one.url)) for one in targets if one.kind == "rss")
    client = Client(parts.http, parts.now, hosts)
    return [_source(one, parts, client) for one in targets]


def _source(target: Target, parts: Parts, client: Client) -> Source:
    if target.kind == "rss":
        return Feed(target.url, parts.interval, client)
    if target.kind == "mock":
        return MockNews(target.url or parts.mock_url, client, parts.now)
    url = target.url or finnhub.URL
    return Finnhub(url, parts.key, parts.companies, parts.interval, client, parts.now)


def _target(text: str) -> Target:
    name, plus, url = text.partition("+")
    kind = next((one for one in KINDS if one == name), None)
    if kind is None:
        raise ValueError(f"each source must be {FORMS}")
    if plus or kind == "rss":
        _check(url)
    return Target(kind, url)


def _check(url: str) -> None:
    """Raise ValueError unless this is an address of HTTP. The address is not shown: it may have a key."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and host_of(parts):
            return
    except ValueError:
        pass
    raise ValueError(f"a source has no http:// or https:// address behind its `+`; each must be {FORMS}")
