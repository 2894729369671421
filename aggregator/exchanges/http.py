"""One exchange over HTTP: a dialect says what to ask and how to read it, this module does the asking."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import aiohttp
import msgspec
from yarl import URL

from aggregator.errors import (
    Blocked,
    ExchangeError,
    ExchangeHttpError,
    ExchangeTimeout,
    ExchangeUnreachable,
    NotListed,
    RateLimited,
    Undecodable,
)
from aggregator.exchanges.dialect import Answer, Dialect, Market, Tickers
from aggregator.exchanges.guard import Rest
from aggregator.exchanges.guarded import GuardedExchange
from aggregator.exchanges.quiet import LONGEST, LONGEST_BAN, retry_after
from aggregator.metrics import Metrics
from aggregator.models import Asset
from aggregator.tracing import UNTRACED, Tracer

Session = aiohttp.ClientSession
T = TypeVar("T")

_MAX_BODY = 1 << 20
_MAX_LISTING = 64 << 20  # Binance's is some 15 MB
_LISTING_SECONDS = 30.0
_NO_SUCH_SYMBOL = (400, 404)
_BANNED = 418
_TOO_OFTEN = (_BANNED, 429)
_UNAVAILABLE_HERE = 451  # RFC 7725; Binance says so of places that it does not serve
_WELL = 200  # a redirect or an empty 204 is no ticker either


class Reply(msgspec.Struct, frozen=True):
    """An answer of whatever status, and when it reached us (unix seconds)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    received: float


def session(timeout: float) -> Session:
    """Return the one session all exchanges share, `timeout` seconds a call; each exchange bounds its own calls."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
        timeout=aiohttp.ClientTimeout(total=timeout),
        headers={"Accept": "application/json", "User-Agent": "price-aggregator"},
        cookie_jar=aiohttp.DummyCookieJar(),
    )


class HttpExchange(GuardedExchange):
    """`aggregator.ports.Exchange` over one shared session.

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
        self._base_url = base_url.rstrip("/")
        self._dialect = dialect
        self._http = http
        self._listing_cost = dialect.listing_cost
        most = min(dialect.most_symbols, batch or dialect.most_symbols)
        super().__init__(name, metrics, concurrency, most, dialect.budget, rest, clock, now, tracer)

    def _name_of(self, asset: Asset) -> str:
        return self._dialect.name(asset)

    def _cost(self, count: int) -> float:
        return self._dialect.cost(count)

    async def _ask(self, markets: Sequence[Market]) -> Tickers:
        reply = await self._send(self._dialect.path(markets), _MAX_BODY, None, markets)
        return self._tickers(markets, reply)

    async def _list(self) -> Iterable[Market]:
        if not self._dialect.listing:
            return ()
        return self._markets(await self._send(self._dialect.listing, _MAX_LISTING, _LISTING_SECONDS, ()))

    def _tickers(self, markets: Sequence[Market], reply: Reply) -> Tickers:
        answer = self._good(reply)
        return _read(lambda: self._dialect.parse(self.name, markets, answer))

    def _markets(self, reply: Reply) -> Iterable[Market]:
        answer = self._good(reply)
        return _read(lambda: self._dialect.markets(answer))

    def _good(self, reply: Reply) -> Answer:
        """Return the answer if it is one. Raises what it says instead."""
        if reply.status != _WELL:
            raise _refusal(reply.status, self._dialect.refusal(reply.status, reply.body))
        return Answer(reply.body, reply.received)

    async def _send(self, path: str, most: int, seconds: float | None, markets: Sequence[Market]) -> Reply:  # noqa: ARG002  # for those who override it
        """Return what is answered, at most `most` bytes, within `seconds` where they are not the session's.

        What it says of when to ask again is heeded. Raises ExchangeError.
        """
        # encoded: a dialect's path is as it is sent, and looking for what is to be quoted costs a fifth of a call
        url = URL(self._base_url + path, encoded=True)
        patience = self._http.timeout if seconds is None else aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._http.get(url, allow_redirects=False, timeout=patience) as response:
                self._heed(response.status, response.headers)
                body = await _body(response, most)
        except TimeoutError as error:
            raise ExchangeTimeout("no answer in time") from error
        except aiohttp.ClientError as error:
            raise ExchangeUnreachable(type(error).__name__) from error
        return Reply(response.status, response.headers, body, self._now())

    def _heed(self, status: int, headers: Mapping[str, str]) -> None:
        """Be quiet for as long as the answer says, whatever else it is; or as long as we think best after a 429."""
        now = self._now()
        asked = retry_after(headers.get("Retry-After", ""), headers.get("Date", ""), now)
        if asked is None:
            asked = self._dialect.pause(headers, now)
        if asked is not None or status in _TOO_OFTEN:
            self._be_quiet(asked, LONGEST_BAN if status == _BANNED else LONGEST)


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    parts, size = [], 0
    while not response.content.at_eof():
        parts.append(await response.content.readany())
        size += len(parts[-1])
        if size > most:
            raise Undecodable(f"more than {most} bytes")
    return b"".join(parts)


def _read(read: Callable[[], T]) -> T:
    """Let the dialect read the answer; whatever it stumbles over, the answer is to blame, never the service."""
    try:
        return read()
    except ExchangeError:
        raise
    except Exception as error:  # such as RecursionError for a thousand nested lists
        raise Undecodable(type(error).__name__) from error


def _refusal(status: int, said: ExchangeError | None) -> ExchangeError:
    """Return what an answer other than 200 means: what the dialect reads in it, or what its status says."""
    if status in _TOO_OFTEN:
        return RateLimited(f"HTTP {status}")
    if status == _UNAVAILABLE_HERE:
        return Blocked(f"blocked where this runs: {said or f'HTTP {status}'}")
    if said is not None:
        return said
    return (NotListed if status in _NO_SUCH_SYMBOL else ExchangeHttpError)(f"HTTP {status}")
