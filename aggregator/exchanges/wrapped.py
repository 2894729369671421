"""An exchange around another: the same in everything that is not told otherwise."""

from collections.abc import Mapping, Sequence

from aggregator.models import Asset, LeftOut, Ticker
from aggregator.ports import Exchange
from aggregator.prices.rejections import Rejections


class WrappedExchange:
    """`aggregator.ports.Exchange`, as `inner` is."""

    def __init__(self, inner: Exchange) -> None:
        self.name = inner.name
        self.batch = inner.batch
        self.calls_a_second = inner.calls_a_second
        self._inner = inner

    @property
    def breaker_state(self) -> str:
        """As inside."""
        return self._inner.breaker_state

    @property
    def quiet_seconds(self) -> float:
        """As inside."""
        return self._inner.quiet_seconds

    @property
    def idle_seconds(self) -> float | None:
        """As inside."""
        return self._inner.idle_seconds

    @property
    def silent_seconds(self) -> float:
        """As inside."""
        return self._inner.silent_seconds

    @property
    def newest_ticker(self) -> float | None:
        """As inside."""
        return self._inner.newest_ticker

    @property
    def push_trouble(self) -> str | None:
        """As inside."""
        return self._inner.push_trouble

    @property
    def rejection(self) -> str:
        """As inside."""
        return self._inner.rejection

    def trades(self, symbol: str) -> bool | None:
        """As inside."""
        return self._inner.trades(symbol)

    async def fetch(self, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
        """As inside."""
        return await self._inner.fetch(assets)


class JudgedExchange(WrappedExchange):
    """As `inner`, and it says why its tickers are rejected, as `rejections` has it."""

    def __init__(self, inner: Exchange, rejections: Rejections) -> None:
        super().__init__(inner)
        self._rejections = rejections

    @property
    def rejection(self) -> str:
        """Why its tickers are rejected, and of how many assets; empty while they count."""
        return str(self._rejections.of(self.name) or "")
