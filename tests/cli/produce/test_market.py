"""The invented market of `aggregator produce`."""

from statistics import median

from hypothesis import given
from hypothesis import strategies as st

from aggregator.cli.produce.market import Market

ASSETS = [f"asset{number}" for number in range(50)]


def test_the_same_seed_makes_the_same_trades() -> None:
    """Another seed makes others."""
    first, again, other = (
        [market.trade() for _ in range(1_000)] for market in (Market(ASSETS, 7), Market(ASSETS, 7), Market(ASSETS, 8))
    )
    assert first == again
    assert first != other


def test_all_assets_trade_about_equally_often() -> None:
    """Each has its own price, and volumes are about the median of their distribution."""
    market = Market(ASSETS, 1)
    trades = [market.trade() for _ in range(20_000)]
    counts = [sum(trade.asset == asset for trade in trades) for asset in ASSETS]
    assert 200 < min(counts) <= max(counts) < 800
    assert len({trade.price for trade in trades}) > 1_000
    assert 40 < median(trade.volume for trade in trades) < 60


@given(seed=st.integers(0, 2**32))
def test_prices_move_in_small_steps_and_stay_above_zero(seed: int) -> None:
    """A step is at most 1 % of the price, and has the sign that the side of the trade says."""
    market = Market(["btcusdt"], seed)
    last = market.trade().price
    for _ in range(200):
        trade = market.trade()
        assert trade.price > 0
        assert trade.volume >= 1
        assert abs(trade.price / last - 1) < 0.01
        assert trade.price >= last if trade.is_buy else trade.price <= last
        last = trade.price
