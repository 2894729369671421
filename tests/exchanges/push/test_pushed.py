"""Pushed tickers need no call; other assets are polled, and /ready shows why a feed has fallen back."""

import time
from decimal import Decimal

import pytest

from aggregator.api.status.exchange_status import state_of
from aggregator.models import Clock, Ticker
from tests.exchanges.calls import value
from tests.exchanges.push.scene import BTC, DOGE, ETH, INTERVAL, SECONDS, Scene, running, until
from tests.exchanges.venues.kraken import KrakenFeed
from tests.parts.limits import allowed

pytestmark = pytest.mark.real


async def test_what_is_pushed_needs_no_call(scene: Scene) -> None:
    """A pushed ticker has every digit, the venue's time and base volume, and /ready shows the feed as live."""
    answers = await scene.exchange.fetch([BTC, ETH])
    assert list(answers) == ["btcusdt", "ethusdt"]
    for symbol, answer in answers.items():
        assert isinstance(answer, Ticker)
        assert (answer.exchange, answer.symbol) == (scene.exchange.name, symbol)
        assert str(answer.price) == "1.234E-8"
        assert str(answer.volume) == "8913.300000000000000001"
        assert abs(answer.timestamp - time.time()) < SECONDS
    assert scene.venue.polls == 0
    assert value(scene.metrics, "price_exchange_push_answers_total", exchange=scene.exchange.name) == 2
    assert value(scene.metrics, "price_exchange_push_state", exchange=scene.exchange.name) == 1
    assert scene.told() == ""
    assert state_of(scene.exchange, time.time())["push"] == "live"
    assert scene.exchange.silent_seconds < allowed(1)
    assert scene.exchange.newest_ticker is not None
    for told in ("last", "newest"):
        gauge = f"price_exchange_{told}_ticker_timestamp_seconds"

        def age(gauge: str = gauge) -> float:
            return abs(time.time() - value(scene.metrics, gauge, exchange=scene.exchange.name))

        await until(lambda: age() < SECONDS)  # set once a second
    assert scene.count("junk") == 0


async def test_what_is_not_pushed_is_polled(scene: Scene) -> None:
    """One fetch returns pushed tickers and polls for the other assets."""
    answers = await scene.exchange.fetch([BTC, DOGE] if scene.exchange.batch > 1 else [DOGE])
    assert isinstance(answers["dogeusdt"], Ticker)
    assert answers["dogeusdt"].price == Decimal(scene.venue.polled_price)
    assert scene.venue.polls == 1


async def test_a_mute_connection_falls_back_within_an_interval(scene: Scene) -> None:
    """Without frames on an open connection assets are polled within an interval; the feed recovers by itself."""
    scene.venue.mute = True
    began = time.monotonic()
    await until(lambda: not scene.young())
    assert time.monotonic() - began < allowed(INTERVAL)
    assert scene.venue.open == 1
    assert await scene.is_polled()
    await until(lambda: scene.told() != "")
    assert scene.told().startswith("is polled, as its feed has fallen back: ")
    await until(lambda: scene.count("lost") > 0)
    assert value(scene.metrics, "price_exchange_push_state", exchange=scene.exchange.name) == 0
    scene.venue.mute = False
    await until(scene.young)
    assert not await scene.is_polled()
    await until(lambda: scene.told() == "")
    assert scene.venue.connections >= 2


async def test_a_dropped_connection_falls_back_at_once(scene: Scene) -> None:
    """After a cut or a close, tickers pushed before are not served; after reconnecting the feed pushes again."""
    for end in (scene.venue.drop, scene.venue.hang_up):
        before, lost = scene.venue.connections, scene.count("lost")
        scene.venue.handshake = 503
        await end()
        await until(lambda than=lost: scene.count("lost") > than)  # type: ignore[misc]  # it is a float
        assert await scene.is_polled()
        assert scene.told().startswith("is polled, as its feed has fallen back: ")
        scene.venue.handshake = 101
        await until(scene.young)
        assert scene.venue.connections == before + 1
        assert not await scene.is_polled()


async def test_a_clock_that_stands_still_is_caught_by_age(scene: Scene) -> None:
    """Tickers with an old time are not served, and /ready shows why."""
    scene.venue.freeze()
    await until(lambda: not scene.young())
    rounds = scene.venue.rounds
    await until(lambda: scene.venue.rounds > rounds + 2)
    assert await scene.is_polled()
    await until(lambda: "no young ticker for" in scene.told() or "clock stands still" in scene.told())


async def test_beats_alone_are_no_tickers(scene: Scene) -> None:
    """Heartbeats without tickers do not keep old tickers in use."""
    scene.venue.beats_only = True
    await until(lambda: not scene.young())
    assert await scene.is_polled()
    await until(lambda: scene.told() != "")


@pytest.mark.parametrize("seconds", [60, -60])
async def test_an_implausible_time_is_not_served(scene: Scene, seconds: float) -> None:
    """A ticker a minute ahead or behind is not served."""
    scene.ahead = seconds
    assert not scene.young()
    assert await scene.is_polled()


async def test_a_feed_without_times() -> None:
    """A ticker without a time gets the time of its arrival, and its clock is marked so."""
    venue = KrakenFeed()
    venue.tells_time = False
    async with running("kraken", venue=venue) as scene:
        await until(scene.young)
        ticker = await scene.ticker()
        assert ticker.clock is Clock.RECEIPT
        assert abs(ticker.timestamp - time.time()) < SECONDS
        assert scene.venue.polls == scene.count("junk") == 0
