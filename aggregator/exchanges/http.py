"""One exchange over HTTP: a dialect says what to ask and how to read it, this module does the asking."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import aiohttp
import structlog
from yarl import URL

from aggregator.errors import (
    ExchangeError,
    ExchangeHttpError,
    ExchangeTimeout,
    ExchangeUnreachable,
    NotListed,
    RateLimited,
    Undecodable,
)
from aggregator.exchanges.dialect import Answer, Dialect, Tickers
from aggregator.exchanges.guard import Guard, Rest
from aggregator.exchanges.quiet import Quiet, retry_after
from aggregator.metrics import BREAKER_STATES, Metrics
from aggregator.models import Asset, LeftOut, Reason, Ticker
from aggregator.pricing import FUTURE_TOLERANCE
from aggregator.tracing import UNTRACED, Tracer, Value

Session = aiohttp.ClientSession

_MAX_BODY = 1 << 20
_TELL_SECONDS = 60.0  # between two lines in the log: some refuse a little every second, or fail every other one
_NO_SUCH_SYMBOL = (400, 404)
_TOO_OFTEN = (418, 429)
_FIRST_ERROR = 400


def session(timeout: float) -> Session:
    """Return the one session all exchanges share, `timeout` seconds a call; each exchange bounds its own calls."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
        timeout=aiohttp.ClientTimeout(total=timeout),
        headers={"Accept": "application/json", "User-Agent": "price-aggregator"},
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class HttpExchange:
    """`aggregator.ports.Exchange` over one shared session. At most `concurrency` calls are under way at a time.

    A call asks for as many symbols as the dialect takes, but no more than `batch`.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        dialect: Dialect,
        http: Session,
        metrics: Metrics,
        concurrency: int,
        batch: int | None = None,
        rest: Rest | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._dialect = dialect
        self._http = http
        self.batch = min(dialect.most_symbols, batch or dialect.most_symbols)
        self._unknown: set[str] = set()  # symbols for which a whole batch was refused
        self._slots = asyncio.Semaphore(concurrency)
        self._clock = clock
        self._now = now
        self._tracer = tracer
        self._guard = Guard(clock, self._breaker_changed, rest)
        self._quiet = Quiet(clock)
        self._metrics = metrics
        self._requests = metrics.exchange_requests.labels(name)
        self._seconds = metrics.exchange_seconds.labels(name)
        self._quiet_seconds = metrics.exchange_quiet.labels(name)
        self._answered = metrics.exchange_answered.labels(name)
        self._newest = metrics.exchange_newest.labels(name)
        self._opened_at = self._tell_at = self._tell_open_at = clock()
        self._last_ticker: float | None = None
        self._newest_ticker: float | None = None
        self._in_vain = False  # whether the last call brought no ticker
        self._log = structlog.get_logger().bind(exchange=name)
        self._metrics.breaker_state.labels(name).set(BREAKER_STATES[self._guard.state])

    @property
    def breaker_state(self) -> str:
        """One of closed, open and half-open."""
        return self._guard.state

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

    async def fetch(self, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
        """Ask for at most `batch` assets in one call, and answer each with its ticker or why there is none.

        Where the exchange refuses a whole batch for a symbol it does not know, the halves are asked for, and so on:
        a bad symbol costs only itself, and is asked for alone from then on.
        """
        together = [asset for asset in assets if asset.symbol not in self._unknown]
        alone = [[asset] for asset in assets if asset.symbol in self._unknown]
        answers = await self._fetch_all([together, *alone] if together else alone)
        if alone:
            self._unknown.difference_update(symbol for symbol, answer in answers.items() if isinstance(answer, Ticker))
        return answers

    async def _fetch_all(self, parts: Sequence[Sequence[Asset]]) -> dict[str, Ticker | LeftOut]:
        if len(parts) == 1:
            return await self._fetch(parts[0])
        answers: dict[str, Ticker | LeftOut] = {}
        for found in await asyncio.gather(*map(self._fetch, parts)):
            answers |= found
        return answers

    async def _fetch(self, assets: Sequence[Asset]) -> dict[str, Ticker | LeftOut]:
        try:
            self._check()
            self._guard.check()  # before the queue for a slot: a hanging exchange may hold every one of them
            async with self._slots:
                self._check()  # before the guard, whose probe would be spent on it
                found = await self._guard.call(lambda: self._traced_call(assets))
        except ExchangeError as error:
            if isinstance(error, NotListed) and len(assets) > 1:
                return await self._fetch_halves(assets)
            self._in_vain = True
            self._metrics.exchange_errors.labels(self.name, error.reason.value).inc()
            return {asset.symbol: LeftOut(self.name, error.reason, str(error)) for asset in assets}
        return {asset.symbol: self._answer(found.get(asset.symbol)) for asset in assets}

    def _check(self) -> None:
        """Raise RateLimited while the exchange is to be left alone."""
        self._quiet_seconds.set(self._quiet.seconds)
        self._quiet.check()

    async def _fetch_halves(self, assets: Sequence[Asset]) -> dict[str, Ticker | LeftOut]:
        halves = [assets[: len(assets) // 2], assets[len(assets) // 2 :]]
        answers = await self._fetch_all(halves)
        singles = [half[0].symbol for half in halves if len(half) == 1]
        self._unknown.update(symbol for symbol in singles if _is_unknown(answers[symbol]))
        return answers

    def _answer(self, found: Ticker | ExchangeError | None) -> Ticker | LeftOut:
        if isinstance(found, Ticker):
            return found
        if found is None:
            return LeftOut(self.name, Reason.NOT_LISTED, "not in the answer")
        return LeftOut(self.name, found.reason, str(found))

    async def _traced_call(self, assets: Sequence[Asset]) -> Tickers:
        told: dict[str, Value] = {"aggregator.exchange": self.name, "aggregator.assets": len(assets)}
        with self._tracer.span("exchange call", told, "client"):
            return await self._call(assets)

    async def _call(self, assets: Sequence[Asset]) -> Tickers:
        url = self._base_url + self._dialect.path(assets)
        started = self._clock()
        self._requests.inc()
        try:
            answer = await self._get(url)
        except TimeoutError as error:
            raise ExchangeTimeout("no answer in time") from error
        except aiohttp.ClientError as error:
            raise ExchangeUnreachable(type(error).__name__) from error
        tickers = self._read(assets, answer)
        self._seconds.observe(self._clock() - started)
        self._quiet.answered()
        self._remember([ticker.timestamp for ticker in tickers.values() if isinstance(ticker, Ticker)])
        return tickers

    def _remember(self, times: Sequence[float]) -> None:
        """Remember that it has given tickers, and the newest; one from the future would hide a clock that stands."""
        self._in_vain = not times
        if times:
            self._last_ticker = self._clock()
            self._answered.set(self._now())
        latest = self._now() + FUTURE_TOLERANCE
        believed = [one for one in times if one <= latest]  # no NaN either
        if believed:
            self._newest_ticker = max(believed if self._newest_ticker is None else [*believed, self._newest_ticker])
            self._newest.set(self._newest_ticker)

    def _read(self, assets: Sequence[Asset], answer: Answer) -> Tickers:
        """Let the dialect read the answer; whatever it stumbles over, the answer is to blame, never the service."""
        try:
            return self._dialect.parse(self.name, assets, answer)
        except RateLimited:  # with a 200, as some do
            self._be_quiet(None)
            raise
        except ExchangeError:
            raise
        except Exception as error:  # such as RecursionError for a thousand nested lists
            raise Undecodable(type(error).__name__) from error

    async def _get(self, url: str) -> Answer:
        # encoded: a dialect's path is as it is sent, and looking for what is to be quoted costs a fifth of a call
        async with self._http.get(URL(url, encoded=True), allow_redirects=False) as response:
            self._heed(response.status, response.headers)
            _raise_for(response.status)
            body = b""
            while not response.content.at_eof():
                body += await response.content.readany()
                if len(body) > _MAX_BODY:
                    raise Undecodable(f"more than {_MAX_BODY} bytes")
            return Answer(body, response.headers.get("Date", ""))

    def _heed(self, status: int, headers: Mapping[str, str]) -> None:
        """Be quiet for as long as the answer says, whatever else it is; or as long as we think best after a 429."""
        asked = retry_after(headers.get("Retry-After", ""), headers.get("Date", ""), self._now())
        if asked is not None or status in _TOO_OFTEN:
            self._be_quiet(asked)

    def _be_quiet(self, asked: float | None) -> None:
        if self._quiet.begin(asked) and self._clock() >= self._tell_at:
            self._tell_at = self._clock() + _TELL_SECONDS
            self._log.warning("exchange_quiet", seconds=round(self._quiet.seconds, 1))
        self._quiet_seconds.set(self._quiet.seconds)

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


def _raise_for(status: int) -> None:
    if status in _NO_SUCH_SYMBOL:
        raise NotListed(f"HTTP {status}")
    if status in _TOO_OFTEN:
        raise RateLimited(f"HTTP {status}")
    if status != 200:  # noqa: PLR2004  # a redirect or an empty 204 is no ticker either
        raise ExchangeHttpError(f"HTTP {status}")
