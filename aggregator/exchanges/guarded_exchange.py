"""An exchange behind its safeguards: listing, cool-down, circuit breaker, rate limiter and concurrency limit.

    listed? -> no cool-down -> breaker not open -> share of the rate -> slot -> tokens -> the call -> its tickers

Subclasses make the call: `http.HttpExchange` for our dialects, `venues.ccxt.CcxtExchange` for that library.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import structlog

from aggregator.errors import BreakerOpen, ExchangeError, ExchangeHttpError, NotListed, RateLimited, Undecodable
from aggregator.exchanges.dialect import Bucket, Market, Tickers
from aggregator.exchanges.listing import Listing
from aggregator.exchanges.rate_limit import RateLimiter
from aggregator.exchanges.retry_after import LONGEST, LONGEST_BAN, Cooldown
from aggregator.models import FUTURE_TOLERANCE, Asset, LeftOut, RateTokens, Ticker, Tier, VenueWindow
from aggregator.observability.metrics import BREAKER_STATES, Metrics
from aggregator.observability.tracing import UNTRACED, Tracer, Value
from aggregator.resilience.circuit_breaker import BreakerGroup, BreakerRules, CircuitBreaker

T = TypeVar("T")
Answers = dict[str, Ticker | LeftOut]  # by symbol

_LOG_SECONDS = 60.0  # between two log lines of a kind: some venues refuse a few calls every second

BREAKER_RULES = BreakerRules(
    errors=ExchangeError,
    counts=lambda error: error.counts,
    refusal=lambda reason, _failure: BreakerOpen(reason),
    failures=5,
    open_seconds=30.0,
    probes=2,
)


class GuardedExchange(ABC):
    """`aggregator.ports.Exchange`, with at most `concurrency` calls under way and `batch` symbols in each.

    `breaker_group` has the breakers of all exchanges of the process. `clock` is monotonic, `now` returns unix seconds.
    """

    def __init__(
        self,
        name: str,
        metrics: Metrics,
        concurrency: int,
        batch: int,
        rate_limit: Bucket | None,
        breaker_group: BreakerGroup | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self.name = name
        self.batch = batch
        self.calls_a_second = None if rate_limit is None else rate_limit.per_second / self._cost(batch)
        self._clock = clock
        self._now = now
        self._tracer = tracer
        self._asked_alone: set[str] = set()  # symbols for which the venue has refused a whole batch
        self._slots = asyncio.Semaphore(concurrency)
        self.listing = Listing(self._name_of)
        self.listing_doubted = asyncio.Event()  # set when the venue refuses a pair that its listing has
        self._breaker = CircuitBreaker(BREAKER_RULES, clock, self._breaker_changed, breaker_group)
        self._cooldown = Cooldown(clock)
        self._rate_limiter = None if rate_limit is None else RateLimiter(rate_limit)
        self._metrics = metrics
        self._requests = metrics.exchange_requests.labels(name)
        self._seconds = metrics.exchange_seconds.labels(name)
        self._cooldown_gauge = metrics.exchange_quiet.labels(name)
        self._answered_gauge = metrics.exchange_answered.labels(name)
        self._newest_gauge = metrics.exchange_newest.labels(name)
        self._opened_at = self._log_cooldown_at = self._log_open_at = clock()
        self._last_ticker_at: float | None = None
        self._newest_ticker: float | None = None
        self._cooldown_shown = -1.0  # none yet: the series appears with the first call
        self._last_call_failed = False  # brought no ticker
        self._log = structlog.get_logger().bind(exchange=name)
        self._metrics.breaker_state.labels(name).set(BREAKER_STATES[self._breaker.state])

    @abstractmethod
    async def _ask(self, markets: Sequence[Market]) -> Tickers:
        """Make one call for these markets. Raises ExchangeError."""

    @abstractmethod
    async def _list(self) -> Iterable[Market]:
        """Return the listing; empty if the venue has none. Raises ExchangeError."""

    @abstractmethod
    def _name_of(self, asset: Asset) -> str:
        """Return the venue's name of a pair, without a listing. Raises NotListed where that is impossible."""

    def _cost(self, count: int) -> float:  # noqa: ARG002  # an override may depend on it
        """Return how many tokens of the rate limit a call for `count` symbols takes."""
        return 1

    _listing_cost: float = 1
    push_trouble = None
    rejection = ""  # the refresher judges tickers, see `wrapped.JudgedExchange`
    listed: int | None = None  # of our assets, which this part does not know, see `monitored.MonitoredExchange`
    window = VenueWindow()  # of a part that this one lacks, see `monitored.MonitoredExchange`

    def pushed(self, asset: Asset) -> Ticker | None:  # noqa: ARG002  # the port's signature
        """Return None: what is polled is never pushed."""
        return None

    def listen(self, listener: Callable[[str], None]) -> None:  # noqa: B027  # not abstract: what is polled is silent
        """Nothing to do: what is polled is never pushed."""

    @property
    def breaker_state(self) -> str:
        """One of closed, open and half-open."""
        return self._breaker.state

    @property
    def idle_seconds(self) -> float | None:
        """Seconds since the last ticker; None before the first one."""
        return None if self._last_ticker_at is None else self._clock() - self._last_ticker_at

    @property
    def silent_seconds(self) -> float:
        """Seconds without a ticker although calls are made; 0 if the last call brought one."""
        since = self._opened_at if self._last_ticker_at is None else self._last_ticker_at
        return self._clock() - since if self._last_call_failed else 0.0

    @property
    def newest_ticker(self) -> float | None:
        """The newest timestamp of a ticker, in unix seconds; None before the first one."""
        return self._newest_ticker

    @property
    def quiet_seconds(self) -> float:
        """Seconds left of the cool-down; 0 outside one."""
        return self._cooldown.seconds

    @property
    def tokens(self) -> RateTokens | None:
        """The tokens that the rate limiter has left; None without a rate limit."""
        return None if self._rate_limiter is None else self._rate_limiter.tokens

    def trades(self, symbol: str) -> bool | None:
        """Whether the listing has the pair; None where no listing has been read."""
        return self.listing.trades(symbol)

    async def read_listing(self) -> ExchangeError | None:
        """Read the venue's listing. After an error, which is returned, the listing read before stays in use."""
        try:
            await self._acquire_tokens(self._listing_cost, hot=False)
            self._check_cooldown()  # not before: a cool-down may begin while the call waits for its tokens
            self.listing.replace(await self._honour_rate_limit(self._list()))
            self.listing_doubted.clear()
        except ExchangeError as error:
            self._log.warning("listing_unread", reason=error.reason.value, error=str(error))
            return error
        if self.listing.size is not None:
            self._log.info("listing_read", markets=self.listing.size)
        return None

    async def fetch(self, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
        """Return, for each of at most `batch` assets, its ticker or the reason why there is none.

        Where the venue refuses a whole batch for an unknown symbol, each half is asked for, and so on. The symbol that
        this finds is asked for alone from then on.
        """
        markets, others = self.listing.sort(assets)
        answers: Answers = {symbol: self._left_out(error) for symbol, error in others.items()}
        if not markets:
            return answers
        hot = any(asset.tier is Tier.HOT for asset in assets)
        together = [market for market in markets if market.symbol not in self._asked_alone]
        alone = [[market] for market in markets if market.symbol in self._asked_alone]
        found = await self._fetch_all([together, *alone] if together else alone, hot=hot)
        if alone:
            self._asked_alone.difference_update(
                symbol for symbol, answer in found.items() if isinstance(answer, Ticker)
            )
        return answers | found if answers else found

    async def _fetch_all(self, batches: Sequence[Sequence[Market]], *, hot: bool, halved: bool = False) -> Answers:
        if len(batches) == 1:
            return await self._fetch(batches[0], hot=hot, halved=halved)
        answers: Answers = {}
        for found in await asyncio.gather(*(self._fetch(batch, hot=hot, halved=halved) for batch in batches)):
            answers |= found
        return answers

    async def _fetch(self, markets: Sequence[Market], *, hot: bool, halved: bool) -> Answers:
        try:
            found = await self._call_when_allowed(partial(self._call, markets), self._cost(len(markets)), hot=hot)
        except ExchangeError as error:
            if isinstance(error, NotListed):
                if len(markets) > 1:
                    halves = [markets[: len(markets) // 2], markets[len(markets) // 2 :]]
                    return await self._fetch_all(halves, hot=hot, halved=True)
                if halved:
                    self._asked_alone.add(markets[0].symbol)
                error = self._judged(markets[0].symbol, error)
            self._last_call_failed = True
            self._metrics.exchange_errors.labels(self.name, error.reason.value).inc()
            return {market.symbol: self._left_out(error) for market in markets}
        return {market.symbol: self._answer(market.symbol, found.get(market.symbol)) for market in markets}

    async def _call_when_allowed(self, call: Callable[[], Awaitable[T]], cost: float, *, hot: bool) -> T:
        self._check_cooldown()
        self._breaker.check()  # before both queues: while a venue hangs, its calls may hold every slot
        if self._rate_limiter is not None:
            await self._rate_limiter.wait_for_share(cost, hot=hot)
        async with self._slots:
            if self._rate_limiter is not None:  # last, as a call that has its tokens must be sent at once
                await self._rate_limiter.acquire(cost)
            self._check_cooldown()  # again, as a cool-down may have begun meanwhile; it must not use up a probe
            with self._breaker.attempt():
                return await call()

    async def _call(self, markets: Sequence[Market]) -> Tickers:
        fields: dict[str, Value] = {"aggregator.exchange": self.name, "aggregator.assets": len(markets)}
        with self._tracer.span("exchange call", fields, "client"):
            started = self._clock()
            self._requests.inc()
            tickers = await self._honour_rate_limit(self._ask(markets))
            self._seconds.observe(self._clock() - started)
            self._cooldown.answered()
            self._record_tickers([ticker.timestamp for ticker in tickers.values() if isinstance(ticker, Ticker)])
            return tickers

    async def _acquire_tokens(self, cost: float, *, hot: bool) -> None:
        """Wait for the tokens of a call that is made without a slot. Raises RateLimited."""
        if self._rate_limiter is not None:
            await self._rate_limiter.wait_for_share(cost, hot=hot)
            await self._rate_limiter.acquire(cost)

    async def _honour_rate_limit(self, call: Awaitable[T]) -> T:
        """Return the result of a call; begin a cool-down where it raises RateLimited."""
        try:
            return await call
        except RateLimited as error:
            self._begin_cooldown(error.seconds, LONGEST_BAN)
            raise

    def _answer(self, symbol: str, found: Ticker | ExchangeError | None) -> Ticker | LeftOut:
        if isinstance(found, Ticker):
            return found
        if found is None:
            found = (Undecodable if self.trades(symbol) else NotListed)("not in the answer")
        return self._left_out(self._judged(symbol, found))

    def _judged(self, symbol: str, error: ExchangeError) -> ExchangeError:
        """Return the error, or one that degrades the price of a pair that the venue lists, and doubt the listing."""
        if not isinstance(error, NotListed) or not self.trades(symbol):
            return error
        self.listing_doubted.set()
        return ExchangeHttpError(f"refused, although its listing has the pair: {error}")

    def _left_out(self, error: ExchangeError) -> LeftOut:
        return LeftOut(self.name, error.reason, str(error))

    def _record_tickers(self, times: Sequence[float]) -> None:
        """Record when tickers came, and their newest timestamp, ignoring the future: one such would stay for ever."""
        self._last_call_failed = not times
        if times:
            self._last_ticker_at = self._clock()
            self._answered_gauge.set(self._now())
        latest = self._now() + FUTURE_TOLERANCE
        plausible = [one for one in times if one <= latest]  # false for NaN too
        if plausible:
            known = self._newest_ticker  # in the future if our clock has been set back
            self._newest_ticker = max(plausible if known is None or known > latest else [*plausible, known])
            self._newest_gauge.set(self._newest_ticker)

    def _check_cooldown(self) -> None:
        """Raise RateLimited during a cool-down."""
        self._show_cooldown()
        self._cooldown.check()

    def _begin_cooldown(self, asked: float | None, longest: float = LONGEST) -> None:
        if self._cooldown.begin(asked, longest) and self._clock() >= self._log_cooldown_at:
            self._log_cooldown_at = self._clock() + _LOG_SECONDS
            self._log.warning("exchange_quiet", seconds=round(self._cooldown.seconds, 1))
        self._show_cooldown()

    def _show_cooldown(self) -> None:
        left = self._cooldown.seconds
        if left != self._cooldown_shown:  # so that 0 is set once, not with every call
            self._cooldown_shown = left
            self._cooldown_gauge.set(left)

    def _breaker_changed(self, state: str, error: ExchangeError | None) -> None:
        self._metrics.breaker_state.labels(self.name).set(BREAKER_STATES[state])
        if state == "open" and self._clock() >= self._log_open_at:
            self._log_open_at = self._clock() + _LOG_SECONDS
            self._log.warning("breaker_open", error=f"{error.reason}: {error}" if error else "")
        elif state == "closed":
            self._log_open_at = self._clock()
            self._log.info("breaker_closed")
