"""Frames that a feed must not believe are counted and never served."""

import pytest
from structlog.testing import capture_logs

from aggregator.exchanges.push.socket import MOST_BYTES
from aggregator.exchanges.registry import PUSHING
from tests.exchanges.push.scene import BTC, DOGE, Scene, until

pytestmark = pytest.mark.real

JUNK = [
    "",
    "not json",
    "[]",
    "null",
    "{}",
    '{"type":null}',
    "[" * 5000,
    '{"x":' + "[" * 5000 + "]" * 5000 + "}",
    '{"stream":"btcusdt@ticker","data":{}}',
    '{"stream":"btcusdt@ticker","data":{"E":1,"s":"ETHUSDT","c":"1","v":"1"}}',
    '{"code":2,"msg":"Invalid request: too many parameters"}',
    '{"type":"news","text":"hello"}',
    '{"type":"ticker","product_id":"BTC-USDT"}',
    '{"channel":"ticker","data":{}}',
    '{"channel":"ticker","data":[{"symbol":"BTC/USDT","last":"x","volume":1,"timestamp":"2023-10-01T00:00:00Z"}]}',
    '{"channel":"gossip","data":[]}',
    '{"event":"error","code":"60012","msg":"Invalid request"}',
    '{"event":"gossip"}',
    '{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[]}',
    '{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instId":"ETH-USDT","last":"1","vol24h":"1","ts":"1"}]}',
    '{"success":false,"ret_msg":"args size >10","op":"subscribe"}',
    '{"topic":"tickers.BTCUSDT","ts":1,"cs":1,"data":{"symbol":"ETHUSDT","lastPrice":"1","volume24h":"1"}}',
    '{"topic":"tickers.BTCUSDT","cs":1,"data":{"symbol":"BTCUSDT","lastPrice":"1","volume24h":"1"}}',
]


async def test_junk_is_counted_and_changes_nothing(scene: Scene) -> None:
    """A frame that cannot be read costs neither the tickers nor the connection."""
    for junk in JUNK:
        await scene.venue.say(junk)
    await until(lambda: scene.count("junk") == len(JUNK))
    assert scene.young()
    assert not await scene.is_polled()
    assert scene.venue.connections == 1


@pytest.mark.parametrize("number", ["0", "-1", "NaN", "Infinity"])
async def test_an_impossible_number_is_junk(scene: Scene, number: str) -> None:
    """An impossible price is not served; the ticker held before becomes too old."""
    scene.venue.price = number
    await until(lambda: scene.count("junk") >= 2)
    await until(lambda: not scene.young())
    assert await scene.is_polled()


async def test_a_pair_without_subscription_is_junk(scene: Scene) -> None:
    """A pair without subscription is not stored: a feed cannot fill our memory."""
    name = PUSHING[scene.exchange.name]().spell(DOGE)
    await scene.venue.say(scene.venue.ticker(name, "update"))
    await until(lambda: scene.count("junk") == 1)
    assert scene.feed.young("dogeusdt") is None


async def test_a_frame_too_large_ends_the_connection(scene: Scene) -> None:
    """The frame is not read to its end, and the next connection works."""
    with capture_logs() as logs:
        await scene.venue.say("x" * (MOST_BYTES + 1))
        await until(lambda: scene.count("lost") >= 1)
    assert logs[0]["error"] == f"undecodable: a frame of more than {MOST_BYTES} bytes"
    await until(scene.young)


async def test_an_older_ticker_never_replaces_a_newer_one(scene: Scene) -> None:
    """A frame that was overtaken is ignored."""
    name = PUSHING[scene.exchange.name]().spell(BTC)
    scene.venue.mute = True
    scene.venue.price, scene.venue.behind = "7", 1
    scene.venue.trades -= 100
    await scene.venue.say(scene.venue.ticker(name, "update"))
    await until(lambda: scene.count("out_of_order") == 1)
    scene.venue.price = "0.00000001234"
    assert not await scene.is_polled()
