"""The port of the sources of news."""

from collections.abc import Sequence
from typing import Literal, Protocol

from aggregator.errors import printable
from aggregator.news.articles import Sent

Trouble = Literal[
    "timeout", "unreachable", "http_error", "rate_limited", "key_refused", "redirect", "too_large", "undecodable"
]


class SourceError(Exception):
    """A source gave no articles. `seconds`: the pause that it asks for, if any."""

    def __init__(self, reason: Trouble, message: str, seconds: float | None = None) -> None:
        super().__init__(printable(message))
        self.reason = reason
        self.seconds = seconds


class Source(Protocol):
    """A source of articles."""

    @property
    def name(self) -> str:
        """The name in metrics and logs, without a key or other secrets."""

    @property
    def interval(self) -> float:
        """The seconds between two calls."""

    async def read(self) -> Sequence[Sent]:
        """Return the newest articles; the same ones may come again. Bounded in time and size. Raises SourceError."""
