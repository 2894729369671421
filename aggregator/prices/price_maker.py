"""Makes prices of the exchanges' answers and publishes them, for every trigger: schedule, push, forced refresh."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal

import msgspec
import structlog

from aggregator.clock import SteadyClock
from aggregator.models import Asset, Clock, LeftOut, NoPrice, Outcomes, Price, Ticker, Tier
from aggregator.observability.metrics import Metrics
from aggregator.ports import Trigger
from aggregator.prices.pricing import Rules, aggregate
from aggregator.prices.publisher import Publisher
from aggregator.prices.rejections import Rejections
from aggregator.prices.ticker_book import TickerBook
from aggregator.prices.tiers import Cadence
from aggregator.prices.venue_figures import VenueFigures

_COMPUTE_BATCH = 16  # prices computed before the event loop serves other tasks

Answered = tuple[Asset, Sequence[Ticker | LeftOut]]  # an asset with the answer of every exchange


class PricingPolicy(msgspec.Struct, frozen=True):
    """The settings of how a price is made of tickers; aggregator/settings explains each."""

    max_deviation: Decimal
    min_sources: int
    max_weight: Decimal


class PriceMaker:
    """Prices assets whose exchanges have answered. `book` has the latest answers about hot assets.

    `exchanges` are the names of all exchanges; `clock` is monotonic.
    """

    def __init__(
        self,
        exchanges: Sequence[str],
        cadence: Mapping[Tier, Cadence],
        publisher: Publisher,
        metrics: Metrics,
        policy: PricingPolicy,
        wall: SteadyClock | None = None,
        clock: Callable[[], float] = time.monotonic,
        rejections: Rejections | None = None,
        figures: VenueFigures | None = None,
    ) -> None:
        self.book = TickerBook(exchanges)
        self._publisher = publisher
        self._metrics = metrics
        self._wall = wall or SteadyClock()
        self._clock = clock
        self._rejections = rejections or Rejections()
        self._figures = figures or VenueFigures()
        self._log = structlog.get_logger()
        for exchange in exchanges:
            metrics.used_tickers.labels(exchange)  # so that the series is there from the start
        self._rules = {
            tier: Rules(one.max_age, policy.max_deviation, policy.min_sources, policy.max_weight)
            for tier, one in cadence.items()
        }

    async def make_of_answers(self, answered: Sequence[Answered], trigger: Trigger) -> Outcomes:
        """Price assets whose exchanges have just been asked; return the outcome of each."""
        now = self._wall.now()
        for asset, answers in answered:
            if asset.tier is Tier.HOT:
                self.book.record(asset.symbol, answers, now)
        found = await self._price(answered)
        for asset, _ in answered:
            if isinstance(found[asset.symbol], NoPrice):
                self._metrics.refresh_errors.labels(asset.tier.value).inc()
        return found | await self._publisher.publish(prices_in(found), trigger)

    async def make_of_pushed(self, pushed: Mapping[Asset, Sequence[Ticker]]) -> None:
        """Price assets of which these tickers were pushed, with the latest answers of the other exchanges.

        Too few tickers are no error here: the next refresh by the schedule counts as one where it finds them, too.
        """
        now = self._wall.now()
        for asset, tickers in pushed.items():
            self.book.record(asset.symbol, tickers, now)
        news = {asset.symbol: {ticker.exchange for ticker in tickers} for asset, tickers in pushed.items()}
        found = await self._price([(asset, self.book.answers(asset.symbol)) for asset in pushed], news)
        await self._publisher.publish(prices_in(found), "push")

    def makes_price(self, asset: Asset, answers: Sequence[Ticker | LeftOut]) -> bool:
        """Whether these answers make a price now; nothing is counted or published."""
        return isinstance(aggregate(asset, answers, self._rules[asset.tier], self._wall.now()), Price)

    async def close(self, patience: float) -> None:
        """Let the writes in progress finish, for at most `patience` seconds."""
        await self._publisher.close(patience)

    async def _price(
        self, answered: Sequence[Answered], news: Mapping[str, AbstractSet[str]] | None = None
    ) -> Outcomes:
        """Return the outcome of each asset; count rejected and used tickers, each once.

        `news` has by symbol the exchanges whose answers have not been counted before; None means all.
        """
        outcomes: Outcomes = {}
        if self._wall.is_off:
            self._wall.witness(_exchange_times(answers for _, answers in answered))
        for number, (asset, answers) in enumerate(answered, start=1):
            outcomes[asset.symbol] = aggregate(asset, answers, self._rules[asset.tier], self._wall.now())
            if number % _COMPUTE_BATCH == 0:
                await asyncio.sleep(0)
        self._count(outcomes, news)
        self._log_rejections(outcomes, news)
        self._figures.record(outcomes.values(), self._clock(), news)
        return outcomes

    def _count(self, outcomes: Outcomes, news: Mapping[str, AbstractSet[str]] | None) -> None:
        used: Counter[str] = Counter()
        for symbol, outcome in outcomes.items():
            counted = None if news is None else news[symbol]
            for left_out in outcome.left_out:
                if counted is None or left_out.exchange in counted:
                    self._metrics.rejected_tickers.labels(left_out.exchange, left_out.reason.value).inc()
            if isinstance(outcome, Price):
                used.update(one.exchange for one in outcome.sources if counted is None or one.exchange in counted)
        for exchange, count in used.items():
            self._metrics.used_tickers.labels(exchange).inc(count)

    def _log_rejections(self, outcomes: Outcomes, news: Mapping[str, AbstractSet[str]] | None) -> None:
        """Log each exchange whose tickers begin or cease to be rejected."""
        for change in self._rejections.record(outcomes.values(), self._clock(), news):
            log, rejection = self._log.bind(exchange=change.exchange), change.rejection
            if rejection is None:
                log.info("tickers_accepted")
            else:
                log.warning("tickers_rejected", reason=rejection.reason.value, assets=rejection.assets, of=rejection.of)


def prices_in(outcomes: Outcomes) -> list[Price]:
    """Return the prices among the outcomes."""
    return [outcome for outcome in outcomes.values() if isinstance(outcome, Price)]


def _exchange_times(answers: Iterable[Sequence[Ticker | LeftOut]]) -> list[float]:
    """Return the times of the tickers that have the exchange's own time."""
    tickers = (one for some in answers for one in some if isinstance(one, Ticker))
    return [ticker.timestamp for ticker in tickers if ticker.clock is Clock.EXCHANGE]
