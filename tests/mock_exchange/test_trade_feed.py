"""The trades of the mock exchange: its WebSocket feed, and the last ones in answer to a call."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from mock_exchange.market import Market
from mock_exchange.trade_feed import MOST_IN_FRAME
from mock_exchange.trades import IDS, Trade, TradeMaker
from tests.mock_exchange.conftest import DEADLINE, Client, Process, Start
from tests.mock_exchange.subscriber import ONE, SECONDS, TRADES, TWO, Message, Subscriber, connected
from tests.parts.limits import allowed

RATE = 400
BOTH = f"{TRADES}?symbols={ONE},{TWO}"

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def exchange(start: Start) -> Process:
    """Run one exchange for all tests of the module, with some hundred trades of the first pairs a second."""
    return start("--seed", "7", "--trades-per-second", str(RATE))


@pytest.fixture
async def subscriber(client: Client) -> AsyncIterator[Subscriber]:
    """Return a subscriber to the trades of two symbols."""
    async with connected(client.session, client.url, TRADES) as subscriber:
        await subscriber.send("subscribe", ONE, TWO)
        yield subscriber


@pytest.fixture(scope="module")
def maker(market: Market) -> TradeMaker:
    """Return what makes the same trades as the exchange."""
    return TradeMaker(7, "exchange1", market, RATE)


def made(maker: TradeMaker, message: Message, factor: float = 1.0) -> Trade | None:
    """Return the trade of the market with the id of a message; None if there is none."""
    number = int(message["id"])
    return next((trade for trade in maker.made(number // IDS, factor, lambda t: t) if trade.id == number), None)


def is_made(maker: TradeMaker, message: Message, factor: float = 1.0) -> bool:
    """Return whether a message is a trade of the market with every digit, made at `factor` times the rate."""
    trade = made(maker, message, factor)
    if trade is None:
        return False
    figures = (trade.symbol, trade.price, trade.volume, trade.side)
    same = figures == tuple(message[name] for name in ("symbol", "price", "volume", "side"))
    return same and abs(float(message["timestamp"]) - trade.timestamp) < 1e-6


async def test_trades_are_those_of_the_market(subscriber: Subscriber, maker: TradeMaker) -> None:
    """Every digit, at the current time; a receipt comes first. Ids grow, and each trade comes once."""
    await subscriber.until(lambda: len(subscriber.trades) >= 100)
    assert subscriber.others == [{"type": "subscribed", "symbols": [ONE, TWO]}]
    for one in subscriber.trades:
        assert list(one) == ["id", "symbol", "price", "volume", "side", "timestamp"]
        assert is_made(maker, one)
        assert abs(float(one["timestamp"]) - time.time()) < DEADLINE
    ids = [int(one["id"]) for one in subscriber.trades]
    assert ids == sorted(set(ids))
    assert {one["symbol"] for one in subscriber.trades} == {ONE, TWO}


async def test_symbols_come_and_go(subscriber: Subscriber) -> None:
    """After an unsubscription no trade of the symbol follows; an unknown symbol has an error of its own."""
    await subscriber.send("unsubscribe", ONE)
    await subscriber.send("subscribe", "zzz")
    await subscriber.until(lambda: len(subscriber.others) == 4)
    assert subscriber.others[1:] == [
        {"type": "unsubscribed", "symbols": [ONE]},
        {"type": "subscribed", "symbols": []},
        {"type": "error", "symbol": "zzz", "msg": "Asset not found"},
    ]
    subscriber.frames.clear()
    await subscriber.until(lambda: len(subscriber.trades) >= 20)
    assert {one["symbol"] for one in subscriber.trades} == {TWO}


async def test_a_call_fills_a_gap(client: Client, subscriber: Subscriber) -> None:
    """Whatever the feed sent is in the answer to a later call, oldest first; so is what came in between."""
    await subscriber.until(lambda: len(subscriber.trades) >= 20)
    status, body = await client.get(BOTH)
    assert status == 200
    assert list(body) == ["trades"]
    ids = [one["id"] for one in body["trades"]]
    assert ids == sorted(ids, key=int)
    pushed = [one["id"] for one in subscriber.trades]
    assert ids[ids.index(pushed[0]) :][: len(pushed)] == pushed
    await subscriber.until(lambda: int(subscriber.trades[-1]["id"]) >= int(ids[-1]))
    later = [one["id"] for one in subscriber.trades if int(one["id"]) <= int(ids[-1])]
    assert ids[ids.index(pushed[0]) :] == later


async def test_trades_are_made_without_a_connection(client: Client) -> None:
    """A call finds newer ones each time, of the named symbols only."""
    _, first = await client.get(f"{TRADES}?symbols={ONE}&limit=1")
    async with asyncio.timeout(SECONDS):
        while True:
            _, body = await client.get(f"{TRADES}?symbols={ONE.upper()}&limit=1")
            if body["trades"] and body["trades"] != first["trades"]:
                break
            await asyncio.sleep(0.05)
    (found,) = body["trades"]
    assert found["symbol"] == ONE


async def test_a_call_is_bounded(client: Client) -> None:
    """It has the last trades of each symbol, at most as many as asked for, and a thousand at most."""
    await client.faults(trade_rate=10)
    async with asyncio.timeout(SECONDS):
        while len(found := (await client.get(f"{TRADES}?symbols={ONE}"))[1]["trades"]) < 1000:
            await asyncio.sleep(0.1)
    assert len(found) == 1000
    _, body = await client.get(f"{BOTH}&limit=7")
    assert sorted(one["symbol"] for one in body["trades"]) == [ONE] * 7 + [TWO] * 7
    assert int(body["trades"][0]["id"]) > int(found[0]["id"])


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("", "symbols"),
        ("?symbols=,", "symbols"),
        ("?symbols=" + ",".join(["a"] * 1001), "symbols"),
        ("?symbols=a&limit=0", "limit"),
        ("?symbols=a&limit=1001", "limit"),
        ("?symbols=a&limit=-1", "limit"),
        ("?symbols=a&limit=", "limit"),
        ("?symbols=a&limit=1.0", "limit"),
        ("?symbols=a&limit=" + "9" * 5000, "limit"),
    ],
)
async def test_a_wrong_call_is_refused(client: Client, query: str, word: str) -> None:
    """400 names the parameter."""
    status, body = await client.get(TRADES + query)
    assert status == 400
    assert word in body["msg"]


async def test_unknown_symbols_have_no_trades(client: Client) -> None:
    """They are no error: the pair may be listed elsewhere."""
    assert await client.get(f"{TRADES}?symbols=zzz") == (200, {"trades": []})
    assert (await client.call("POST", TRADES))[0] == 405


async def test_a_signal_ends_the_connections(start: Start) -> None:
    """The reader gets a close frame, and the process stops at once."""
    process = start("--trades-per-second", str(RATE))
    async with aiohttp.ClientSession() as session, connected(session, process.url, TRADES) as subscriber:
        await subscriber.send("subscribe", ONE)
        await subscriber.until(lambda: bool(subscriber.trades))
        began = time.monotonic()
        process.child.send_signal(signal.SIGTERM)
        assert await subscriber.ended() == aiohttp.WSCloseCode.GOING_AWAY
        assert await asyncio.to_thread(process.ended) == (0, "", "")
        assert time.monotonic() - began < allowed(2)


async def test_a_process_that_stood_still(start: Start, market: Market) -> None:
    """It makes up for the trades of a short pause, in frames of at most 500; none is missing."""
    rate = 2000
    process = start("--seed", "7", "--trades-per-second", str(rate))
    async with aiohttp.ClientSession() as session, connected(session, process.url, TRADES) as subscriber:
        await subscriber.send("subscribe", *(pair.symbol for pair in market))
        await subscriber.until(lambda: bool(subscriber.trades))
        process.child.send_signal(signal.SIGSTOP)
        await asyncio.sleep(1)  # the pause: 2,000 trades
        process.child.send_signal(signal.SIGCONT)
        await subscriber.until(lambda: any(len(frame) == MOST_IN_FRAME for frame in subscriber.frames))
    assert max(map(len, subscriber.frames)) == MOST_IN_FRAME
    found = [int(one["id"]) for one in subscriber.trades]
    maker = TradeMaker(7, "exchange1", market, rate)
    blocks = range(found[0] // IDS, found[-1] // IDS + 1)
    sent = [trade.id for block in blocks for trade in maker.made(block, 1, lambda t: t)]
    assert found == sent[sent.index(found[0]) : sent.index(found[-1]) + 1]
