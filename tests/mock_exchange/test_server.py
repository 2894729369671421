"""The mock exchange as a process: every endpoint, every fault."""

import asyncio
import io
import json
import re
import time
from decimal import Decimal

import aiohttp
import msgspec
import pytest

from mock_exchange.market import Market
from tests.mock_exchange.conftest import Client
from tests.parts.limits import allowed

pytestmark = pytest.mark.real
DEADLINE = allowed(10.0)  # seconds
BTC = "/mock/ticker/btcusdt"


async def test_a_ticker_has_the_quote_of_the_market(client: Client, market: Market) -> None:
    """Every digit, at the current time; the symbol is in lower case."""
    async with client.session.get(client.url + "/mock/ticker/BtcUsdt") as response:
        body = json.loads(await response.read(), parse_float=Decimal, parse_int=Decimal)
        assert response.headers["Content-Type"] == "application/json"
    assert list(body) == ["symbol", "price", "volume", "timestamp"]
    assert body["symbol"] == "btcusdt"
    assert abs(float(body["timestamp"]) - time.time()) < DEADLINE
    assert market.venue_ticker("exchange1", "btcusdt", float(body["timestamp"])) == (body["price"], body["volume"])


async def test_numbers_are_written_out(client: Client, market: Market) -> None:
    """No ticker of any symbol has an exponent, or more than 10 significant digits."""
    symbols = ",".join(pair.symbol for pair in market)
    async with client.session.get(f"{client.url}/mock/tickers?symbols={symbols}") as response:
        text = await response.text()
    numbers = re.findall(r'"(?:price|volume)":([^,}]*)', text)
    assert len(numbers) == 2000
    assert all(re.fullmatch(r"(0|[1-9]\d*)(\.\d+)?", figure) for figure in numbers)
    assert all(len(figure.replace(".", "").strip("0")) <= 10 for figure in numbers)
    assert re.search(r'"symbol":"shibusdt","price":0\.00001', text)


async def test_a_bad_symbol_costs_only_itself(client: Client) -> None:
    """Known symbols are answered once each, at one time, and the others named."""
    status, body = await client.get("/mock/tickers?symbols=btcusdt,zzz,,ETHUSDT,btcusdt,%22%C3%A9")
    assert status == 200
    assert [ticker["symbol"] for ticker in body["tickers"]] == ["btcusdt", "ethusdt"]
    assert len({ticker["timestamp"] for ticker in body["tickers"]}) == 1
    assert body["unknown"] == ["zzz", '"é']


@pytest.mark.parametrize("query", ["", "?symbols=", "?symbols=,,", "?symbols=" + ",".join(["a"] * 1001)])
async def test_no_symbols_or_too_many_are_refused(client: Client, query: str) -> None:
    """400 for no symbol and for more than 1000."""
    status, body = await client.get("/mock/tickers" + query)
    assert status == 400
    assert "symbols" in body["msg"]


@pytest.mark.parametrize(
    ("method", "path", "status", "msg"),
    [
        ("GET", "/mock/ticker/zzz", 404, "Asset not found"),
        ("GET", "/mock/ticker/", 404, "Asset not found"),
        ("GET", "/mock/ticker/btc%2Fusdt", 404, "Asset not found"),
        ("GET", "/mock/ticker/%FF%00", 404, "Asset not found"),
        ("GET", "/mock/nothing", 404, "Not found"),
        ("GET", "/", 404, "Not found"),
        ("POST", BTC, 405, "Method not allowed"),
        ("DELETE", "/mock/faults", 405, "Method not allowed"),
        ("PUT", "/health", 405, "Method not allowed"),
    ],
)
async def test_errors_are_json(client: Client, method: str, path: str, status: int, msg: str) -> None:
    """Every error is `{"msg": ...}`."""
    answer = await client.call(method, path)
    assert answer[:2] == (status, {"msg": msg})


async def test_health(client: Client) -> None:
    """The health of a mock exchange is 200 OK, whatever its faults."""
    await client.faults(error_rate=1, drop_rate=1)
    async with client.session.get(client.url + "/health") as response:
        assert (response.status, await response.text()) == (200, "OK")


async def test_faults_are_replaced_and_shown(client: Client) -> None:
    """PUT returns all active faults, GET the same; the returned object can be PUT again."""
    put = await client.faults(error_rate=0.5, status=503)
    assert (put["error_rate"], put["status"], put["rate_limit"]) == (0.5, 503, None)
    assert await client.get("/mock/faults") == (200, put)
    assert await client.faults(**put) == put
    assert (await client.faults(latency_ms=1))["error_rate"] == 0


async def test_wrong_faults_change_nothing(client: Client) -> None:
    """400 names every mistake; the active faults stay."""
    before = await client.faults(price_factor=2)
    status, body, _ = await client.call("PUT", "/mock/faults", json={"error_rate": 2, "colour": 1, "status": 418})
    assert status == 400
    assert "error_rate" in body["msg"]
    assert "colour" in body["msg"]
    assert await client.get("/mock/faults") == (200, before)
    assert (await client.call("PUT", "/mock/faults", data=io.BytesIO(b"x" * 2_000_000)))[0] == 413


async def test_error_rate(client: Client) -> None:
    """A rate of 1 gives every call the status; a rate of 0.5 only some calls."""
    await client.faults(error_rate=1, status=503)
    assert (await client.get(BTC))[0] == 503
    assert (await client.get("/mock/tickers?symbols=btcusdt"))[0] == 503
    await client.faults(error_rate=0.5)
    statuses = [(await client.get(BTC))[0] for _ in range(60)]
    assert set(statuses) == {200, 500}


async def test_latency(client: Client) -> None:
    """Every answer takes the latency; two calls at once do not add up."""
    await client.faults(latency_ms=300)
    began = time.monotonic()
    answers = await asyncio.gather(client.get(BTC), client.get(BTC))
    assert [status for status, _ in answers] == [200, 200]
    assert 0.3 <= time.monotonic() - began < allowed(0.6)


async def test_garbage(client: Client) -> None:
    """The status is 200, the body is not JSON."""
    await client.faults(garbage_rate=1)
    async with client.session.get(client.url + BTC) as response:
        assert response.status == 200
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(await response.read())


async def test_price_factor(client: Client, market: Market) -> None:
    """The price is that of the market times the factor."""
    await client.faults(price_factor=3.0)
    _, body = await client.get("/mock/tickers?symbols=btcusdt")
    ticker = body["tickers"][0]
    assert ticker["price"] == float(market.venue_ticker("exchange1", "btcusdt", ticker["timestamp"]).price * 3)


@pytest.mark.parametrize("text", ["-1", "0", "1e400", "NaN"])
async def test_price(client: Client, text: str) -> None:
    """Both endpoints write the given text as the price; null restores the prices."""
    await client.faults(price=text, price_factor=2)
    for path in (BTC, "/mock/tickers?symbols=btcusdt,ethusdt"):
        async with client.session.get(client.url + path) as response:
            said = re.findall(r'"price":([^,]*),', await response.text())
        assert said == [text] * (1 if path == BTC else 2)
    await client.faults(price=None)
    assert (await client.get(BTC))[1]["price"] > 0


async def test_clock_ahead(client: Client, market: Market) -> None:
    """The ticker has the time and the price of an hour later."""
    await client.faults(clock_ahead=3600)
    async with client.session.get(client.url + BTC) as response:
        body = json.loads(await response.read(), parse_float=Decimal)
    assert abs(float(body["timestamp"]) - 3600 - time.time()) < DEADLINE
    assert market.venue_ticker("exchange1", "btcusdt", float(body["timestamp"])).price == body["price"]


async def test_freeze_clock(client: Client) -> None:
    """Time and price do not change while the fault is active, and do so afterwards."""
    await client.faults(freeze_clock=True)
    _, first = await client.get(BTC)
    await client.faults(freeze_clock=True, latency_ms=50)
    assert await client.get(BTC) == (200, first)
    await client.faults()
    assert (await client.get(BTC))[1]["timestamp"] > first["timestamp"]


async def test_drop(client: Client) -> None:
    """The connection is reset without an answer."""
    await client.faults(drop_rate=1)
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await client.get(BTC)
    assert (await client.get("/mock/faults"))[0] == 200


async def test_hang(client: Client) -> None:
    """A call waits until its client gives up; other calls are answered."""
    await client.faults(hang_rate=1)
    with pytest.raises(TimeoutError):
        await client.session.get(client.url + BTC, timeout=aiohttp.ClientTimeout(total=0.2))
    await client.faults()
    assert (await client.get(BTC))[0] == 200


async def test_rate_limit(client: Client) -> None:
    """Calls above the limit get 429 with Retry-After; other endpoints have no limit."""
    await client.faults(rate_limit=0)
    status, body, response = await client.call("GET", BTC)
    assert (status, body) == (429, {"msg": "Too many requests"})
    assert response.headers["Retry-After"] == "1"
    await client.faults(rate_limit=1000)
    assert (await client.get(BTC))[0] == 200
