"""An exchange whose tickers in one quote stand in for those in another that it does not list."""

import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from aggregator.errors import printable
from aggregator.exchanges.wrapped import WrappedExchange
from aggregator.models import Asset, LeftOut, Price, Reason, Ticker
from aggregator.ports import Exchange
from aggregator.prices.conversion import Conversions, Source, convert
from aggregator.prices.tiers import Catalog


class ConvertingExchange(WrappedExchange):
    """Answers for btcusd with its btcusdt x our usdtusd where it does not list btcusd itself.

    Only there, so that it has one voice in every price, as any other. `rate` returns our newest price of a rate.
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
        """Whether it trades the pair, or one that stands in for it."""
        own = self._inner.trades(symbol)
        asset = self._catalog.find(symbol)
        if own is not False or asset is None:
            return own
        return any(self._inner.trades(source.asset.symbol) for source in self._conversions.sources(asset))

    async def fetch(self, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
        """Answer with its own tickers; where it lists none, with the first that can be converted."""
        answers = dict(await self._inner.fetch(assets))
        said = dict(answers)  # what it has said itself, of what it was asked
        unlisted = [
            (asset, self._conversions.sources(asset)) for asset in assets if _is_unlisted(answers[asset.symbol])
        ]
        while unlisted := [(asset, sources) for asset, sources in unlisted if sources]:
            ask = [sources[0].asset for _, sources in unlisted if sources[0].asset.symbol not in said]
            said |= await self._inner.fetch(ask) if ask else {}
            for asset, sources in unlisted:
                answer = self._converted(asset, sources[0], said[sources[0].asset.symbol])
                if not _is_unlisted(answer):
                    answers[asset.symbol] = answer
            unlisted = [(asset, sources[1:]) for asset, sources in unlisted if _is_unlisted(answers[asset.symbol])]
        return answers

    def _converted(self, asset: Asset, source: Source, answer: Ticker | LeftOut) -> Ticker | LeftOut:
        if isinstance(answer, LeftOut):
            return msgspec.structs.replace(answer, detail=printable(f"{source.asset.symbol}: {answer.detail}"))
        rated = self._catalog.find(source.rate)
        oldest = 0.0 if rated is None else self._catalog.cadence[rated.tier].stale_after
        return convert(asset, source.asset, answer, self._rate(source.rate), oldest, self._now())


def _is_unlisted(answer: Ticker | LeftOut) -> bool:
    return isinstance(answer, LeftOut) and answer.reason is Reason.NOT_LISTED
