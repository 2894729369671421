"""Binance and OKX announce a server's shutdown: a new connection replaces the old one, and nothing is polled."""

import asyncio

import pytest

from aggregator.exchanges.dialect import Shutdown
from aggregator.exchanges.venues.binance import BinancePush
from aggregator.exchanges.venues.okx import OkxPush
from tests.exchanges.push.scene import running, until

pytestmark = pytest.mark.real

COMBINED = '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}'
RAW = '{"e":"serverShutdown","E":1770123456789}'
NOTICE = (
    '{"event":"notice","code":"64008","msg":"The connection will soon be closed for a service upgrade. Please'
    ' reconnect.","connId":"a4d3ae55"}'
)


@pytest.mark.parametrize("frame", [COMBINED, RAW])
def test_the_announcement_is_read(frame: str) -> None:
    """It is read with and without the wrapping of the combined stream."""
    assert BinancePush().read(frame) == (Shutdown(),)


def test_the_notice_of_okx_is_read() -> None:
    """A notice with another code is none of a shutdown."""
    assert OkxPush().read(NOTICE) == (Shutdown(),)
    assert OkxPush().read(NOTICE.replace("64008", "64009")) == ()


def test_a_pair_of_that_name_is_no_announcement() -> None:
    """The word elsewhere in a frame is no announcement."""
    frame = '{"stream":"btcusdt@ticker","data":{"E":1,"s":"BTCUSDT","c":"1","v":"1","note":"serverShutdown"}}'
    (news,) = BinancePush().read(frame)
    assert not isinstance(news, Shutdown)


@pytest.mark.parametrize(("name", "frame"), [("binance", COMBINED), ("okx", NOTICE)])
async def test_the_connection_is_replaced_at_once(name: str, frame: str) -> None:
    """Tickers stay young, nothing is polled or lost, and /ready shows no trouble."""
    async with running(name, interval=10) as scene:
        await until(scene.young)
        for _ in range(2):
            await scene.is_polled()
        assert scene.venue.polls == 0
        told: set[str] = set()

        async def watch() -> None:
            while True:
                told.add(scene.told())
                assert scene.young()
                await asyncio.sleep(0)

        watching = asyncio.create_task(watch())
        await scene.venue.say(frame)
        await until(lambda: scene.venue.connections == 2)
        await until(lambda: len(scene.venue.heard) == 2)  # it asks for the same pairs
        rounds = scene.count("ticker")
        await until(lambda: scene.count("ticker") > rounds + 4)  # and hears of them
        watching.cancel()
        assert isinstance((await asyncio.gather(watching, return_exceptions=True))[0], asyncio.CancelledError)
        assert told == {""}
        assert not await scene.is_polled()
        assert (scene.venue.polls, scene.count("shutdown"), scene.count("lost")) == (0, 1, 0)
        await until(lambda: scene.venue.open == 1)


async def test_a_venue_that_always_says_so_gets_the_pauses() -> None:
    """The second announcement within a minute ends the connection like any other end."""
    async with running("binance") as scene:
        await until(scene.young)
        await scene.venue.say(COMBINED)
        await until(lambda: scene.venue.connections == 2 and scene.venue.open == 1)
        scene.venue.handshake = 503
        await scene.venue.say(COMBINED)
        await until(lambda: scene.count("lost") >= 1)
        assert scene.count("shutdown") == 2
        assert scene.told().startswith("is polled, as its feed has fallen back: ")


async def test_a_replacement_that_fails_falls_back() -> None:
    """Where the new connection fails, assets are polled and /ready shows why."""
    async with running("binance") as scene:
        await until(scene.young)
        scene.venue.handshake = 503
        await scene.venue.say(COMBINED)
        await until(lambda: scene.count("lost") >= 1)
        assert scene.told() == "is polled, as its feed has fallen back: http_error: HTTP 503 instead of a WebSocket"
        scene.venue.handshake = 101
        await until(scene.young)
