"""Which articles are used, and what is published of them."""

import msgspec
import pytest

from aggregator.news.articles import OLDEST, Article, Sent, checked, item_of, label_of
from tests.parts.examples import NOW

SENT = Sent("mock:1", "Bitcoin rises", "A <b>summary</b>", "Wire", "https://example.com/1", NOW, ("BTC",))


def test_a_good_article() -> None:
    """It is kept as plain text."""
    article = checked(SENT, NOW)
    assert article == Article("mock:1", "Bitcoin rises", "A summary", "Wire", "https://example.com/1", NOW, ("BTC",))
    assert isinstance(article, Article)
    assert article.scored == "Bitcoin rises. A summary"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": ""}, "no_id"),
        ({"id": "x" * 129}, "no_id"),
        ({"id": "a\nb"}, "no_id"),
        ({"headline": " <p></p> "}, "no_headline"),
        ({"published_at": None}, "no_date"),
        ({"published_at": "yesterday"}, "no_date"),
        ({"published_at": 0}, "no_date"),
        ({"published_at": float("nan")}, "no_date"),
        ({"published_at": float("inf")}, "no_date"),
        ({"published_at": NOW + 61}, "future"),
        ({"published_at": NOW - OLDEST - 1}, "old"),
    ],
)
def test_articles_that_cannot_be_used(changes: dict[str, object], reason: str) -> None:
    """Each has a reason; without a date nothing could be joined."""
    assert checked(msgspec.structs.replace(SENT, **changes), NOW) == reason


@pytest.mark.parametrize("time", [NOW, NOW * 1000, NOW * 1e6, "2025-10-09T08:53:20Z", "1760000000"])
def test_forms_of_times(time: float | str) -> None:
    """As those of trades: seconds, ms, us, RFC 3339."""
    article = checked(msgspec.structs.replace(SENT, published_at=time), NOW)
    assert isinstance(article, Article)
    assert article.published_at == NOW


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "data:text/html,x", "//example.com", "http://", "https://[", "x" * 3000, "http://a b"],
)
def test_addresses_that_a_page_must_not_link_to(url: str) -> None:
    """They are left out; the article stays."""
    article = checked(msgspec.structs.replace(SENT, url=url), NOW)
    assert isinstance(article, Article)
    assert article.url == ""


def test_long_texts_are_cut() -> None:
    """Every field is bounded."""
    long = Sent("mock:1", "x" * 9999, "y" * 1_000_000, "z" * 9999, "https://example.com", NOW, ("s" * 999,) * 999)
    article = checked(long, NOW)
    assert isinstance(article, Article)
    assert (len(article.headline), len(article.summary), len(article.source)) == (300, 1000, 80)
    assert (len(article.scored), len(article.symbols), len(article.symbols[0])) == (502, 50, 128)


@pytest.mark.parametrize(
    ("score", "label"), [(0.05, "positive"), (0.0499, "neutral"), (-0.0499, "neutral"), (-0.05, "negative")]
)
def test_labels(score: float, label: str) -> None:
    """The bounds belong to the labels."""
    assert label_of(score) == label
    article = checked(SENT, NOW)
    assert isinstance(article, Article)
    assert (item_of(article, "btcusdt", score).label, item_of(article, "btcusdt", score).correlation_strength) == (
        label,
        "none",
    )
