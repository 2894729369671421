"""The part that all local venues share: quotes, a record of the requests, and faults to switch on."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import ClassVar

import msgspec
from aiohttp import web
from aiohttp.test_utils import TestServer

Fault = Callable[[web.Request], web.StreamResponse | None]


class Quote(msgspec.Struct, frozen=True):
    """The numbers of one pair, as texts, so that every digit is sent as written here; `volume` is in base units."""

    base: str
    quote: str
    price: str
    volume: str
    turnover: str = "123456789.987654321"  # in quote units: a dialect must not take it for the volume
    trading: bool = True

    @property
    def symbol(self) -> str:
        """Our symbol."""
        return self.base + self.quote


QUOTES = (
    Quote("btc", "usdt", "97250.12000001", "8913.30000000"),
    Quote("btc", "usd", "97201.5", "7954.00219674"),
    Quote("eth", "usdt", "3321.07", "102345.6789"),
    Quote("doge", "usdt", "0.38231", "999999999.1"),
    Quote("pepe", "usdt", "0.00000001234", "123456789012345.678"),
)


class Venue:
    """One venue. `quotes`, by our symbol, may be changed while it runs; `fault` may answer in place of the venue."""

    pages: ClassVar[Sequence[str]]  # of the exchange's documentation
    documented_limits: ClassVar[Sequence[tuple[float, float]]]  # from these pages: calls or weight, in any seconds
    cooldown = 1.0  # seconds that `too_often` asks for; 1 where it does not tell

    def __init__(self, quotes: Sequence[Quote] = QUOTES, now: Callable[[], float] = time.time) -> None:
        self.quotes: dict[str, Quote] = {quote.symbol: quote for quote in quotes}
        self.now = now
        self.asked: list[str] = []  # path and query of each request, without those of a WebSocket
        self.fault: Fault | None = None
        self.url = ""

    def routes(self) -> Sequence[web.RouteDef]:
        """Return the routes that it serves."""
        raise NotImplementedError

    def too_often(self, request: web.Request) -> web.Response:
        """Answer as the venue does to too many calls; a `Fault`."""
        raise NotImplementedError

    def maintenance(self, request: web.Request) -> web.Response:
        """Answer as the venue does during maintenance; a `Fault`."""
        raise NotImplementedError

    @property
    def milliseconds(self) -> int:
        """The venue's time."""
        return round(self.now() * 1000)

    def named(self, name: str) -> Quote | None:
        """Return the quote of the pair with this name at the venue; None if there is none."""
        return next((quote for quote in self.quotes.values() if self.name_of(quote) == name), None)

    def name_of(self, quote: Quote) -> str:
        """Return the venue's name of the pair."""
        raise NotImplementedError

    def application(self) -> web.Application:
        """Return the application with all routes."""

        @web.middleware
        async def record(request: web.Request, handler: Callable[..., object]) -> web.StreamResponse:
            self.asked.append(request.path_qs)
            answer = self.fault(request) if self.fault is not None else None
            return answer or await handler(request)  # type: ignore[misc]  # aiohttp types it loosely

        app = web.Application(middlewares=[record])
        app.add_routes(self.routes())
        return app


def rows(body: object, headers: Mapping[str, str] | None = None, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.json_response(body, status=status, headers=headers)


@asynccontextmanager
async def running(venue: Venue) -> AsyncIterator[Venue]:
    """Serve the venue on this event loop; its address is in `url`."""
    server = TestServer(venue.application(), host="127.0.0.1")
    await server.start_server()
    venue.url = str(server.make_url("")).rstrip("/")
    try:
        yield venue
    finally:
        await server.close()


@contextmanager
def beside(venue: Venue) -> Iterator[Venue]:
    """Serve the venue on a thread of its own, for clients that are processes."""
    started, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with running(venue):
            loops.append(asyncio.get_running_loop())
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert started.wait(10), "the local exchange did not start"
    try:
        yield venue
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()
