"""An exchange that pushes: it answers from its feed with what is young there, and with a call otherwise."""

from collections.abc import Mapping, Sequence

from aggregator.exchanges.push.feed import Feed
from aggregator.exchanges.wrapped import WrappedExchange
from aggregator.models import Asset, LeftOut, Ticker
from aggregator.observability.metrics import Metrics
from aggregator.ports import Exchange


class PushedExchange(WrappedExchange):
    """`polled`, with a feed before it. Breaker, quiet and listing are those of the calls."""

    def __init__(self, polled: Exchange, feed: Feed, metrics: Metrics) -> None:
        super().__init__(polled)
        self._feed = feed
        self._answers = metrics.push_answers.labels(polled.name)

    @property
    def idle_seconds(self) -> float | None:
        """How long ago it last gave a ticker, pushed or asked for; None when it never has."""
        return min(_known(self._feed.idle_seconds, self._inner.idle_seconds), default=None)

    @property
    def silent_seconds(self) -> float:
        """For how long it has been asked in vain, and has pushed nothing."""
        return min(_known(self._feed.idle_seconds, self._inner.silent_seconds))

    @property
    def newest_ticker(self) -> float | None:
        """The newest time of its tickers, pushed or asked for."""
        return max(_known(self._feed.newest_ticker, self._inner.newest_ticker), default=None)

    @property
    def push_trouble(self) -> str | None:
        """Why it has fallen back to being polled; empty while it pushes."""
        return self._feed.trouble

    async def fetch(self, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
        """Answer from the feed what it has young; ask for the rest, if there is any."""
        pushed = {asset.symbol: ticker for asset in assets if (ticker := self._feed.young(asset.symbol)) is not None}
        self._answers.inc(len(pushed))
        rest = [asset for asset in assets if asset.symbol not in pushed]
        return {**pushed, **(await self._inner.fetch(rest) if rest else {})}


def _known(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]
