"""The events of other analytics that rules are about, by the fields that rules read."""

from typing import Protocol


class AnomalyEvent(Protocol):
    """An anomaly, of the topic `anomalies`. A low score is an unusual trade."""

    @property
    def asset(self) -> str:
        """The symbol."""

    @property
    def timestamp(self) -> float:
        """The time of the trade, in unix seconds."""

    @property
    def anomaly_score(self) -> float:
        """The score, -1 to 1; anomalies are below the threshold of their model."""


class SentimentEvent(Protocol):
    """A headline about an asset, of the topic `sentiment`. It comes again when its correlation changes."""

    @property
    def asset(self) -> str:
        """The symbol."""

    @property
    def published_at(self) -> float:
        """The time of the article, in unix seconds."""

    @property
    def headline(self) -> str:
        """The text."""

    @property
    def sentiment(self) -> float:
        """The compound sentiment, -1 to 1."""

    @property
    def correlation_strength(self) -> str:
        """The correlation with the volume of trades: none, weak, moderate or strong."""
