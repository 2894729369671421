"""Trades that come or are appended twice, and subscriptions that a venue refuses for a while, over real connections."""

import asyncio
from functools import partial

import pytest

from aggregator.trades.ports import NotAppended
from tests.exchanges.push.scene import SECONDS, until
from tests.exchanges.push.trade_scene import running

pytestmark = pytest.mark.real


async def test_a_filled_trade_that_is_pushed_later_is_the_same_trade() -> None:
    """Kraken's REST interface has more digits of a time than its WebSocket: the key of the trade has one time."""
    async with running("kraken") as scene:
        venue = scene.venue
        await until(lambda: venue.subscribed)
        await venue.trade(1)
        await until(lambda: len(scene.log.trades) == 1)
        venue.loses = True
        (lost,) = await venue.trade(1)
        rows = f'[["{lost.price}","{lost.volume}",{lost.seconds}9,"b","m","",{lost.number}]]'
        venue.body = f'{{"error":[],"result":{{"{venue.rest_btc}":{rows},"last":"1"}}}}'
        await venue.drop()
        await until(lambda: scene.has(lost.number))
        await until(lambda: venue.subscribed)
        micros = lost.micros + 1  # a WebSocket that rounds where we cut
        await venue.say(venue.frame(lost).replace(f"{lost.micros % 1_000_000:06}Z", f"{micros % 1_000_000:06}Z"))
        await until(lambda: len(scene.log.trades) == 3)
        filled, pushed = scene.log.trades[1:]
        assert (pushed.id, pushed.timestamp) == (filled.id, filled.timestamp)
        assert round(filled.timestamp * 1_000_000) == lost.micros


async def test_trades_that_the_log_fails_are_appended_again() -> None:
    """Such as those of a broker that was away too long. The feed goes on meanwhile, and their order stays."""
    async with running("mock") as scene:
        await until(lambda: scene.venue.subscribed)
        scene.log.failure = NotAppended("away")
        first, second = await scene.venue.trade(1), await scene.venue.trade(1)
        failed = [str(one.number) for one in (*first, *second)]
        await until(lambda: scene.ids[:2] == failed)
        scene.log.failure = None
        scene.log.trades.clear()
        async with asyncio.timeout(SECONDS):
            while failed[-1] not in scene.ids:
                (later,) = await scene.venue.trade(1)
                await until(partial(scene.has, later.number))
        assert [one for one in scene.ids if one in failed] == failed
        assert scene.venue.connections == 1


REFUSALS = [
    ("kraken", '{"error":"Exceeded msg rate","method":"subscribe","req_id":1,"success":false}'),
    ("coinbase", '{"type":"error","message":"rate limit exceeded"}'),
    ("okx", '{"event":"error","code":"60014","msg":"Requests too frequent","connId":"a4d3ae55"}'),
]


@pytest.mark.parametrize(("name", "refusal"), REFUSALS)
async def test_a_refusal_for_too_many_messages_is_not_final(
    name: str, refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later the pairs without a trade are subscribed to again, on the same connection; the others are not."""
    monkeypatch.setattr("aggregator.exchanges.push.trade_feed._ASK_AGAIN", 0.1)
    async with running(name) as scene:
        venue = scene.venue
        await until(lambda: venue.subscribed and "ETH" in str(venue.heard))
        await venue.trade(1)
        await until(lambda: len(scene.log.trades) == 1)
        heard = len(venue.heard)
        await venue.say(refusal)
        await until(lambda: len(venue.heard) > heard)
        (again,) = venue.heard[heard:]
        assert "ETH" in str(again)
        assert "BTC" not in str(again)
        assert venue.connections == 1
        assert scene.buried.rejections == []
