"""Articles: what a source says, what is kept of it, and what is published of it for each asset. Pure."""

from typing import Literal
from urllib.parse import urlsplit

import msgspec

from aggregator.news.text import plain
from aggregator.trades.validation import InvalidTrade, seconds_of

Strength = Literal["none", "weak", "moderate", "strong"]
Label = Literal["positive", "negative", "neutral"]
Refused = Literal["no_id", "no_headline", "no_date", "future", "old"]

STRENGTHS: tuple[Strength, ...] = ("none", "weak", "moderate", "strong")
MOST_HEADLINE, MOST_SUMMARY, MOST_SOURCE = 300, 1000, 80  # characters
MOST_ID, MOST_URL = 128, 2000
MOST_SYMBOLS = 50
MOST_AHEAD = 60.0  # seconds that a time of publication may be ahead of our clock
OLDEST = 604_800.0  # seconds: no route shows older articles
SCORED_OF_SUMMARY = 200  # characters
_LABEL = 0.05  # of the compound score


class Sent(msgspec.Struct, frozen=True):
    """An article as a source sends it; nothing is checked yet. Texts may have HTML.

    `id` is unique among all sources. `published_at` is a number of s, ms, us or ns, or RFC 3339.
    """

    id: str
    headline: str
    summary: str = ""
    source: str = ""
    url: str = ""
    published_at: float | str | None = None
    symbols: tuple[str, ...] = ()


class Article(msgspec.Struct, frozen=True):
    """A checked article: plain text of bounded length, unix seconds, and a URL that is http or empty."""

    id: str
    headline: str
    summary: str
    source: str
    url: str
    published_at: float
    symbols: tuple[str, ...]

    @property
    def scored(self) -> str:
        """The text whose sentiment is scored: the headline and the first 200 characters of the summary."""
        return f"{self.headline}. {self.summary[:SCORED_OF_SUMMARY]}" if self.summary else self.headline


class SentimentItem(msgspec.Struct, frozen=True):
    """An article about an asset. `sentiment` is from -1 to 1, `published_at` in unix seconds.

    `correlation_strength`: how strong sentiment and volume were together, if a trade of the asset with an unusual
    volume was within 60 s of the article; else `none`.
    """

    asset: str
    id: str
    headline: str
    source: str
    url: str
    published_at: float
    sentiment: float
    label: Label
    correlation_strength: Strength


def checked(sent: Sent, now: float) -> Article | Refused:
    """Return the article, or why it cannot be used. `now` is in unix seconds."""
    if not 0 < len(sent.id) <= MOST_ID or not sent.id.isprintable():
        return "no_id"
    headline = plain(sent.headline, MOST_HEADLINE)
    if not headline:
        return "no_headline"
    try:
        published = seconds_of(sent.published_at)
    except InvalidTrade:
        return "no_date"
    if published > now + MOST_AHEAD:
        return "future"
    if published < now - OLDEST:
        return "old"
    return Article(
        sent.id,
        headline,
        plain(sent.summary, MOST_SUMMARY),
        plain(sent.source, MOST_SOURCE),
        _address(sent.url),
        published,
        tuple(symbol[:MOST_ID] for symbol in sent.symbols[:MOST_SYMBOLS]),
    )


def item_of(article: Article, asset: str, sentiment: float) -> SentimentItem:
    """Return what is published of an article for one asset, before it is joined with trades."""
    return SentimentItem(
        asset,
        article.id,
        article.headline,
        article.source,
        article.url,
        article.published_at,
        sentiment,
        label_of(sentiment),
        "none",
    )


def label_of(sentiment: float) -> Label:
    """Return the label of a compound score; the bounds of neutral are those that VADER's authors give."""
    if sentiment >= _LABEL:
        return "positive"
    return "negative" if sentiment <= -_LABEL else "neutral"


def _address(url: str) -> str:
    """Return the URL if a page may link to it, or an empty text."""
    url = url.strip()
    if len(url) > MOST_URL or not url.isprintable() or " " in url:
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme in ("http", "https") and parts.hostname else ""
