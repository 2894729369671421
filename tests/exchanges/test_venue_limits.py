"""Cool-downs that venues ask for, and the limits that their dialects keep."""

from collections.abc import Callable

import pytest

from aggregator.exchanges.dialect import Bucket
from aggregator.exchanges.rate_limit import RateLimiter
from aggregator.models import Asset, Reason, Ticker, Tier
from tests.exchanges.polled import BTC, Scene
from tests.exchanges.venues.base import Quote, Venue, running
from tests.exchanges.venues.binance import BinanceVenue
from tests.exchanges.venues.servers import SERVERS
from tests.parts.examples import NOW

pytestmark = pytest.mark.real


async def test_a_refusal_for_too_many_calls_begins_a_cooldown(scene: Scene) -> None:
    """The venue's own way to refuse begins a cool-down of the time it tells, or a second, and is no failure."""
    scene.venue.fault = scene.venue.too_often
    assert (await scene.refusal()).reason is Reason.RATE_LIMITED
    quiet = scene.venue.cooldown
    assert scene.exchange.quiet_seconds == quiet
    scene.asked()
    assert (await scene.refusal()).detail == f"quiet for another {quiet:.0f} s"
    assert scene.asked() == []
    assert scene.exchange.breaker_state == "closed"
    scene.venue.fault = None
    scene.hands.now += quiet
    assert isinstance((await scene.ask(BTC))["btcusdt"], Ticker)


async def test_binance_keeps_a_reserve_of_its_weight(only: Callable[[Venue, str], Scene]) -> None:
    """The last of a minute's weight is left to other clients at our address."""
    venue = BinanceVenue(now=lambda: NOW)
    async with running(venue):
        scene = only(venue, "binance")
        venue.used = 5_800
        assert isinstance((await scene.ask(BTC))["btcusdt"], Ticker)
        assert scene.exchange.quiet_seconds == 60 - NOW % 60
        assert (await scene.refusal()).reason is Reason.RATE_LIMITED


@pytest.mark.parametrize(
    ("name", "fault", "seconds"), [("binance", "banned", 7200), ("bybit", "banned", 600), ("kraken", "throttled", 42)]
)
async def test_no_call_is_made_during_a_ban(
    only: Callable[[Venue, str], Scene], name: str, fault: str, seconds: float
) -> None:
    """No call is made before the end of a ban, as calls prolong it."""
    async with running(SERVERS[name](now=lambda: NOW)) as venue:
        scene = only(venue, name)
        venue.fault = getattr(venue, fault)
        assert (await scene.refusal()).reason is Reason.RATE_LIMITED
        assert scene.exchange.quiet_seconds == seconds


async def test_binance_weighs_twenty_symbols_like_one(only: Callable[[Venue, str], Scene]) -> None:
    """A call has twenty symbols, and costs the weight that Binance counts."""
    quotes = [Quote(f"coin{number}", "usdt", "1.5", "10") for number in range(45)]
    venue = BinanceVenue(quotes, now=lambda: NOW)
    async with running(venue):
        scene = only(venue, "binance")
        answers = await scene.ask(*(Asset(one.symbol, "", "", Tier.COLD, 0) for one in quotes))
        assert all(isinstance(one, Ticker) for one in answers.values())
        assert len(venue.asked) == 3
        assert venue.used == 3 * scene.exchange._cost(20)


async def test_its_limits_are_kept(only: Callable[[Venue, str], Scene]) -> None:
    """By weight, including the listing: cold assets take three quarters at most; without tokens there is a reason."""
    venue = BinanceVenue(now=lambda: NOW)
    async with running(venue):
        scene = only(venue, "binance")
        scene.exchange._rate_limiter = RateLimiter(Bucket(0.001, 48), patience=0.01)
        assert await scene.exchange.read_listing() is None
        cold = Asset("btcusdt", "btc", "usdt", Tier.COLD, 9)
        for asset, calls in ((cold, 8), (BTC, 6)):  # 36 - 20 of weight, and what is left of 48 - 20
            scene.asked()
            for _ in range(calls):
                assert isinstance((await scene.ask(asset))["btcusdt"], Ticker)
            left_out = await scene.refusal(asset)
            assert (left_out.reason, left_out.detail) == (
                Reason.RATE_LIMITED,
                "our own rate limit: no token within 0.01 s",
            )
            assert len(scene.asked()) == calls
        assert await scene.exchange.read_listing() is not None
        assert scene.exchange.quiet_seconds == 0  # which is for what the exchange says
        assert scene.exchange.breaker_state == "closed"
