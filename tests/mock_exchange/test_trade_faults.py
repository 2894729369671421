"""Every fault of the mock exchange's trades."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from itertools import pairwise

import aiohttp
import pytest

from mock_exchange.market import Market
from mock_exchange.trades import IDS, TICK, TradeMaker
from tests.mock_exchange.conftest import Client, Process, Start
from tests.mock_exchange.subscriber import ONE, SECONDS, TRADES, TWO, Message, Subscriber, connected

pytestmark = pytest.mark.real

RATE = 200
LATE = 1.5  # seconds


@pytest.fixture(scope="module")
def exchange(start: Start) -> Process:
    """Run one exchange for all tests of the module."""
    return start("--seed", "7", "--trades-per-second", str(RATE))


@pytest.fixture
async def subscriber(client: Client) -> AsyncIterator[Subscriber]:
    """Return a subscriber to the trades of two symbols that has had some."""
    async with connected(client.session, client.url, TRADES) as subscriber:
        await subscriber.send("subscribe", ONE, TWO)
        await subscriber.until(lambda: bool(subscriber.trades))
        yield subscriber


async def newer(subscriber: Subscriber, count: int) -> list[Message]:
    """Return so many trades at least that were made from now on; forget earlier frames."""
    since = time.time()
    subscriber.frames.clear()

    def found() -> list[Message]:
        return [one for one in subscriber.trades if int(one["id"]) // IDS > since * 20]

    await subscriber.until(lambda: len(found()) >= count)
    return found()


async def test_a_burst(client: Client, subscriber: Subscriber, market: Market) -> None:
    """A factor of 10 makes ten times the trades."""
    await client.faults(trade_rate=10)
    maker = TradeMaker(7, "exchange1", market, RATE)
    for one in await newer(subscriber, 100):
        burst = maker.made(int(one["id"]) // IDS, 10, lambda t: t)
        assert any(trade.id == int(one["id"]) and trade.price == one["price"] for trade in burst)


async def test_silence(client: Client, subscriber: Subscriber) -> None:
    """A factor of 0 makes none, and 1 as many as before."""
    await client.faults(trade_rate=0)
    path = f"{TRADES}?symbols={ONE},{TWO}"
    async with asyncio.timeout(SECONDS):
        last = None
        while last != (last := (await client.get(path))[1]):
            await asyncio.sleep(0.5)
    await client.faults()
    await newer(subscriber, 10)


async def test_duplicates(client: Client, subscriber: Subscriber) -> None:
    """Each trade comes twice, the second time in a later frame."""
    await client.faults(trade_duplicates=1)
    found = await newer(subscriber, 60)
    counts = Counter(one["id"] for one in found)
    last = {one["id"] for one in subscriber.frames[-1]}
    assert all(count == 2 for number, count in counts.items() if number not in last)
    assert 2 in counts.values()
    for trades in subscriber.frames:
        assert len({one["id"] for one in trades}) == len(trades)
    twice = [[one for one in found if one["id"] == number] for number, count in counts.items() if count == 2]
    assert all(first == second for first, second in twice)


async def test_late(client: Client, subscriber: Subscriber) -> None:
    """A share of the trades comes late, with the time at which it was made; a call has it in time."""
    await client.faults(trade_late=0.5, trade_late_seconds=LATE)
    began = time.time()
    await newer(subscriber, 200)
    while time.time() < began + 2 * LATE:
        await newer(subscriber, 10)
    subscriber.frames.clear()
    await subscriber.until(lambda: len(subscriber.trades) >= 100)
    steps = [float(after["timestamp"] - before["timestamp"]) for before, after in pairwise(subscriber.trades)]
    assert min(steps) < -LATE + 0.5


async def test_all_late(client: Client, subscriber: Subscriber) -> None:
    """With a share of 1, no trade comes before its time."""
    await client.faults(trade_late=1, trade_late_seconds=LATE)
    for one in await newer(subscriber, 20):
        assert time.time() - float(one["timestamp"]) > LATE
    _, body = await client.get(f"{TRADES}?symbols={ONE},{TWO}")
    kept = {one["id"] for one in body["trades"]}
    assert kept > {one["id"] for one in subscriber.trades if int(one["id"]) // IDS > time.time() * 20 - 60}


async def test_invalid_trades(client: Client, subscriber: Subscriber) -> None:
    """Each frame has one besides the sound ones: a price of 0, none, or an unknown symbol, with an id of its own."""
    await client.faults(trade_garbage=1)
    await newer(subscriber, 10)
    subscriber.frames.clear()
    await subscriber.until(lambda: len(subscriber.frames) >= 6)
    kinds: Counter[str] = Counter()
    for trades in subscriber.frames:
        kinds[what_is_wrong(trades[-1])] += 1
        assert len(trades) > 1
        assert [what_is_wrong(one) for one in trades[:-1]] == [""] * (len(trades) - 1)
    assert kinds == {"price": 2, "missing": 2, "symbol": 2}
    ids = [one["id"] for one in subscriber.trades]
    assert len(set(ids)) == len(ids)


def what_is_wrong(trade: Message) -> str:
    """Return what is wrong with a trade; empty if nothing is."""
    if "price" not in trade:
        return "missing"
    if trade["symbol"] not in (ONE, TWO):
        return "symbol"
    return "" if trade["price"] > 0 else "price"


async def test_garbage(client: Client, subscriber: Subscriber) -> None:
    """Frames become texts that are not JSON."""
    await client.faults(garbage_rate=1)
    await subscriber.until(lambda: len(subscriber.junk) >= 3)


async def test_price_factor_and_price(client: Client, subscriber: Subscriber, market: Market) -> None:
    """A factor changes the price; a text replaces it on the feed, but not in the answer to a call."""
    await client.faults(price_factor=2)
    for one in await newer(subscriber, 10):
        sound, _ = market.venue_figures("exchange1", one["symbol"], float(one["timestamp"]))
        assert abs(float(one["price"]) / sound - 2) < 20 * TICK
    await client.faults(price="1e")
    await subscriber.until(lambda: len(subscriber.junk) > 1)
    assert all('"price":1e,' in text for text in subscriber.junk)
    status, body = await client.get(f"{TRADES}?symbols={ONE}")
    assert status == 200
    assert all(one["price"] > 0 for one in body["trades"])


async def test_clock_ahead_and_frozen(client: Client, subscriber: Subscriber, market: Market) -> None:
    """Times are ahead, with the prices of that time, or do not move; ids grow all the same."""
    await client.faults(clock_ahead=3600)
    for one in await newer(subscriber, 10):
        assert float(one["timestamp"]) > time.time() + 3000
        sound, _ = market.venue_figures("exchange1", one["symbol"], float(one["timestamp"]))
        assert abs(float(one["price"]) / sound - 1) < 10 * TICK
    await client.faults(freeze_clock=True)
    frozen = await newer(subscriber, 10)
    assert len({one["timestamp"] for one in frozen}) == 1
    assert len({one["id"] for one in frozen}) == len(frozen)


async def test_latency(client: Client, subscriber: Subscriber) -> None:
    """A trade comes that much later than its time."""
    await client.faults(latency_ms=400)
    for one in (await newer(subscriber, 10))[-5:]:
        assert time.time() - float(one["timestamp"]) > 0.39


async def test_drop(client: Client, subscriber: Subscriber) -> None:
    """Connections are reset without a close frame, and new ones and calls refused."""
    await client.faults(drop_rate=1)
    assert await subscriber.ended() is None
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await client.session.ws_connect(client.url + TRADES)
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await client.get(f"{TRADES}?symbols={ONE}")


async def test_error(client: Client, subscriber: Subscriber) -> None:
    """Connections are closed with a code, and calls answered with the status."""
    await client.faults(error_rate=1, status=503)
    assert await subscriber.ended() == aiohttp.WSCloseCode.INTERNAL_ERROR
    assert (await client.get(f"{TRADES}?symbols={ONE}"))[0] == 503


async def test_rate_limit(client: Client) -> None:
    """Handshakes and calls above the limit get 429."""
    await client.faults(rate_limit=0)
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await client.session.ws_connect(client.url + TRADES)
    assert caught.value.status == 429
    assert (await client.get(f"{TRADES}?symbols={ONE}"))[0] == 429


async def test_hang(client: Client, subscriber: Subscriber) -> None:
    """The connection goes mute and stays open."""
    await client.faults(hang_rate=1)
    async with asyncio.timeout(SECONDS):
        while await _next(subscriber.socket, 0.5) is not None:
            pass
    assert not subscriber.socket.closed


async def _next(socket: aiohttp.ClientWebSocketResponse, seconds: float) -> object:
    """Return the next message; None if none comes."""
    try:
        return await socket.receive(seconds)
    except TimeoutError:
        return None
