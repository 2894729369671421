"""Every fault on the WebSocket feed of the mock exchange."""

import asyncio
import time
from decimal import Decimal
from itertools import pairwise

import aiohttp
import pytest

from mock_exchange.market import Market
from tests.mock_exchange.conftest import PUSH_MS, Client
from tests.mock_exchange.subscriber import ONE, PATH, SECONDS, Message, Subscriber, connected

pytestmark = pytest.mark.real

PERIOD = PUSH_MS / 1000  # seconds


async def test_price_factor_and_price(client: Client, subscriber: Subscriber, market: Market) -> None:
    """A factor changes the price, a text replaces it, even if it is no number."""
    await client.faults(price_factor=2)
    await subscriber.until(lambda: _factor(subscriber.tickers[-1], market) == 2)
    await client.faults(price="-1")
    await subscriber.until(lambda: bool(subscriber.tickers[-1]["price"] == -1))
    await client.faults(price="1e")
    await subscriber.until(lambda: len(subscriber.junk) > 1)
    assert all('"price":1e,' in text for text in subscriber.junk)


def _factor(ticker: Message, market: Market) -> Decimal:
    sound = market.venue_ticker("exchange1", ticker["symbol"], float(ticker["timestamp"])).price
    return Decimal(ticker["price"]) / sound


async def test_clock_ahead_and_frozen(client: Client, subscriber: Subscriber) -> None:
    """Times are ahead, or do not move; the sequence grows all the same."""
    await client.faults(clock_ahead=3600)
    await subscriber.until(lambda: float(subscriber.tickers[-1]["timestamp"]) > time.time() + 3000)
    await client.faults(freeze_clock=True)
    await subscriber.until(lambda: float(subscriber.tickers[-1]["timestamp"]) < time.time() + 3000)
    count = len(subscriber.tickers)
    await subscriber.until(lambda: len(subscriber.tickers) >= count + 6)
    frozen = subscriber.tickers[count:]
    assert len({one["timestamp"] for one in frozen}) == 1
    assert len({one["sequence"] for one in frozen}) > 1


async def test_garbage(client: Client, subscriber: Subscriber) -> None:
    """Tickers become texts that are not JSON; a new connection is accepted meanwhile."""
    await client.faults(garbage_rate=1)
    await subscriber.until(lambda: len(subscriber.junk) >= 3)
    async with connected(client.session, client.url) as second:
        await second.send("subscribe", ONE)
        await second.until(lambda: len(second.junk) >= 2)
        assert second.tickers == []


async def test_duplicates(client: Client, subscriber: Subscriber) -> None:
    """Each ticker comes twice."""
    await client.faults(duplicate_rate=1)
    await subscriber.until(lambda: subscriber.tickers[-1] in subscriber.tickers[:-1])
    count = len(subscriber.tickers)
    await subscriber.tickers_of(ONE, sum(one["symbol"] == ONE for one in subscriber.tickers) + 6)
    found = [one["sequence"] for one in subscriber.tickers[count:] if one["symbol"] == ONE]
    assert len(found) >= 2 * len(set(found)) - 2  # the first or the last of a pair may be missing


async def test_reordered(client: Client, subscriber: Subscriber) -> None:
    """Each second ticker of a symbol comes before the first one."""
    await client.faults(reorder_rate=1)
    count = len(await subscriber.tickers_of(ONE, 1))
    found = [one["sequence"] for one in (await subscriber.tickers_of(ONE, count + 8))[count + 2 :]]
    steps = [after - before for before, after in pairwise(found)]
    assert any(step < 0 for step in steps)
    assert any(step > 0 for step in steps)


async def test_a_flood(client: Client, subscriber: Subscriber) -> None:
    """Each ticker comes as often as the fault says."""
    await client.faults(flood=30)
    await subscriber.until(lambda: subscriber.tickers[-30:].count(subscriber.tickers[-1]) == 30)
    last = subscriber.tickers[-1]
    await subscriber.until(lambda: subscriber.tickers[-1] != last)
    assert subscriber.tickers.count(last) == 31


async def test_latency(client: Client, subscriber: Subscriber) -> None:
    """A ticker comes that much later than its time."""
    await client.faults(latency_ms=400)
    await subscriber.until(lambda: time.time() - float(subscriber.tickers[-1]["timestamp"]) > 0.39)


async def test_drop(client: Client, subscriber: Subscriber) -> None:
    """Connections are reset without a close frame, and new ones refused."""
    await client.faults(drop_rate=1)
    assert await subscriber.ended() is None
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await client.session.ws_connect(client.url + PATH)


async def test_error(client: Client, subscriber: Subscriber) -> None:
    """Connections are closed with a code, and new ones refused with the status."""
    await client.faults(error_rate=1, status=503)
    assert await subscriber.ended() == aiohttp.WSCloseCode.INTERNAL_ERROR
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await client.session.ws_connect(client.url + PATH)
    assert caught.value.status == 503


async def test_rate_limit(client: Client) -> None:
    """A handshake above the limit gets 429 with Retry-After."""
    await client.faults(rate_limit=0)
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await client.session.ws_connect(client.url + PATH)
    assert caught.value.status == 429
    assert caught.value.headers is not None
    assert caught.value.headers["Retry-After"] == "1"


async def test_hang(client: Client, subscriber: Subscriber) -> None:
    """The connection goes mute and stays open: neither tickers nor receipts come."""
    await client.faults(hang_rate=1)
    async with asyncio.timeout(SECONDS):
        while await _next(subscriber.socket, 6 * PERIOD) is not None:
            pass
    await subscriber.send("unsubscribe", ONE)
    assert await _next(subscriber.socket, 6 * PERIOD) is None
    assert not subscriber.socket.closed


async def _next(socket: aiohttp.ClientWebSocketResponse, seconds: float) -> object:
    """Return the next message; None if none comes."""
    try:
        return await socket.receive(seconds)
    except TimeoutError:
        return None


@pytest.mark.parametrize("digits", [1, 1000, 70_000])
async def test_frames_of_every_length(client: Client, subscriber: Subscriber, digits: int) -> None:
    """A length below 126, below 65,536 and above, which a frame writes in three ways."""
    await client.faults(price="1" * digits)
    await subscriber.until(lambda: str(subscriber.tickers[-1]["price"]) == "1" * digits)
