"""One exchange over HTTP: a dialect says what to ask and how to read it, this module does the asking."""

import asyncio
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
from aggregator.exchanges.connection import ENCODINGS, TooMuch, connector, refuse_redirect
from aggregator.exchanges.dialect import Answer, Dialect, Market, Tickers
from aggregator.exchanges.guarded_exchange import GuardedExchange
from aggregator.exchanges.parts import parts
from aggregator.exchanges.retry_after import LONGEST, LONGEST_BAN, retry_after
from aggregator.models import Asset
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.resilience.circuit_breaker import BreakerGroup

Session = aiohttp.ClientSession
T = TypeVar("T")

MOST_BYTES, MOST_BYTES_A_SYMBOL = 16 << 10, 1 << 10  # of a call's answer: venues take at most 700 for a ticker
MOST_OF_BATCH = 256 << 10  # of any call's answer
MOST_OF_LISTING = 16 << 20  # Binance's is some 15 MB
MOST_MARKETS = 20_000
_MOST_OF_REFUSAL = 64 << 10  # of what has another status than 200: the rest is not read
_LARGE = 8 << 10  # bytes; such answers are decoded one a turn of the event loop
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
        connector=connector(),
        timeout=aiohttp.ClientTimeout(total=timeout),
        headers={"Accept": "application/json", "Accept-Encoding": ENCODINGS, "User-Agent": "price-aggregator"},
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(refuse_redirect,),  # for WebSockets, which have no argument for it
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
        rest: BreakerGroup | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._dialect = dialect
        self._http = http
        self._listing_cost = dialect.listing_cost
        self._decoding = asyncio.Lock()
        most = min(dialect.most_symbols, batch or dialect.most_symbols)
        super().__init__(name, metrics, concurrency, most, dialect.budget, rest, clock, now, tracer)

    def _name_of(self, asset: Asset) -> str:
        return self._dialect.name(asset)

    def _cost(self, count: int) -> float:
        return self._dialect.cost(count)

    async def _ask(self, markets: Sequence[Market]) -> Tickers:
        most = min(MOST_BYTES + MOST_BYTES_A_SYMBOL * len(markets), MOST_OF_BATCH)
        reply = await self._send(self._dialect.path(markets), most, None, markets)
        if len(reply.body) < _LARGE:
            return self._tickers(markets, reply)
        async with self._decoding:
            await asyncio.sleep(0)
            return self._tickers(markets, reply)

    async def _list(self) -> Iterable[Market]:
        if not self._dialect.listing:
            return ()
        return await self._markets(await self._send(self._dialect.listing, MOST_OF_LISTING, _LISTING_SECONDS, ()))

    def _tickers(self, markets: Sequence[Market], reply: Reply) -> Tickers:
        answer = self._good(reply)
        return _read(lambda: self._dialect.parse(self.name, markets, answer))

    async def _markets(self, reply: Reply) -> Iterable[Market]:
        """Read a listing part by part, so that it never holds the event loop for long."""
        answer = self._good(reply)
        found: list[Market] = []
        for part in parts(answer.body, self._dialect.listed_in):
            await asyncio.sleep(0)
            if part is not None:
                found += self._part(Answer(part, answer.received))
            if len(found) > MOST_MARKETS:
                raise Undecodable(f"more than {MOST_MARKETS} markets")
        return found

    def _part(self, answer: Answer) -> Iterable[Market]:
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
            async with self._http.get(url, allow_redirects=False, timeout=patience, middlewares=()) as response:
                self._honour_pauses(response.status, response.headers)
                body = await (_body(response, most) if response.status == _WELL else _beginning(response))
        except TimeoutError as error:
            raise ExchangeTimeout("no answer in time") from error
        except TooMuch as error:
            raise Undecodable(str(error)) from error
        except aiohttp.ClientError as error:
            raise ExchangeUnreachable(type(error).__name__) from error
        return Reply(response.status, response.headers, body, self._now())

    def _honour_pauses(self, status: int, headers: Mapping[str, str]) -> None:
        """Be quiet for as long as the answer says, whatever else it is; or as long as we think best after a 429."""
        now = self._now()
        asked = retry_after(headers.get("Retry-After", ""), headers.get("Date", ""), now)
        if asked is None:
            asked = self._dialect.pause(headers, now)
        if asked is not None or status in _TOO_OFTEN:
            self._be_quiet(asked, LONGEST_BAN if status == _BANNED else LONGEST)


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the whole body. Raises Undecodable where it has more than `most` bytes, unpacked."""
    content = response.content
    first = await content.readany()
    if content.at_eof() and len(first) <= most:
        return first
    body = bytearray(first)
    while len(body) <= most and not content.at_eof():
        await asyncio.sleep(0)  # reading need not wait: a packed body is unpacked as it is read
        body += await content.readany()
    if len(body) > most:
        raise Undecodable(f"more than {most} bytes")
    return bytes(body)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Return as much of the body as a refusal may need; the connection is closed where there is more."""
    content, body = response.content, bytearray()
    while len(body) < _MOST_OF_REFUSAL and not content.at_eof():
        body += await content.readany()
        await asyncio.sleep(0)
    return bytes(body[:_MOST_OF_REFUSAL])


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
