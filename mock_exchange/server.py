"""One venue of the market over HTTP: tickers and trades, their feeds, faults and health. Errors are `{"msg": ...}`.

`GET /mock/trades?symbols=btcusdt,ethusdt&limit=1000` answers `{"trades":[...]}`: the last trades of each symbol, all of
them oldest first, in the form of the feed (see `trade_feed`). `planted_routes` serves `/mock/plants` and `/mock/news`.

It runs on aiohttp's low-level server, without router and access log: load tests ask for thousands of tickers a second,
and the service under test needs the CPU.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import msgspec
from aiohttp import web

from .answers import as_json, refusal
from .connections import Connections
from .faults import Effect, FaultsError, FaultSwitch, parse
from .feed import PATH, PUSH_MS, Feed
from .market import Market, draws, to_millisecond
from .planted_routes import NEWS, PLANTS, PlantedRoutes
from .plants import Plants
from .recent_trades import MOST_OF_SYMBOL
from .ticker import Ticker, batch_json, scaled
from .trade_feed import PATH as TRADES
from .trade_feed import TradeFeed
from .trades import BLOCKS, TRADES_PER_SECOND, Trade, TradeMaker

TICKER = "/mock/ticker/"
MOST_SYMBOLS = 1000
LONGEST_LINE = 65_536  # bytes; 1000 symbols in one request line take about 10,000
LONGEST_HANG = 300.0  # seconds
LONGEST_GOODBYE = 2.0  # seconds for answers in flight when the server closes

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Body = Callable[[float], bytes]


class Exchange:
    """The request handler of one venue; `clock` returns unix seconds, `push_ms` is the period of its feed of tickers.

    The random numbers of the faults depend on seed and name alone, so that runs can be repeated.
    """

    def __init__(
        self,
        name: str,
        seed: int,
        market: Market,
        clock: Callable[[], float],
        push_ms: float = PUSH_MS,
        trades_per_second: float = TRADES_PER_SECOND,
        plants: Plants | None = None,
    ) -> None:
        self._name = name
        self._market = market
        self._clock = clock
        self._switch = FaultSwitch(draws(seed, name, "faults"))
        self._feed = Feed(market.__contains__, self._pushed, self._switch, push_ms)
        self._maker = TradeMaker(seed, name, market, trades_per_second, plants)
        at_once = 1 if trades_per_second else BLOCKS  # without trades, the feed need not wake up for each block
        self._trade_feed = TradeFeed(market.__contains__, self._made, self._switch, clock, at_once)
        self._closing = asyncio.Event()
        names = {pair.symbol: pair.base.upper() for pair in market}
        planted = PlantedRoutes(plants or Plants(seed, (), 0.0), names, self._switch, clock, self._pause)
        self._routes: dict[str, dict[str, Handler]] = {
            "/health": {"GET": _health},
            "/mock/tickers": {"GET": self._tickers},
            PATH: {"GET": self._push},
            TRADES: {"GET": self._trades},
            PLANTS: {"GET": planted.plants},
            NEWS: {"GET": planted.news},
            "/mock/faults": {"GET": self._show_faults, "PUT": self._put_faults},
        }
        self._ticker_route: dict[str, Handler] = {"GET": self._ticker}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request."""
        path = request.path
        methods = self._ticker_route if path.startswith(TICKER) else self._routes.get(path)
        if methods is None:
            return refusal(404, "Not found")
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is None:
            return refusal(405, "Method not allowed", Allow=", ".join(methods))
        return await handler(request)

    async def run(self) -> None:
        """Push tickers and trades until cancelled."""
        async with asyncio.TaskGroup() as feeds:
            feeds.create_task(self._feed.run())
            feeds.create_task(self._trade_feed.run())

    def close(self) -> None:
        """End every call that is delayed or hangs, and every connection of the feeds."""
        self._closing.set()
        self._feed.connections.close()
        self._trade_feed.connections.close()

    async def _ticker(self, request: web.BaseRequest) -> web.Response:
        symbol = request.path.removeprefix(TICKER).lower()
        if symbol not in self._market:
            return await self._faulty(request, refusal(404, "Asset not found"))
        return await self._faulty(request, lambda now: self._quote(symbol, now).json().encode())

    async def _tickers(self, request: web.BaseRequest) -> web.Response:
        symbols = _symbols(request)
        if isinstance(symbols, str):
            return await self._faulty(request, refusal(400, symbols))
        return await self._faulty(request, lambda now: self._quotes(symbols, now))

    async def _trades(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve a connection of the feed of trades, or answer with the last trades."""
        if web.WebSocketResponse().can_prepare(request):
            return await self._connection(request, self._trade_feed.connections)
        symbols, limit = _symbols(request), _limit(request)
        if isinstance(symbols, str):
            return await self._faulty(request, refusal(400, symbols))
        if limit is None:
            return await self._faulty(request, refusal(400, f"limit must be a whole number from 1 to {MOST_OF_SYMBOL}"))
        return await self._faulty(request, lambda _: self._trade_feed.recent.json(symbols, limit))

    def _quote(self, symbol: str, now: float) -> Ticker:
        price, volume = self._market.venue_ticker(self._name, symbol, now)
        faults = self._switch.faults
        shown = scaled(price, faults.price_factor) if faults.price is None else faults.price
        return Ticker(symbol, shown, volume, to_millisecond(now))

    def _made(self, block: int) -> list[Trade]:
        faults = self._switch.faults
        made = self._maker.made(block, faults.trade_rate, self._switch.clock)
        return [trade._replace(price=scaled(trade.price, faults.price_factor)) for trade in made]

    def _quotes(self, symbols: Iterable[str], now: float) -> bytes:
        unknown = [symbol for symbol in symbols if symbol not in self._market]
        return batch_json((self._quote(symbol, now) for symbol in symbols if symbol in self._market), unknown)

    def _pushed(self, symbol: str) -> Ticker:
        return self._quote(symbol, self._switch.clock(self._clock()))

    async def _push(self, request: web.BaseRequest) -> web.StreamResponse:
        if not web.WebSocketResponse().can_prepare(request):
            return await self._faulty(request, refusal(400, "Open a WebSocket here"))
        return await self._connection(request, self._feed.connections)

    async def _connection(self, request: web.BaseRequest, connections: Connections) -> web.StreamResponse:
        """Serve a connection of a feed. Its handshake has the faults of a call, but no garbage: the frames have."""
        fault = await self._fault(request, self._switch.effect(self._clock()))
        return await connections.serve(request) if fault is None else fault

    async def _faulty(self, request: web.BaseRequest, sound: Body | web.Response) -> web.Response:
        """Answer with the active faults; `sound` is the answer without any, or the function that makes its body."""
        effect = self._switch.effect(self._clock())
        fault = await self._fault(request, effect)
        if fault is not None:
            return fault
        if effect is Effect.GARBAGE:
            return as_json(b'<html>\xff\x00{"price":')
        return sound if isinstance(sound, web.Response) else as_json(sound(self._switch.clock(self._clock())))

    async def _fault(self, request: web.BaseRequest, effect: Effect) -> web.Response | None:
        """Delay the call by the latency; return the answer in place of the sound one, None if there is none."""
        faults = self._switch.faults
        if effect is Effect.LIMIT:
            return refusal(429, "Too many requests", **{"Retry-After": "1"})
        if faults.latency_ms:
            await self._pause(faults.latency_ms / 1000)
        if effect is Effect.HANG:
            await self._pause(LONGEST_HANG)
        if effect in (Effect.HANG, Effect.DROP):
            return _cut(request)
        if effect is Effect.ERROR:
            return refusal(faults.status, "Fault: error_rate")
        return None

    async def _pause(self, seconds: float) -> None:
        """Wait, at most until the server closes. A client that disconnects cancels the call."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)

    async def _show_faults(self, _request: web.BaseRequest) -> web.Response:
        return as_json(msgspec.json.encode(self._switch.faults))

    async def _put_faults(self, request: web.BaseRequest) -> web.Response:
        try:
            faults = parse(await request.read())
        except web.HTTPRequestEntityTooLarge:
            return refusal(413, "The body is too large")
        except FaultsError as error:
            return refusal(400, str(error))
        self._switch.replace(faults, self._clock())
        return await self._show_faults(request)


@contextlib.asynccontextmanager
async def listening(exchange: Exchange, host: str, port: int) -> AsyncIterator[int]:
    """Serve during the `with` block; yield the port, a free one for port 0. Raises OSError when it cannot listen."""
    # handler_cancellation: a call that hangs ends when its client disconnects
    server = web.Server(exchange.handle, handler_cancellation=True, max_line_size=LONGEST_LINE, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=LONGEST_GOODBYE)
    await runner.setup()
    pushing = asyncio.create_task(exchange.run())
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner.addresses[0][1]
    finally:
        pushing.cancel()
        exchange.close()
        await runner.cleanup()
        with contextlib.suppress(asyncio.CancelledError):
            await pushing


def _symbols(request: web.BaseRequest) -> dict[str, None] | str:
    """Return the symbols of a call, each once, or why it is refused."""
    wanted = ",".join(request.query.getall("symbols", [])).lower().split(",")
    symbols = [symbol for symbol in map(str.strip, wanted) if symbol]
    if not symbols:
        return "Name the symbols: ?symbols=btcusdt,ethusdt"
    if len(symbols) > MOST_SYMBOLS:
        return f"At most {MOST_SYMBOLS} symbols per call"
    return dict.fromkeys(symbols)


def _limit(request: web.BaseRequest) -> int | None:
    """Return the most trades of a symbol that a call asks for; None for a wrong number."""
    text = request.query.get("limit", str(MOST_OF_SYMBOL))
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(MOST_OF_SYMBOL)) else 0
    return number if 1 <= number <= MOST_OF_SYMBOL else None


def _cut(request: web.BaseRequest) -> web.Response:
    """Reset the connection; return a response that aiohttp needs and cannot send."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _health(_request: web.BaseRequest) -> web.Response:
    return web.Response(text="OK")
