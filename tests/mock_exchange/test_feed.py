"""The WebSocket feed of the mock exchange: subscriptions, bounds, and the end of a connection."""

import asyncio
import signal
import time

import aiohttp
import pytest
from yarl import URL

from mock_exchange.connections import MOST_SYMBOLS
from mock_exchange.market import Market
from tests.mock_exchange.conftest import DEADLINE, PUSH_MS, Client, Start
from tests.mock_exchange.subscriber import ONE, SECONDS, TWO, Subscriber, connected
from tests.parts.limits import allowed

pytestmark = pytest.mark.real

PERIOD = PUSH_MS / 1000  # seconds


async def test_a_subscription_brings_a_receipt_and_tickers(subscriber: Subscriber, market: Market) -> None:
    """Each has the quote of the market at its time, with every digit, and a sequence that grows."""
    found = await subscriber.tickers_of(ONE, 5)
    assert subscriber.others == [{"type": "subscribed", "symbols": [ONE, TWO]}]
    for one in found:
        assert list(one) == ["type", "sequence", "symbol", "price", "volume", "timestamp"]
        assert market.venue_ticker("exchange1", ONE, float(one["timestamp"])) == (one["price"], one["volume"])
        assert abs(float(one["timestamp"]) - time.time()) < DEADLINE
    sequences = [one["sequence"] for one in found]
    assert sequences == sorted(set(sequences))


async def test_each_symbol_comes_once_in_a_period(subscriber: Subscriber) -> None:
    """Two symbols have the same number of tickers, but for the one that is on its way."""
    counts = {symbol: len(await subscriber.tickers_of(symbol, 20)) for symbol in (ONE, TWO)}
    assert abs(counts[ONE] - counts[TWO]) <= 2
    first, last = (float(subscriber.tickers[index]["timestamp"]) for index in (0, -1))
    assert last - first > 15 * PERIOD


async def test_symbols_come_and_go(subscriber: Subscriber) -> None:
    """After an unsubscription no ticker follows its receipt; the receipt names what was subscribed to."""
    await subscriber.send("unsubscribe", ONE, "zzz")
    await subscriber.until(lambda: len(subscriber.others) == 2)
    assert subscriber.others[1] == {"type": "unsubscribed", "symbols": [ONE]}
    subscriber.tickers.clear()
    await subscriber.tickers_of(TWO, 3)
    assert {one["symbol"] for one in subscriber.tickers} == {TWO}


async def test_an_unknown_symbol_costs_only_itself(client: Client) -> None:
    """It has an error of its own, and the others are pushed."""
    async with connected(client.session, client.url) as subscriber:
        await subscriber.send("subscribe", "zzz", "BtcUsdt", "", '"é')
        await subscriber.tickers_of(ONE, 1)
        receipt, *errors = subscriber.others
        assert receipt == {"type": "subscribed", "symbols": [ONE]}
        assert errors == [{"type": "error", "symbol": name, "msg": "Asset not found"} for name in ("zzz", "", '"é')]


async def test_subscriptions_are_bounded(client: Client, market: Market) -> None:
    """A message may name a thousand symbols; the whole market has as many, so the next one is refused."""
    symbols = [pair.symbol for pair in market]
    assert len(symbols) == MOST_SYMBOLS
    async with connected(client.session, client.url) as subscriber:
        await subscriber.send("subscribe", *symbols, ONE)
        await subscriber.until(lambda: len(subscriber.others) == 1)
        assert subscriber.others[0]["type"] == "error"
        assert "1000" in subscriber.others[0]["msg"]
        await subscriber.send("subscribe", *symbols)
        await subscriber.until(lambda: len({one["symbol"] for one in subscriber.tickers}) == MOST_SYMBOLS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "{}",
        '{"op":"subscribe"}',
        '{"op":"nope","symbols":[]}',
        '{"op":"subscribe","symbols":[1]}',
        '{"x":' + "[" * 5000,
    ],
)
async def test_a_message_that_is_not_understood(subscriber: Subscriber, text: str) -> None:
    """It is answered with an error, and the tickers go on."""
    await subscriber.socket.send_str(text)
    await subscriber.until(lambda: len(subscriber.others) == 2)
    assert subscriber.others[1]["type"] == "error"
    assert subscriber.others[1]["msg"].startswith("The message is not understood: ")
    before = len(subscriber.tickers)
    await subscriber.until(lambda: len(subscriber.tickers) > before)


async def test_a_message_too_large_ends_the_connection(subscriber: Subscriber) -> None:
    """The close frame says why."""
    await subscriber.socket.send_str("x" * 70_000)
    assert await subscriber.ended() == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_a_reader_that_reads_nothing_is_cut_off(client: Client) -> None:
    """Once some megabytes wait for it, its connection is reset; other readers are served."""
    await client.faults(flood=1000)
    reader, writer = await _opened_by_hand(client)
    writer.write(_masked('{"op":"subscribe","symbols":["btcusdt","ethusdt","solusdt","xrpusdt"]}'))
    deadline = time.monotonic() + SECONDS
    while not writer.transport.is_closing():
        assert time.monotonic() < deadline
        writer.write(_masked("{}"))  # fails once the other side has closed; what waits in `reader` is not read
        await asyncio.sleep(PERIOD)
    assert not reader.at_eof()
    writer.close()
    await client.faults()
    async with connected(client.session, client.url) as other:
        await other.send("subscribe", ONE)
        await other.tickers_of(ONE, 1)


async def _opened_by_hand(client: Client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Make a handshake over a plain connection, which stops reading once a little is unread."""
    url = URL(client.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    headers = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    writer.write(f"GET /mock/ws HTTP/1.1\r\nHost: {url.host}\r\n{headers}{key}\r\n".encode())
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def _masked(text: str) -> bytes:
    """Return a client's frame of a short text, with a mask of zeros."""
    payload = text.encode()
    return bytes((0x81, 0x80 | len(payload))) + bytes(4) + payload


async def test_a_call_without_a_handshake(client: Client) -> None:
    """It is refused like other wrong calls."""
    assert await client.get("/mock/ws") == (400, {"msg": "Open a WebSocket here"})
    assert (await client.call("POST", "/mock/ws"))[0] == 405


async def test_two_readers_get_the_same_frames(client: Client, subscriber: Subscriber) -> None:
    """A ticker is made once for all connections."""
    async with connected(client.session, client.url) as second:
        await second.send("subscribe", ONE)
        theirs = await second.tickers_of(ONE, 5)
        sequence = theirs[-1]["sequence"]
        await subscriber.until(lambda: any(one["sequence"] == sequence for one in subscriber.tickers))
        ours = [one for one in subscriber.tickers if one["symbol"] == ONE]
        assert [one for one in ours if one["sequence"] >= theirs[0]["sequence"]][:5] == theirs


async def test_a_signal_ends_the_connections(start: Start) -> None:
    """The reader gets a close frame, and the process stops at once."""
    process = start("--push-ms", str(PUSH_MS))
    async with aiohttp.ClientSession() as session, connected(session, process.url) as subscriber:
        await subscriber.send("subscribe", ONE)
        await subscriber.tickers_of(ONE, 1)
        began = time.monotonic()
        process.child.send_signal(signal.SIGTERM)
        assert await subscriber.ended() == aiohttp.WSCloseCode.GOING_AWAY
        assert await asyncio.to_thread(process.ended) == (0, "", "")
        assert time.monotonic() - began < allowed(2)
