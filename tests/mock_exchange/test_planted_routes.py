"""The plants of a mock exchange as a process: the schedule, the trades, the news, and their faults."""

import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from mock_exchange.market import Market
from mock_exchange.plants import Plants
from mock_exchange.symbols import open_planted
from mock_exchange.trades import IDS, TradeMaker
from tests.mock_exchange.conftest import DEADLINE, ROOT, Client, Process, Start
from tests.mock_exchange.subscriber import TRADES, connected

RATE = 400
BUSY = 10
PLANTS, NEWS = "/mock/plants", "/mock/news"

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def exchange(start: Start) -> Process:
    """Run one exchange with plants for all tests of the module."""
    return start("--seed", "7", "--plants", str(BUSY), "--trades-per-second", str(RATE))


@pytest.fixture(scope="module")
def planted() -> tuple[Market, Plants]:
    """Return the market and the plants of the exchange."""
    return open_planted(7, ROOT / "symbols.csv", BUSY)


@pytest.fixture
async def other(start: Start) -> AsyncIterator[Client]:
    """Return a client of another exchange of the same market, whose plants are off."""
    timeout = aiohttp.ClientTimeout(total=DEADLINE)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        yield Client(session, start("--seed", "7").url)


async def test_the_schedule(client: Client, planted: tuple[Market, Plants]) -> None:
    """Every plant of the range, of the future too; without a range, of the last 600 s."""
    now = int(time.time())
    status, body = await client.get(f"{PLANTS}?since={now - 100}&until={now + 1000.5}")
    assert status == 200
    wanted = [
        plant._asdict() | {"symbols": list(plant.symbols)} for plant in planted[1].between(now - 100, now + 1000.5)
    ]
    assert body == {"plants": wanted}
    _, latest = await client.get(PLANTS)
    assert min(plant["end"] for plant in latest["plants"]) > now - 600
    assert time.time() - 20 < max(plant["start"] for plant in latest["plants"]) <= time.time()


@pytest.mark.parametrize(
    ("path", "word"),
    [
        (f"{PLANTS}?since=x", "since"),
        (f"{PLANTS}?since=", "since"),
        (f"{PLANTS}?since=-1", "since"),
        (f"{PLANTS}?since=1e9", "since"),
        (f"{PLANTS}?until=nan", "until"),
        (f"{PLANTS}?until=" + "9" * 5000, "until"),
        (f"{PLANTS}?since=1764400000&until=1764399999", "after since"),
        (f"{PLANTS}?since=1764400000&until=1764403601", "after since"),
        (f"{NEWS}?since=inf", "since"),
        (f"{NEWS}?since=%D9%A1", "since"),
    ],
)
async def test_a_wrong_call_is_refused(client: Client, path: str, word: str) -> None:
    """400 names the parameter."""
    status, body = await client.get(path)
    assert status == 400
    assert word in body["msg"]


async def test_trades_are_those_of_the_planted_market(client: Client, planted: tuple[Market, Plants]) -> None:
    """Pushed trades have the effects of the plants: every digit is that of the maker with the same plants."""
    market, plants = planted
    maker = TradeMaker(7, "exchange1", market, RATE, plants)
    async with connected(client.session, client.url, TRADES) as subscriber:
        await subscriber.send("subscribe", *(pair.symbol for pair in market))
        await subscriber.until(lambda: len(subscriber.trades) >= 1000)
    made = {
        str(trade.id): (trade.symbol, trade.price, trade.volume, trade.side)
        for block in {int(one["id"]) // IDS for one in subscriber.trades}
        for trade in maker.made(block, 1, lambda t: t)
    }
    for one in subscriber.trades:
        assert made[one["id"]] == tuple(one[name] for name in ("symbol", "price", "volume", "side"))


async def test_a_ticker_has_the_price_of_the_planted_market(client: Client, planted: tuple[Market, Plants]) -> None:
    """Of an asset with a drop, and of all others."""
    market, plants = planted
    drop = next(plant for plant in plants.between(time.time(), time.time() + 1) if plant.kind == "drop")
    for symbol in (drop.asset, "btcusdt"):
        _, body = await client.get(f"/mock/ticker/{symbol}")
        assert body["price"] == float(market.venue_ticker("exchange1", symbol, body["timestamp"]).price)


async def test_news(client: Client) -> None:
    """The articles until now, oldest first; `since` leaves out older ones."""
    status, body = await client.get(NEWS)
    assert status == 200
    found = body["articles"]
    assert list(found[0]) == ["id", "headline", "summary", "source", "url", "published_at", "symbols"]
    assert [one["published_at"] for one in found] == sorted(one["published_at"] for one in found)
    assert time.time() - 20 < found[-1]["published_at"] <= time.time()
    assert len(found) == 100
    since = found[-10]["published_at"]
    _, later = await client.get(f"{NEWS}?since={since}")
    assert later["articles"][:10] == found[-10:]


async def test_without_plants(other: Client) -> None:
    """By default nothing is planted, and there are no news."""
    assert await other.get(PLANTS) == (200, {"plants": []})
    assert await other.get(NEWS) == (200, {"articles": []})
    assert (await other.call("POST", NEWS))[0] == 405


async def test_faults_of_news(client: Client) -> None:
    """They affect news only; those of calls do not affect news."""
    await client.faults(error_rate=1, news_latency_ms=300)
    began = time.monotonic()
    assert (await client.get(NEWS))[0] == 200
    assert time.monotonic() - began >= 0.3
    await client.faults(news_error_rate=1)
    assert (await client.get(NEWS))[0] == 503
    assert (await client.get("/mock/ticker/btcusdt"))[0] == 200
    assert (await client.get(PLANTS))[0] == 200
    await client.faults(news_garbage_rate=1)
    async with client.session.get(client.url + NEWS) as response:
        assert response.status == 200
        assert (await response.read()).startswith(b"<html>")
