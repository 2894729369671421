"""A feed of trades over real connections: what it appends, what it sets aside, and the gaps that it fills."""

import math
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal

import pytest

from aggregator.exchanges.push.trade_feed import MOST_BYTES
from aggregator.exchanges.registry import TRADING
from aggregator.models import Side
from aggregator.trades.ingest import Parser
from tests.exchanges.calls import value
from tests.exchanges.push.scene import BTC, ETH, SECONDS, until
from tests.exchanges.push.trade_scene import TradeScene, running
from tests.exchanges.venues.trade_venues import CoinbaseTradeVenue, MockTradeVenue

pytestmark = pytest.mark.real


@pytest.fixture(params=list(TRADING))
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[TradeScene]:
    """Return each venue with its feed subscribed."""
    async with running(request.param) as scene:
        await until(lambda: scene.venue.subscribed)
        yield scene


async def test_a_trade_is_appended_with_every_digit(scene: TradeScene) -> None:
    """Price, volume, time, id and the taker's side are the venue's."""
    made = await scene.venue.trade(2, volume="0.000000000000012345")
    await until(lambda: len(scene.log.trades) == 2)
    for trade, one in zip(scene.log.trades, made, strict=True):
        assert (trade.asset, trade.venue, trade.id) == ("btcusdt", scene.name, str(one.number))
        assert (trade.price, trade.volume) == (Decimal(one.price), Decimal(one.volume))
        assert round(trade.timestamp * 1_000_000) == one.micros
        assert trade.side is (Side.BUY if one.bought else Side.SELL)
        assert not trade.late
    assert scene.buried.rejections == []
    assert scene.state() == 1
    newest = "trades_feed_last_timestamp_seconds"
    await until(lambda: abs(time.time() - value(scene.metrics, newest, exchange=scene.name)) < SECONDS)


async def test_a_gap_is_filled(scene: TradeScene) -> None:
    """Trades made while the connection was cut are asked for after the next one was made; none is appended twice."""
    before = await scene.venue.trade(3)
    await until(lambda: len(scene.log.trades) == 3)
    scene.venue.loses = True
    await scene.venue.drop()
    lost = await scene.venue.trade(4)
    await until(lambda: scene.venue.connections == 2 and scene.venue.subscribed)
    scene.venue.loses = False
    after = await scene.venue.trade(2)
    await until(lambda: scene.gaps("filled") == 1)
    made = {str(one.number): one for one in (*before, *lost, *after)}
    assert sorted(scene.ids) == sorted(made)
    filled = [str(one.number) for one in lost]
    assert [one for one in scene.ids if one in filled] == filled  # the oldest first
    for trade in scene.log.trades:
        one = made[trade.id]
        assert round(trade.timestamp * 1_000_000) == one.micros
        assert (trade.price, trade.side) == (Decimal(one.price), Side.BUY if one.bought else Side.SELL)
    assert scene.gaps("not_filled") == 0
    assert any(scene.venue.rest_btc in path for path in scene.venue.asked)
    assert scene.buried.rejections == []


async def test_wanted_assets_come_and_go(scene: TradeScene) -> None:
    """An asset that is no longer wanted is unsubscribed on the same connection; its last trades still count."""
    scene.wanted = [ETH]
    await until(lambda: not scene.venue.subscribed)
    (made,) = await scene.venue.trade()
    await scene.venue.say(scene.venue.frame(made))
    await until(lambda: scene.has(made.number))
    assert scene.venue.connections == 1
    scene.wanted = []
    await until(lambda: math.isnan(scene.state()))


JUNK = [
    "",
    "{",
    "no json",
    '"text"',
    "[]",
    "1e999999999",
    "\x00",
    "[" * 5000,
    '{"trades":5}',
    '{"type":"gossip"}',
    "💥",
]


async def test_junk_is_set_aside(scene: TradeScene) -> None:
    """A frame that cannot be read is one dead letter and costs no connection."""
    for junk in JUNK:
        await scene.venue.say(junk)
    (made,) = await scene.venue.trade()
    await until(lambda: scene.has(made.number))
    assert scene.codes() == ["malformed"] * len(JUNK)
    assert [one.raw for one in scene.buried.rejections] == [junk.encode()[:4096] for junk in JUNK]
    assert {one.source for one in scene.buried.rejections} == {scene.name}
    assert scene.venue.connections == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda frame: frame.replace("97250.", "-97250."), "price"),
        (lambda frame: frame.replace("0.25", "-0.25"), "volume"),
        (lambda frame: frame.replace("97250.", "1" * 40 + "."), "price"),
        (lambda frame: frame.replace('"symbol":"btcusdt"', '"symbol":"nosuch"'), "asset"),
        (lambda frame: frame.replace('"side":"', '"side":"x'), "malformed"),
        (lambda frame: frame.replace('"timestamp":1', '"timestamp":9'), "future"),
        (lambda frame: frame.replace('"timestamp":1', '"timestamp":-1'), "timestamp"),
    ],
)
async def test_an_invalid_trade_spoils_only_itself(change: Callable[[str], str], code: str) -> None:
    """Of a frame with three trades the good ones are appended, and the bad one is set aside with its reason."""
    async with running("mock") as scene:
        venue = scene.venue
        assert isinstance(venue, MockTradeVenue)
        await until(lambda: venue.subscribed)
        venue.loses = True
        first, bad, last = await venue.trade(3)
        rows = [venue.frame(one).removeprefix('{"trades":[').removesuffix("]}") for one in (first, bad, last)]
        await venue.say(f'{{"trades":[{rows[0]},{change(rows[1])},{rows[2]}]}}')
        await until(lambda: scene.has(first.number, last.number))
        (rejection,) = scene.buried.rejections
        assert (rejection.code, rejection.index, rejection.source) == (code, 1, "mock")
        assert str(bad.number).encode() in rejection.raw
        assert not scene.has(bad.number)
        if code == "future":  # it is tried again, as a record of POST /ingest
            again = Parser({"btcusdt": BTC}.get).one(rejection.raw, 1e11)
            assert (again.asset, again.venue, again.id) == ("btcusdt", "mock", str(bad.number))


async def test_while_the_log_is_full_nothing_is_dropped() -> None:
    """The feed waits for room, and then appends what it has read, although the connection was cut meanwhile."""
    async with running("mock") as scene:
        await until(lambda: scene.venue.subscribed)
        scene.log.room_left = 2
        made = await scene.venue.trade(5)
        await until(lambda: scene.log.waited > 0)
        assert len(scene.log.trades) == 2
        await scene.venue.drop()
        scene.log.empty()
        await until(lambda: scene.has(*(one.number for one in made)))
        assert scene.ids == [str(one.number) for one in made]


async def test_a_trade_that_waits_for_room_outlives_its_connection() -> None:
    """A trade that was read before the connection was given up is appended before those of the next one."""
    async with running("mock") as scene:
        await until(lambda: scene.venue.subscribed)
        scene.log.room_left = 0
        (waiting,) = await scene.venue.trade(1)
        await until(lambda: scene.log.waited > 0)
        scene.wanted = []
        await until(lambda: math.isnan(scene.state()))
        scene.wanted = [BTC]
        await until(lambda: scene.venue.connections == 2 and scene.venue.subscribed)
        scene.log.empty()
        (last,) = await scene.venue.trade(1)
        await until(lambda: scene.has(last.number))
        assert scene.ids == [str(waiting.number), str(last.number)]


async def test_a_gap_longer_than_the_answer_is_not_filled() -> None:
    """What the venue still has is appended, and the interruption is counted as not filled."""
    async with running("mock") as scene:
        await until(lambda: scene.venue.subscribed)
        await scene.venue.trade(1)
        await until(lambda: len(scene.log.trades) == 1)
        scene.venue.loses = True
        await scene.venue.drop()
        lost = await scene.venue.trade(5)
        scene.venue.keeps = 3
        await until(lambda: scene.gaps("not_filled") == 1)
        assert scene.ids[1:] == [str(one.number) for one in lost[2:]]
        assert scene.gaps("filled") == 0


async def test_a_call_for_recent_trades_that_fails_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A venue whose REST server is down for a moment does not cost the trades of a gap."""
    monkeypatch.setattr("aggregator.exchanges.push.trade_feed._FIRST_RETRY", 0.05)
    async with running("coinbase") as scene:
        await until(lambda: scene.venue.subscribed)
        await scene.venue.trade(1)
        await until(lambda: len(scene.log.trades) == 1)
        scene.venue.loses, scene.venue.rest_status = True, 500
        await scene.venue.drop()
        lost = await scene.venue.trade(2)
        await until(lambda: len(scene.venue.asked) > 0)
        scene.venue.rest_status = 200
        await until(lambda: scene.has(*(one.number for one in lost)))
        await until(lambda: scene.gaps("filled") == 1)


async def test_a_gap_that_nothing_answers_is_not_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """After some attempts the feed gives the gap up."""
    monkeypatch.setattr("aggregator.exchanges.push.trade_feed._FIRST_RETRY", 0.05)
    async with running("coinbase") as scene:
        await until(lambda: scene.venue.subscribed)
        await scene.venue.trade(1)
        await until(lambda: len(scene.log.trades) == 1)
        scene.venue.rest_status = 500
        await scene.venue.drop()
        await until(lambda: scene.gaps("not_filled") == 1)


async def test_heartbeats_show_a_lost_trade() -> None:
    """The second heartbeat of Coinbase with a trade that did not come fills the gap, on the same connection."""
    async with running("coinbase") as scene:
        venue = scene.venue
        assert isinstance(venue, CoinbaseTradeVenue)
        await until(lambda: venue.subscribed)
        await venue.trade(1)
        venue.loses = True
        lost = await venue.trade(2)
        for _ in range(2):
            await venue.say(venue.heartbeat())
        await until(lambda: scene.has(*(one.number for one in lost)))
        await until(lambda: scene.gaps("filled") == 1)
        assert venue.connections == 1


async def test_an_announced_shutdown_leaves_no_gap() -> None:
    """The connection is replaced at once, and the trades made meanwhile are asked for."""
    async with running("okx") as scene:
        await until(lambda: scene.venue.subscribed)
        await scene.venue.trade(1)
        await until(lambda: len(scene.log.trades) == 1)
        scene.venue.loses = True
        await scene.venue.say('{"event":"notice","code":"64008","msg":"soon closed","connId":"a4d3ae55"}')
        lost = await scene.venue.trade(2)
        await until(lambda: scene.has(*(one.number for one in lost)))
        await until(lambda: scene.gaps("filled") == 1)
        assert scene.venue.connections == 2


async def test_a_mute_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without any frame for the time that the dialect allows is replaced."""
    monkeypatch.setattr(type(TRADING["kraken"]()), "silence", 0.5)
    async with running("kraken") as scene:
        await until(lambda: scene.venue.connections >= 2)


async def test_a_refused_handshake_is_shown() -> None:
    """The gauge is 0 while there is no connection, and 1 again after the next one."""
    async with running("okx") as scene:
        await until(lambda: scene.state() == 1)
        scene.venue.handshake = 503
        await scene.venue.drop()
        await until(lambda: scene.state() == 0)
        scene.venue.handshake = 101
        await until(lambda: scene.state() == 1)


async def test_a_frame_too_large_ends_the_connection() -> None:
    """A frame may be larger than one of tickers, up to a bound."""
    async with running("bybit") as scene:
        venue = scene.venue
        await until(lambda: venue.subscribed)
        (one,) = await venue.trade(1)
        row = venue.frame(one).partition('"data":[')[2].removesuffix("]}")
        await venue.say(f'{{"topic":"publicTrade.BTCUSDT","data":[{",".join([row] * 1024)}]}}')
        await until(lambda: len(scene.log.trades) == 1025)
        await venue.say("x" * (MOST_BYTES + 1))
        await until(lambda: venue.connections == 2)


async def test_too_many_rows_are_one_dead_letter() -> None:
    """A frame with more rows than a venue sends is not read: each row would take its time."""
    async with running("mock") as scene:
        await until(lambda: scene.venue.subscribed)
        await scene.venue.say(f'{{"trades":[{",".join("1" * 5000)}]}}')
        (made,) = await scene.venue.trade()
        await until(lambda: scene.has(made.number))
        assert [(one.code, one.reason) for one in scene.buried.rejections] == [("malformed", "5000 trades at once")]
