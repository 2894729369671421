"""An exchange with all that stands between us and it: listing, quiet, allowance, breaker, slots and metrics.

    listed? -> not quiet -> breaker not open -> a turn -> a slot -> tokens within its limits -> the call -> its answer

How a call is made is told by who derives from it: `http` for our dialects, `ccxt` for that library.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import structlog

from aggregator.errors import BreakerOpen, ExchangeError, NotListed, RateLimited
from aggregator.exchanges.dialect import Bucket, Market, Tickers
from aggregator.exchanges.listing import Listing
from aggregator.exchanges.rate_limit import RateLimiter
from aggregator.exchanges.retry_after import LONGEST, LONGEST_BAN, Cooldown
from aggregator.models import FUTURE_TOLERANCE, Asset, LeftOut, Reason, Ticker, Tier
from aggregator.observability.metrics import BREAKER_STATES, Metrics
from aggregator.observability.tracing import UNTRACED, Tracer, Value
from aggregator.resilience.circuit_breaker import BreakerGroup, BreakerRules, CircuitBreaker

T = TypeVar("T")

_TELL_SECONDS = 60.0  # between two lines in the log: some refuse a little every second, or fail every other one

BREAKER_RULES = BreakerRules(
    errors=ExchangeError,
    counts=lambda error: error.counts,
    refusal=lambda reason, _failure: BreakerOpen(reason),
    failures=5,
    open_seconds=30.0,
    probes=2,
)


class GuardedExchange(ABC):
    """`aggregator.ports.Exchange`. At most `concurrency` calls are under way at a time, `batch` symbols in each."""

    def __init__(
        self,
        name: str,
        metrics: Metrics,
        concurrency: int,
        batch: int,
        budget: Bucket | None,
        rest: BreakerGroup | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self.name = name
        self.batch = batch
        self.calls_a_second = None if budget is None else budget.a_second / self._cost(batch)
        self._clock = clock
        self._now = now
        self._tracer = tracer
        self._unknown: set[str] = set()  # symbols for which a whole batch was refused
        self._slots = asyncio.Semaphore(concurrency)
        self._listing = Listing(self._name_of)
        self.listing_doubted = asyncio.Event()  # set when it refuses a pair that its listing has
        self._breaker = CircuitBreaker(BREAKER_RULES, clock, self._breaker_changed, rest)
        self._quiet = Cooldown(clock)
        self._allowance = None if budget is None else RateLimiter(budget)
        self._metrics = metrics
        self._requests = metrics.exchange_requests.labels(name)
        self._seconds = metrics.exchange_seconds.labels(name)
        self._quiet_seconds = metrics.exchange_quiet.labels(name)
        self._answered = metrics.exchange_answered.labels(name)
        self._newest = metrics.exchange_newest.labels(name)
        self._opened_at = self._tell_at = self._tell_open_at = clock()
        self._last_ticker: float | None = None
        self._newest_ticker: float | None = None
        self._told_quiet = -1.0  # not yet: what was never told is not shown
        self._in_vain = False  # whether the last call brought no ticker
        self._log = structlog.get_logger().bind(exchange=name)
        self._metrics.breaker_state.labels(name).set(BREAKER_STATES[self._breaker.state])

    @abstractmethod
    async def _ask(self, markets: Sequence[Market]) -> Tickers:
        """Make one call for these. Raises ExchangeError."""

    @abstractmethod
    async def _list(self) -> Iterable[Market]:
        """Ask for the listing; empty where there is none. Raises ExchangeError."""

    @abstractmethod
    def _name_of(self, asset: Asset) -> str:
        """Spell the pair without having read a listing. Raises NotListed when that cannot be done."""

    def _cost(self, count: int) -> float:  # noqa: ARG002  # for those who override it
        """Return what a call for `count` symbols takes from the budget."""
        return 1

    _listing_cost: float = 1
    push_trouble = None
    rejection = ""  # the refresher judges tickers, see JudgedExchange

    @property
    def breaker_state(self) -> str:
        """One of closed, open and half-open."""
        return self._breaker.state

    @property
    def idle_seconds(self) -> float | None:
        """How long ago it last gave a ticker; None when it never has."""
        return None if self._last_ticker is None else self._clock() - self._last_ticker

    @property
    def silent_seconds(self) -> float:
        """For how long it has been asked, and has given no ticker; 0 once it has answered the last call with one."""
        since = self._opened_at if self._last_ticker is None else self._last_ticker
        return self._clock() - since if self._in_vain else 0.0

    @property
    def newest_ticker(self) -> float | None:
        """The newest time of its tickers, by its own clock, in unix seconds; None when it never has given one."""
        return self._newest_ticker

    @property
    def quiet_seconds(self) -> float:
        """For how much longer it is not asked because it has said so; 0 when it is asked."""
        return self._quiet.seconds

    def trades(self, symbol: str) -> bool | None:
        """Whether its listing has the pair; None before one was read, and where there is none."""
        return self._listing.trades(symbol)

    async def read_listing(self) -> ExchangeError | None:
        """Read which pairs it trades; return why that did not succeed. What is known stays then."""
        try:
            self._check()
            if self._allowance is not None:
                await self._allowance.wait_turn(self._listing_cost, hot=False)
                await self._allowance.acquire(self._listing_cost)
            self._listing.replace(await self._heeded(self._list()))
            self.listing_doubted.clear()
        except ExchangeError as error:
            self._log.warning("listing_unread", reason=error.reason.value, error=str(error))
            return error
        if self._listing.size is not None:
            self._log.info("listing_read", markets=self._listing.size)
        return None

    async def fetch(self, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
        """Ask for at most `batch` assets in one call, and answer each with its ticker or why there is none.

        Where the exchange refuses a whole batch for a symbol it does not know, the halves are asked for, and so on:
        a bad symbol costs only itself, and is asked for alone from then on.
        """
        markets, others = self._listing.sort(assets)
        answers: dict[str, Ticker | LeftOut] = {symbol: self._left_out(error) for symbol, error in others.items()}
        if not markets:
            return answers
        hot = any(asset.tier is Tier.HOT for asset in assets)
        together = [market for market in markets if market.symbol not in self._unknown]
        alone = [[market] for market in markets if market.symbol in self._unknown]
        found = await self._fetch_all([together, *alone] if together else alone, hot=hot)
        if alone:
            self._unknown.difference_update(symbol for symbol, answer in found.items() if isinstance(answer, Ticker))
        return answers | found if answers else found

    async def _fetch_all(self, parts: Sequence[Sequence[Market]], *, hot: bool) -> dict[str, Ticker | LeftOut]:
        if len(parts) == 1:
            return await self._fetch(parts[0], hot=hot)
        answers: dict[str, Ticker | LeftOut] = {}
        for found in await asyncio.gather(*(self._fetch(part, hot=hot) for part in parts)):
            answers |= found
        return answers

    async def _fetch(self, markets: Sequence[Market], *, hot: bool) -> dict[str, Ticker | LeftOut]:
        try:
            found = await self._guarded(markets, hot=hot)
        except ExchangeError as error:
            if isinstance(error, NotListed) and len(markets) > 1:
                return await self._fetch_halves(markets, hot=hot)
            if isinstance(error, NotListed) and self.trades(markets[0].symbol):
                self.listing_doubted.set()
            self._in_vain = True
            self._metrics.exchange_errors.labels(self.name, error.reason.value).inc()
            return {market.symbol: self._left_out(error) for market in markets}
        return {market.symbol: self._answer(found.get(market.symbol)) for market in markets}

    async def _guarded(self, markets: Sequence[Market], *, hot: bool) -> Tickers:
        self._check()
        self._breaker.check()  # before the queues for a turn and a slot: a hanging exchange may hold every one of them
        if self._allowance is not None:
            await self._allowance.wait_turn(self._cost(len(markets)), hot=hot)
        async with self._slots:
            if self._allowance is not None:
                await self._allowance.acquire(self._cost(len(markets)))  # last: what has tokens must be sent at once
            self._check()  # before the breaker, whose probe would be spent on it
            return await self._breaker.call(lambda: self._traced_call(markets))

    def _check(self) -> None:
        """Raise RateLimited while the exchange is to be left alone."""
        self._tell_quiet()
        self._quiet.check()

    async def _fetch_halves(self, markets: Sequence[Market], *, hot: bool) -> dict[str, Ticker | LeftOut]:
        halves = [markets[: len(markets) // 2], markets[len(markets) // 2 :]]
        answers = await self._fetch_all(halves, hot=hot)
        singles = [half[0].symbol for half in halves if len(half) == 1]
        self._unknown.update(symbol for symbol in singles if _is_unknown(answers[symbol]))
        return answers

    def _answer(self, found: Ticker | ExchangeError | None) -> Ticker | LeftOut:
        if isinstance(found, Ticker):
            return found
        return self._left_out(NotListed("not in the answer") if found is None else found)

    def _left_out(self, error: ExchangeError) -> LeftOut:
        return LeftOut(self.name, error.reason, str(error))

    async def _traced_call(self, markets: Sequence[Market]) -> Tickers:
        told: dict[str, Value] = {"aggregator.exchange": self.name, "aggregator.assets": len(markets)}
        with self._tracer.span("exchange call", told, "client"):
            return await self._call(markets)

    async def _call(self, markets: Sequence[Market]) -> Tickers:
        started = self._clock()
        self._requests.inc()
        tickers = await self._heeded(self._ask(markets))
        self._seconds.observe(self._clock() - started)
        self._quiet.answered()
        self._remember([ticker.timestamp for ticker in tickers.values() if isinstance(ticker, Ticker)])
        return tickers

    async def _heeded(self, call: Awaitable[T]) -> T:
        """Wait for the answer to a call; where that was one too many, be quiet."""
        try:
            return await call
        except RateLimited as error:
            self._be_quiet(error.seconds, LONGEST_BAN)
            raise

    def _remember(self, times: Sequence[float]) -> None:
        """Remember that it has given tickers, and the newest; one from the future would hide a clock that stands."""
        self._in_vain = not times
        if times:
            self._last_ticker = self._clock()
            self._answered.set(self._now())
        latest = self._now() + FUTURE_TOLERANCE
        believed = [one for one in times if one <= latest]  # no NaN either
        if believed:
            known = self._newest_ticker  # of the future where our clock has been set back
            self._newest_ticker = max(believed if known is None or known > latest else [*believed, known])
            self._newest.set(self._newest_ticker)

    def _be_quiet(self, asked: float | None, longest: float = LONGEST) -> None:
        if self._quiet.begin(asked, longest) and self._clock() >= self._tell_at:
            self._tell_at = self._clock() + _TELL_SECONDS
            self._log.warning("exchange_quiet", seconds=round(self._quiet.seconds, 1))
        self._tell_quiet()

    def _tell_quiet(self) -> None:
        left = self._quiet.seconds
        if left != self._told_quiet:  # 0 is told once, not with every call
            self._told_quiet = left
            self._quiet_seconds.set(left)

    def _breaker_changed(self, state: str, error: ExchangeError | None) -> None:
        self._metrics.breaker_state.labels(self.name).set(BREAKER_STATES[state])
        if state == "open" and self._clock() >= self._tell_open_at:
            self._tell_open_at = self._clock() + _TELL_SECONDS
            self._log.warning("breaker_open", error=f"{error.reason}: {error}" if error else "")
        elif state == "closed":
            self._tell_open_at = self._clock()
            self._log.info("breaker_closed")


def _is_unknown(answer: Ticker | LeftOut) -> bool:
    return isinstance(answer, LeftOut) and answer.reason is Reason.NOT_LISTED
