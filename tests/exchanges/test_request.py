"""A dialect chooses method, headers and body of a request; recordings tell requests to one path apart by the body."""

import gzip
from collections.abc import AsyncIterator, Iterable, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from prometheus_client import CollectorRegistry

from aggregator.exchanges.decoding import decode
from aggregator.exchanges.dialect import Answer, Dialect, Market, Request, Tickers
from aggregator.exchanges.http import HttpExchange, Session
from aggregator.exchanges.recording import Header, Record, RecordingFile, read, record_of
from aggregator.exchanges.replay import RecordedExchange, ReplayedExchange
from aggregator.exchanges.venues.mock import Mock
from aggregator.models import Asset, LeftOut, Reason, Ticker
from aggregator.observability.metrics import Metrics
from tests.exchanges.test_recording import BEGAN
from tests.parts.examples import BTC, ETH

HEADERS = {"Content-Type": "application/json", "X-Key": "secret"}


class _Row(msgspec.Struct):
    coin: str
    price: Decimal
    volume: Decimal
    time: float


_listing = msgspec.json.Decoder(list[str])
_rows = msgspec.json.Decoder(list[_Row])


def asked(**question: object) -> Request:
    """Return a request to the venue: all of them have the same path."""
    return Request("/info", "POST", HEADERS, msgspec.json.encode(question))


class Posting(Dialect):
    """The dialect of a venue that is asked by POST, for tickers and for its listing."""

    public_url = ""
    most_symbols = 10
    listing = asked(type="markets")

    def name(self, asset: Asset) -> str:
        """Return BTC."""
        return asset.base.upper()

    def request(self, markets: Sequence[Market]) -> Request:
        """Ask for the tickers."""
        return asked(type="tickers", coins=[market.name for market in markets])

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read the tickers."""
        symbols = {market.name: market.symbol for market in markets}
        rows = [(symbols[row.coin], row) for row in decode(_rows, answer.body)]
        return {symbol: Ticker(exchange, symbol, row.price, row.volume, row.time) for symbol, row in rows}

    def markets(self, answer: Answer) -> Iterable[Market]:
        """Read the listing."""
        return [Market.listed(coin, coin, "usdt", trading=True) for coin in decode(_listing, answer.body)]


class Server:
    """The local venue."""

    def __init__(self) -> None:
        self.questions: list[object] = []
        self.url = ""

    async def info(self, request: web.Request) -> web.Response:
        """Answer a request that has the key."""
        assert {name: request.headers[name] for name in HEADERS} == HEADERS
        question = await request.json()
        self.questions.append(question)
        if question["type"] == "markets":
            return web.json_response(["BTC", "ETH"])
        rows = [{"coin": coin, "price": "2.5", "volume": "7", "time": BEGAN} for coin in question["coins"]]
        return web.json_response(rows)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """Serve it; a GET is not allowed."""
    venue, app = Server(), web.Application()
    app.router.add_post("/info", venue.info)
    async with TestServer(app, host="127.0.0.1") as served:
        venue.url = str(served.make_url("/"))
        yield venue


def metrics() -> Metrics:
    """Return new metrics."""
    return Metrics(CollectorRegistry())


@pytest.mark.real
async def test_a_venue_that_is_asked_by_post(server: Server, http: Session) -> None:
    """Method, headers and body arrive, for the listing as for the tickers."""
    exchange = HttpExchange("posting", server.url, Posting(), http, metrics(), 4)
    assert await exchange.read_listing() is None
    answers = await exchange.fetch([BTC, ETH])
    assert {symbol: one.price for symbol, one in answers.items() if isinstance(one, Ticker)} == {
        "btcusdt": Decimal("2.5"),
        "ethusdt": Decimal("2.5"),
    }
    assert server.questions == [{"type": "markets"}, {"type": "tickers", "coins": ["BTC", "ETH"]}]


@pytest.mark.real
async def test_a_get_is_sent_without_a_body(http: Session) -> None:
    """A GET has neither a body nor its headers: Bybit refuses a GET with a body."""
    seen: list[tuple[str, str, bytes, bool]] = []

    async def answer(request: web.Request) -> web.Response:
        has_body = "Content-Length" in request.headers or "Content-Type" in request.headers
        seen.append((request.method, request.path_qs, await request.read(), has_body))
        return web.json_response({"symbol": "btcusdt", "price": 1, "volume": 1, "timestamp": 1})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app, host="127.0.0.1") as served:
        exchange = HttpExchange("x", str(served.make_url("/")), Mock(), http, metrics(), 4)
        assert isinstance((await exchange.fetch([BTC]))["btcusdt"], Ticker)
    assert seen == [("GET", "/mock/ticker/btcusdt", b"", False)]


@pytest.mark.real
async def test_recorded_and_replayed(server: Server, http: Session, tmp_path: Path) -> None:
    """Listing and tickers with one path are told apart by their bodies; the key is not in the file."""
    path = tmp_path / "posting.rec.gz"
    file = RecordingFile(path, Header("posting", "posting", pushed=False, began=BEGAN))
    recorded = RecordedExchange("posting", server.url, Posting(), http, metrics(), 4, 10, file)
    told = (await recorded.fetch([BTC]))["btcusdt"]  # before the listing: the first record of this path is no listing
    assert isinstance(told, Ticker)
    assert await recorded.read_listing() is None
    file.close()
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert ["POST" in line for line in lines] == [False, True, True]
    assert '"sent":"{\\"type\\":\\"markets\\"}"' in lines[2]
    assert not any("secret" in line for line in lines)
    recording = read(path)
    again = ReplayedExchange("posting", Posting(), recording, http, metrics(), 4, 10, None, lambda: recording.ends)
    assert await again.read_listing() is None
    assert (again.trades("btcusdt"), again.trades("ethusdt"), again.trades("dogeusdt")) == (True, True, False)
    assert (await again.fetch([BTC]))["btcusdt"] == told
    unrecorded = (await again.fetch([ETH]))["ethusdt"]
    assert isinstance(unrecorded, LeftOut)
    assert unrecorded.reason is Reason.NOT_LISTED


async def test_recordings_made_before_are_replayed(http: Session, tmp_path: Path) -> None:
    """A line without method and body stands for a GET, and a GET is still written without them."""
    path = tmp_path / "old.rec.gz"
    market = '{"symbol":"btcusdt","name":"btcusdt"}'
    ticker = '{\\"symbol\\":\\"btcusdt\\",\\"price\\":3,\\"volume\\":1,\\"timestamp\\":1700000000}'
    lines = [
        '{"name":"mock","dialect":"mock","pushed":false,"began":1700000000.0,"format":1}',
        f'{{"at":1700000001.0,"path":"/mock/ticker/btcusdt","markets":[{market}],"status":200,"text":"{ticker}"}}',
    ]
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    recording = read(path)
    again = ReplayedExchange("mock", Mock(), recording, http, metrics(), 4, 10, None, lambda: BEGAN + 1)
    answer = (await again.fetch([BTC]))["btcusdt"]
    assert isinstance(answer, Ticker)
    assert answer.price == 3
    request = Mock().request([Market("btcusdt", "btcusdt")])
    assert recording.first(request) == recording.newest("btcusdt", BEGAN + 1)
    record = msgspec.structs.replace(
        record_of(request, [Market("btcusdt", "btcusdt")], BEGAN + 1), status=200, text=ticker.replace("\\", "")
    )
    assert msgspec.json.encode(record).decode() == lines[1]
    assert msgspec.json.decode(lines[1], type=Record) == record
