"""The topic of articles about assets. An article comes again, with the same id, when its strength has risen."""

from aggregator.live.topics import Retention, Topic
from aggregator.models import encode
from aggregator.news.articles import SentimentItem
from aggregator.trades.ports import StoredEvent


def _asset(item: SentimentItem) -> str:
    return item.asset


def _key(item: SentimentItem) -> str:
    return f"{item.asset} {item.id}"


SENTIMENT = Topic(
    "sentiment", "sentiment_item", SentimentItem, asset=_asset, key=_key, retention=Retention(events=2_000)
)


def stored_event(item: SentimentItem) -> StoredEvent:
    """Return the event to store: its key is the asset, the time of publication, and the article's id."""
    return StoredEvent(item.asset, item.published_at, item.id, encode(item))
