"""Exchanges around another exchange: the pushed one, the converting one, the one shifted in time, the judged one."""

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from aggregator.errors import printable
from aggregator.exchanges.push.feed import Feed
from aggregator.models import Asset, LeftOut, Price, RateTokens, Reason, Ticker, VenueWindow
from aggregator.observability.metrics import Metrics
from aggregator.ports import Exchange
from aggregator.prices.conversion import Conversions, Source, convert
from aggregator.prices.rejections import Rejections
from aggregator.prices.tiers import Catalog


class WrappedExchange:
    """`aggregator.ports.Exchange` that passes every call on to `inner`; subclasses override what differs."""

    def __init__(self, inner: Exchange) -> None:
        self.name = inner.name
        self.batch = inner.batch
        self.calls_a_second = inner.calls_a_second
        self._inner = inner

    @property
    def breaker_state(self) -> str:
        """The inner exchange's."""
        return self._inner.breaker_state

    @property
    def quiet_seconds(self) -> float:
        """The inner exchange's."""
        return self._inner.quiet_seconds

    @property
    def idle_seconds(self) -> float | None:
        """The inner exchange's."""
        return self._inner.idle_seconds

    @property
    def silent_seconds(self) -> float:
        """The inner exchange's."""
        return self._inner.silent_seconds

    @property
    def newest_ticker(self) -> float | None:
        """The inner exchange's."""
        return self._inner.newest_ticker

    @property
    def push_trouble(self) -> str | None:
        """The inner exchange's."""
        return self._inner.push_trouble

    @property
    def rejection(self) -> str:
        """The inner exchange's."""
        return self._inner.rejection

    @property
    def tokens(self) -> RateTokens | None:
        """The inner exchange's."""
        return self._inner.tokens

    @property
    def listed(self) -> int | None:
        """The inner exchange's."""
        return self._inner.listed

    @property
    def window(self) -> VenueWindow:
        """The inner exchange's."""
        return self._inner.window

    def trades(self, symbol: str) -> bool | None:
        """Whether the inner exchange trades the pair."""
        return self._inner.trades(symbol)

    async def fetch(self, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
        """Return the inner exchange's tickers."""
        return await self._inner.fetch(assets)

    def pushed(self, asset: Asset) -> Ticker | None:
        """Return the inner exchange's pushed ticker."""
        return self._inner.pushed(asset)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Pass the listener to the inner exchange."""
        self._inner.listen(listener)


class PushedExchange(WrappedExchange):
    """Answers from `feed` where its ticker is young, and polls `polled` for the rest."""

    def __init__(self, polled: Exchange, feed: Feed, metrics: Metrics) -> None:
        super().__init__(polled)
        self._feed = feed
        self._answers = metrics.push_answers.labels(polled.name)

    @property
    def idle_seconds(self) -> float | None:
        """Seconds since the last ticker, pushed or polled; None before the first one."""
        return min(_known(self._feed.idle_seconds, self._inner.idle_seconds), default=None)

    @property
    def silent_seconds(self) -> float:
        """Seconds without a ticker, pushed or polled, although calls are made."""
        return min(_known(self._feed.idle_seconds, self._inner.silent_seconds))

    @property
    def newest_ticker(self) -> float | None:
        """The newest timestamp of a ticker, pushed or polled."""
        return max(_known(self._feed.newest_ticker, self._inner.newest_ticker), default=None)

    @property
    def push_trouble(self) -> str | None:
        """The reason why the exchange is polled although it has a feed; empty while it pushes."""
        return self._feed.trouble

    async def fetch(self, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
        """Return the young tickers of the feed; poll for the other assets, if any."""
        pushed = {asset.symbol: ticker for asset in assets if (ticker := self._feed.young(asset.symbol)) is not None}
        self._answers.inc(len(pushed))
        rest = [asset for asset in assets if asset.symbol not in pushed]
        return {**pushed, **(await self._inner.fetch(rest) if rest else {})}

    def pushed(self, asset: Asset) -> Ticker | None:
        """Return the feed's ticker if it is young."""
        return self._feed.young(asset.symbol)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Pass the listener to the feed."""
        self._feed.listen(listener)


class ConvertingExchange(WrappedExchange):
    """Answers for btcusd with btcusdt x our own price of usdtusd, where the exchange does not list btcusd itself.

    Only there, so that the exchange counts once in every price. `rate` returns our newest price of a rate.
    """

    def __init__(
        self,
        inner: Exchange,
        conversions: Conversions,
        catalog: Catalog,
        rate: Callable[[str], Price | None],
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(inner)
        self._conversions = conversions
        self._catalog = catalog
        self._rate = rate
        self._now = now

    def trades(self, symbol: str) -> bool | None:
        """Whether the exchange trades the pair, or one that can be converted."""
        own = self._inner.trades(symbol)
        asset = self._catalog.find(symbol)
        if own is not False or asset is None:
            return own
        return any(self._inner.trades(source.asset.symbol) for source in self._conversions.sources(asset))

    async def fetch(self, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
        """Return the exchange's own tickers; for a pair it does not list, the first one that can be converted."""
        answers = dict(await self._inner.fetch(assets))
        fetched = dict(answers)  # without conversions
        unlisted = [
            (asset, self._conversions.sources(asset)) for asset in assets if _is_not_listed(answers[asset.symbol])
        ]
        while unlisted := [(asset, sources) for asset, sources in unlisted if sources]:
            wanted = {sources[0].asset.symbol: sources[0].asset for _, sources in unlisted}  # once for several assets
            ask = [asset for symbol, asset in wanted.items() if symbol not in fetched]
            fetched |= await self._inner.fetch(ask) if ask else {}
            for asset, sources in unlisted:
                answer = self._converted(asset, sources[0], fetched[sources[0].asset.symbol])
                if not _is_not_listed(answer):
                    answers[asset.symbol] = answer
            unlisted = [(asset, sources[1:]) for asset, sources in unlisted if _is_not_listed(answers[asset.symbol])]
        return answers

    def pushed(self, asset: Asset) -> Ticker | None:
        """Return the exchange's own pushed ticker; of a pair it does not list, the first one that can be converted."""
        if self._inner.trades(asset.symbol) is not False:
            return self._inner.pushed(asset)
        for source in self._conversions.sources(asset):
            ticker = self._inner.pushed(source.asset)
            if ticker is not None:
                converted = self._converted(asset, source, ticker)
                return converted if isinstance(converted, Ticker) else None
        return None

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call `listener` for the pushed pair and for each asset that its ticker is converted to."""

        def listen(symbol: str) -> None:
            listener(symbol)
            for target in self._conversions.targets(symbol):
                if self._inner.trades(target) is False:
                    listener(target)

        self._inner.listen(listen)

    def _converted(self, asset: Asset, source: Source, answer: Ticker | LeftOut) -> Ticker | LeftOut:
        if isinstance(answer, LeftOut):
            return msgspec.structs.replace(answer, detail=printable(f"{source.asset.symbol}: {answer.detail}"))
        rated = self._catalog.find(source.rate)
        oldest = 0.0 if rated is None else self._catalog.cadence[rated.tier].stale_after
        return convert(asset, source.asset, answer, self._rate(source.rate), oldest, self._now())


class ShiftedExchange(WrappedExchange):
    """A replayed exchange: moves the timestamps of its tickers `seconds` forward, from the recording's time to ours."""

    def __init__(self, inner: Exchange, seconds: float) -> None:
        super().__init__(inner)
        self._seconds = seconds

    @property
    def newest_ticker(self) -> float | None:
        """The newest timestamp of a ticker, in our time."""
        newest = self._inner.newest_ticker
        return None if newest is None else newest + self._seconds

    async def fetch(self, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
        """Return tickers of the same age as when they were recorded."""
        return {symbol: self._shift(answer) for symbol, answer in (await self._inner.fetch(assets)).items()}

    def pushed(self, asset: Asset) -> Ticker | None:
        """Return the pushed ticker of the same age as when it was recorded."""
        ticker = self._inner.pushed(asset)
        return None if ticker is None else self._shift_ticker(ticker)

    def _shift(self, answer: Ticker | LeftOut) -> Ticker | LeftOut:
        return answer if isinstance(answer, LeftOut) else self._shift_ticker(answer)

    def _shift_ticker(self, ticker: Ticker) -> Ticker:
        return msgspec.structs.replace(ticker, timestamp=ticker.timestamp + self._seconds)


class JudgedExchange(WrappedExchange):
    """Adds to the exchange's state why pricing rejects its tickers, as `rejections` counts them."""

    def __init__(self, inner: Exchange, rejections: Rejections) -> None:
        super().__init__(inner)
        self._rejections = rejections

    @property
    def rejection(self) -> str:
        """The reason why the exchange's tickers are rejected, and of how many assets; empty while they count."""
        return str(self._rejections.of(self.name) or "")


def _known(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]


def _is_not_listed(answer: Ticker | LeftOut) -> bool:
    return isinstance(answer, LeftOut) and answer.reason is Reason.NOT_LISTED
