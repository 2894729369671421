"""The settings of news."""

import pytest
from pydantic import ValidationError

from aggregator.newsfeeds.registry import MOST_SOURCES, Target, news_targets
from aggregator.settings import Settings


def test_sources() -> None:
    """A list of names, with addresses where they have one; an address keeps its case."""
    assert news_targets("") == []
    assert news_targets(" mock , mock+http://h:1,rss+https://Example.com/Feed?a=1+2,finnhub,finnhub+http://h") == [
        Target("mock", ""),
        Target("mock", "http://h:1"),
        Target("rss", "https://Example.com/Feed?a=1+2"),
        Target("finnhub", ""),
        Target("finnhub", "http://h"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "nosuch",
        "rss",
        "rss+",
        "rss+file:///etc/passwd",
        "rss+ftp://h/",
        "rss+https://",
        "rss+https://h:99999/",
        "rss+https://[",
        "mock+h:1",
        "mock,mock",
        ",".join(f"rss+https://h/{number}" for number in range(MOST_SOURCES + 1)),
    ],
)
def test_wrong_sources(text: str) -> None:
    """A wrong source is refused; the message shows no part of an address, which may have a key."""
    with pytest.raises(ValueError, match="source") as caught:
        news_targets(text)
    assert "h/" not in str(caught.value)


def test_finnhub_needs_a_key() -> None:
    """The key is never shown."""
    with pytest.raises(ValidationError, match="needs finnhub_key"):
        Settings.model_validate({"news": "finnhub"})
    found = Settings.model_validate({"news": "finnhub", "finnhub_key": "geheim", "news_companies": " coin, MSTR,"})
    assert found.news_companies == ("COIN", "MSTR")
    assert "geheim" not in f"{found!r} {found}"
    assert "geheim" not in repr(Settings.model_validate({"news": "rss+https://localhost/?key=geheim"}))
    with pytest.raises(ValidationError, match="printable ASCII"):
        Settings.model_validate({"finnhub_key": "a\nb"})
