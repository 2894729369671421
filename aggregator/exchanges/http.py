"""One exchange over HTTP: a dialect says what to ask and how to read it, this module does the asking."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import aiohttp
import structlog

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
from aggregator.exchanges.guard import Guard
from aggregator.metrics import BREAKER_STATES, Metrics
from aggregator.models import Asset, LeftOut, Reason, Ticker

Session = aiohttp.ClientSession

_MAX_BODY = 1 << 20
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._dialect = dialect
        self._http = http
        self.batch = min(dialect.most_symbols, batch or dialect.most_symbols)
        self._unknown: set[str] = set()  # symbols for which a whole batch was refused
        self._slots = asyncio.Semaphore(concurrency)
        self._clock = clock
        self._guard = Guard(clock, self._breaker_changed)
        self._metrics = metrics
        self._requests = metrics.exchange_requests.labels(name)
        self._seconds = metrics.exchange_seconds.labels(name)
        self._last_ticker: float | None = None
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
            self._guard.check()  # before the queue for a slot: a hanging exchange may hold every one of them
            async with self._slots:
                found = await self._guard.call(lambda: self._call(assets))
        except ExchangeError as error:
            if isinstance(error, NotListed) and len(assets) > 1:
                return await self._fetch_halves(assets)
            self._metrics.exchange_errors.labels(self.name, error.reason.value).inc()
            return {asset.symbol: LeftOut(self.name, error.reason, str(error)) for asset in assets}
        return {asset.symbol: self._answer(found.get(asset.symbol)) for asset in assets}

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
        if tickers:
            self._last_ticker = self._clock()
        return tickers

    def _read(self, assets: Sequence[Asset], answer: Answer) -> Tickers:
        """Let the dialect read the answer; whatever it stumbles over, the answer is to blame, never the service."""
        try:
            return self._dialect.parse(self.name, assets, answer)
        except ExchangeError:
            raise
        except Exception as error:  # such as RecursionError for a thousand nested lists
            raise Undecodable(type(error).__name__) from error

    async def _get(self, url: str) -> Answer:
        async with self._http.get(url, allow_redirects=False) as response:
            _raise_for(response.status)
            body = b""
            while not response.content.at_eof():
                body += await response.content.readany()
                if len(body) > _MAX_BODY:
                    raise Undecodable(f"more than {_MAX_BODY} bytes")
            return Answer(body, response.headers.get("Date", ""))

    def _breaker_changed(self, state: str, error: ExchangeError | None) -> None:
        self._metrics.breaker_state.labels(self.name).set(BREAKER_STATES[state])
        if state == "open":
            self._log.warning("breaker_open", error=f"{error.reason}: {error}" if error else "")
        else:
            self._log.info("breaker_" + state.replace("-", "_"))


def _is_unknown(answer: Ticker | LeftOut) -> bool:
    return isinstance(answer, LeftOut) and answer.reason is Reason.NOT_LISTED


def _raise_for(status: int) -> None:
    if status in _NO_SUCH_SYMBOL:
        raise NotListed(f"HTTP {status}")
    if status in _TOO_OFTEN:
        raise RateLimited(f"HTTP {status}")
    if status != 200:  # noqa: PLR2004  # a redirect or an empty 204 is no ticker either
        raise ExchangeHttpError(f"HTTP {status}")
