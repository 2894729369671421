"""An exchange over HTTP: sends the requests of a dialect, bounds the answers, and lets the dialect read them."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
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
from aggregator.exchanges.connection import ENCODINGS, TooMuch, connector, refuse_redirect, why_unreachable
from aggregator.exchanges.dialect import (
    Answer,
    Dialect,
    Executions,
    Market,
    Request,
    Tickers,
    TradeDialect,
)
from aggregator.exchanges.guarded_exchange import GuardedExchange
from aggregator.exchanges.parts import parts
from aggregator.exchanges.retry_after import LONGEST, LONGEST_BAN, retry_after
from aggregator.models import Asset
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.resilience.circuit_breaker import BreakerGroup

Session = aiohttp.ClientSession
T = TypeVar("T")

MOST_BYTES, MOST_BYTES_A_SYMBOL = 16 << 10, 1 << 10  # of a body: a venue's ticker has at most 700 bytes
MOST_OF_BATCH = 256 << 10  # bytes of a body with tickers, however many symbols were asked for
MOST_OF_TRADES = 512 << 10  # bytes of a body with recent trades: a thousand of them have at most 200 KB
MOST_OF_LISTING = 16 << 20  # bytes; Binance's listing has about 15 MB
MOST_MARKETS = 20_000
_MOST_OF_REFUSAL = 64 << 10  # bytes of a body with another status than 200; the rest is not read
_LARGE = 8 << 10  # bytes; only one such body is decoded in one iteration of the event loop
_LISTING_SECONDS = 30.0
_NO_SUCH_SYMBOL = (400, 404)
_BANNED = 418
_TOO_OFTEN = (_BANNED, 429)
_UNAVAILABLE_HERE = 451  # RFC 7725; Binance's answer to countries that it does not serve
_OK = 200  # the only status with tickers: a redirect or an empty 204 has none


class Reply(msgspec.Struct, frozen=True):
    """An answer with any status, and when it arrived (unix seconds)."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    received: float


def session(timeout: float) -> Session:
    """Return the session that all exchanges share, with `timeout` seconds a call and no limit of connections."""
    return aiohttp.ClientSession(
        connector=connector(),
        timeout=aiohttp.ClientTimeout(total=timeout),
        headers={"Accept": "application/json", "Accept-Encoding": ENCODINGS, "User-Agent": "price-aggregator"},
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(refuse_redirect,),  # for WebSockets, which have no argument for this
    )


class HttpExchange(GuardedExchange):
    """`aggregator.ports.Exchange` over the shared session.

    A call asks for as many symbols as the dialect allows, but no more than `batch`.
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
        breaker_group: BreakerGroup | None = None,
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
        super().__init__(name, metrics, concurrency, most, dialect.rate_limit, breaker_group, clock, now, tracer)

    def _name_of(self, asset: Asset) -> str:
        return self._dialect.name(asset)

    def _cost(self, count: int) -> float:
        return self._dialect.cost(count)

    async def _ask(self, markets: Sequence[Market]) -> Tickers:
        most = min(MOST_BYTES + MOST_BYTES_A_SYMBOL * len(markets), MOST_OF_BATCH)
        reply = await self._send(self._dialect.request(markets), most, None, markets)
        if len(reply.body) < _LARGE:
            return self._tickers(markets, reply)
        async with self._decoding:
            await asyncio.sleep(0)
            return self._tickers(markets, reply)

    async def _list(self) -> Iterable[Market]:
        if self._dialect.listing is None:
            return ()
        return await self._markets(await self._send(self._dialect.listing, MOST_OF_LISTING, _LISTING_SECONDS, ()))

    async def recent_trades(self, dialect: TradeDialect, asset: Asset) -> Executions:
        """Return an asset's recent trades, behind the safeguards of the calls for tickers. Raises ExchangeError."""
        markets, others = self.listing.sort([asset])
        if not markets:
            raise others[asset.symbol]
        call = partial(self._ask_for_trades, dialect, markets[0])
        return await self._call_when_allowed(lambda: self._honour_rate_limit(call()), dialect.recent_cost, hot=False)

    async def _ask_for_trades(self, dialect: TradeDialect, market: Market) -> Executions:
        answer = self._answer_of(await self._send(dialect.recent(market), MOST_OF_TRADES, None, ()))

        def read() -> Executions:
            self._dialect.check(answer)
            return dialect.read_recent(market, answer)

        async with self._decoding:
            await asyncio.sleep(0)
            return _read(read)

    def _tickers(self, markets: Sequence[Market], reply: Reply) -> Tickers:
        answer = self._answer_of(reply)
        return _read(lambda: self._dialect.parse(self.name, markets, answer))

    async def _markets(self, reply: Reply) -> Iterable[Market]:
        """Return the markets of a listing. Decodes it part by part, so that other tasks run in between."""
        answer = self._answer_of(reply)
        found: list[Market] = []
        for part in parts(answer.body, self._dialect.listing_start):
            await asyncio.sleep(0)
            if part is not None:
                found += _read(partial(self._dialect.markets, Answer(part, answer.received)))
            if len(found) > MOST_MARKETS:
                raise Undecodable(f"more than {MOST_MARKETS} markets")
        return found

    def _answer_of(self, reply: Reply) -> Answer:
        """Return the answer in a reply with status 200. Raises the error that any other reply stands for."""
        if reply.status != _OK:
            raise _refusal(reply.status, self._dialect.refusal(reply.status, reply.body))
        return Answer(reply.body, reply.received)

    async def _send(self, request: Request, most: int, seconds: float | None, markets: Sequence[Market]) -> Reply:  # noqa: ARG002  # recordings keep the markets
        """Send the request and return the reply, of at most `most` bytes, within `seconds` (None: the session's).

        Begins a cool-down where the headers ask for one. Raises ExchangeError.
        """
        # encoded: the dialect has encoded the path, and yarl's search for more to encode costs a fifth of a call
        url = URL(self._base_url + request.path, encoded=True)
        timeout = self._http.timeout if seconds is None else aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._http.request(
                request.method,
                url,
                headers=request.headers or None,
                data=request.body or None,
                allow_redirects=False,
                timeout=timeout,
                middlewares=(),
            ) as response:
                self._honour_pauses(response.status, response.headers)
                body = await (whole_body(response, most) if response.status == _OK else _beginning(response))
        except TimeoutError as error:
            raise ExchangeTimeout("no answer in time") from error
        except TooMuch as error:
            raise Undecodable(str(error)) from error
        except aiohttp.ClientError as error:
            raise ExchangeUnreachable(why_unreachable(error)) from error
        return Reply(response.status, response.headers, body, self._now())

    def _honour_pauses(self, status: int, headers: Mapping[str, str]) -> None:
        """Begin a cool-down where headers of any answer ask for one, or after a 429 or 418 without such headers."""
        now = self._now()
        asked = retry_after(headers.get("Retry-After", ""), headers.get("Date", ""), now)
        if asked is None:
            asked = self._dialect.pause(headers, now)
        if asked is not None or status in _TOO_OFTEN:
            self._begin_cooldown(asked, LONGEST_BAN if status == _BANNED else LONGEST)


async def whole_body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """Return the whole body. Raises Undecodable if it has more than `most` bytes after decompression."""
    content = response.content
    first = await content.readany()
    if content.at_eof() and len(first) <= most:
        return first
    body = bytearray(first)
    while len(body) <= most and not content.at_eof():
        await asyncio.sleep(0)  # reading a compressed body may never wait, so other tasks get their time here
        body += await content.readany()
    if len(body) > most:
        raise Undecodable(f"more than {most} bytes")
    return bytes(body)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """Return the first 64 KiB of a refusal; where there is more, the connection is closed."""
    content, body = response.content, bytearray()
    while len(body) < _MOST_OF_REFUSAL and not content.at_eof():
        body += await content.readany()
        await asyncio.sleep(0)
    return bytes(body[:_MOST_OF_REFUSAL])


def _read(read: Callable[[], T]) -> T:
    """Return what the dialect reads; any exception but ExchangeError becomes Undecodable, as the answer is wrong."""
    try:
        return read()
    except ExchangeError:
        raise
    except Exception as error:  # such as RecursionError for a thousand nested lists
        raise Undecodable(type(error).__name__) from error


def _refusal(status: int, said: ExchangeError | None) -> ExchangeError:
    """Return the error that a status other than 200 stands for; `said` is the error that the dialect has read."""
    if status in _TOO_OFTEN:
        return RateLimited(f"HTTP {status}")
    if status == _UNAVAILABLE_HERE:
        return Blocked(f"blocked where this runs: {said or f'HTTP {status}'}")
    if said is not None:
        return said
    return (NotListed if status in _NO_SUCH_SYMBOL else ExchangeHttpError)(f"HTTP {status}")
