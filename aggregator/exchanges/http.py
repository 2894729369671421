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
from aggregator.exchanges.dialect import Answer, Dialect
from aggregator.exchanges.guard import Guard
from aggregator.metrics import BREAKER_STATES, Metrics
from aggregator.models import Asset, LeftOut, Ticker

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
    """`aggregator.ports.Exchange` over one shared session. At most `concurrency` calls are under way at a time."""

    def __init__(
        self,
        name: str,
        base_url: str,
        dialect: Dialect,
        http: Session,
        metrics: Metrics,
        concurrency: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._base_url = base_url.rstrip("/")
        self._dialect = dialect
        self._http = http
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
        """Ask for every asset, side by side, and answer each with its ticker or why there is none."""
        answers = await asyncio.gather(*(self._fetch_one(asset) for asset in assets))
        return {asset.symbol: answer for asset, answer in zip(assets, answers, strict=True)}

    async def _fetch_one(self, asset: Asset) -> Ticker | LeftOut:
        try:
            self._guard.check()  # before the queue for a slot: a hanging exchange may hold every one of them
            async with self._slots:
                return await self._guard.call(lambda: self._call(asset))
        except ExchangeError as error:
            self._metrics.exchange_errors.labels(self.name, error.reason.value).inc()
            return LeftOut(self.name, error.reason, str(error))

    async def _call(self, asset: Asset) -> Ticker:
        url = self._base_url + self._dialect.path(asset)
        started = self._clock()
        self._requests.inc()
        try:
            answer = await self._get(url)
        except TimeoutError as error:
            raise ExchangeTimeout("no answer in time") from error
        except aiohttp.ClientError as error:
            raise ExchangeUnreachable(type(error).__name__) from error
        ticker = self._read(asset, answer)
        self._seconds.observe(self._clock() - started)
        self._last_ticker = self._clock()
        return ticker

    def _read(self, asset: Asset, answer: Answer) -> Ticker:
        """Let the dialect read the answer; whatever it stumbles over, the answer is to blame, never the service."""
        try:
            return self._dialect.parse(self.name, asset, answer)
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


def _raise_for(status: int) -> None:
    if status in _NO_SUCH_SYMBOL:
        raise NotListed(f"HTTP {status}")
    if status in _TOO_OFTEN:
        raise RateLimited(f"HTTP {status}")
    if status != 200:  # noqa: PLR2004  # a redirect or an empty 204 is no ticker either
        raise ExchangeHttpError(f"HTTP {status}")
