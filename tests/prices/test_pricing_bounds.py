"""One venue, whatever its price, volume or clock, moves a price by at most half of max_deviation."""

import math
from decimal import Context, Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.models import FUTURE_TOLERANCE, LeftOut, Price, Reason, Ticker
from aggregator.newest import NewestPrices
from aggregator.prices.pricing import Rules, aggregate
from tests.parts.examples import BTC, NOW, ticker
from tests.parts.limits import examples

TEN_DIGITS = Context(prec=10)
RULES = Rules(max_age=10, max_deviation=Decimal("0.05"), min_sources=2, max_weight=Decimal("0.5"))
LIAR = "liar"

deviations = st.sampled_from(["0.000001", "0.01", "0.05", "0.333", "1"]).map(Decimal)
odd = st.sampled_from([Decimal(text) for text in ("NaN", "sNaN", "Infinity", "-Infinity", "-1", "0", "1E+30", "1E-30")])
usable_times = st.floats(NOW - 10, NOW + FUTURE_TOLERANCE)
times = st.one_of(
    *[usable_times] * 4,
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, NOW * 1000, NOW + FUTURE_TOLERANCE, NOW - 10]),
)
usable_volumes = st.one_of(st.decimals(min_value="0.0001", max_value="999999999", places=4), st.just(Decimal("1E+30")))
volumes = st.one_of(*[usable_volumes] * 4, odd)


@st.composite
def honest_tickers(draw: st.DrawFn) -> list[Ticker]:
    """Tickers of one to five exchanges, mostly close to each other, sometimes with outliers."""
    middle = draw(st.decimals(min_value="0.0001", max_value="999999", places=4))
    away = st.sampled_from(["0", "0.001", "0.02", "0.049", "0.05", "0.3"]).map(Decimal)
    return [
        Ticker(
            exchange=f"exchange{number}",
            symbol="btcusdt",
            price=middle * (1 + draw(away) * draw(st.sampled_from([-1, 1]))),
            volume=draw(st.decimals(min_value="0.0001", max_value="999999999", places=4)),
            timestamp=NOW - draw(st.floats(0, 10)),
        )
        for number in range(draw(st.sampled_from([1, 1, 1, 2, 2, 3, 4, 5])))
    ]


@st.composite
def lies(draw: st.DrawFn, honest: list[Ticker], deviation: Decimal) -> Ticker:
    """Return an arbitrary ticker, often one just inside max_deviation."""
    low, high = min(one.price for one in honest), max(one.price for one in honest)
    below = [low * (1 - deviation), low / (1 + deviation), low * (1 - deviation) / (1 + deviation)]
    above = [high * (1 + deviation), high * (1 + 2 * deviation)]
    edges = st.sampled_from([*below, low, high, *above])
    nearby = st.tuples(edges, st.sampled_from(["0.999999999999", "1", "1.000000000001"]))
    believable = nearby.map(lambda pair: pair[0] * Decimal(pair[1]))
    price = draw(st.one_of(*[believable] * 6, odd, st.decimals(allow_nan=True)))
    return Ticker(LIAR, draw(st.sampled_from(["btcusdt"] * 9 + ["ethusdt"])), price, draw(volumes), draw(times))


def bent(honest: list[Ticker], liar: Ticker, rules: Rules, most: Decimal) -> None:
    """Check that there is no price, or one at most `most` (a fraction) outside the range of the correct tickers."""
    outcome = aggregate(BTC, [*honest, liar], rules, NOW)
    if isinstance(outcome, Price):
        low, high = min(one.price for one in honest), max(one.price for one in honest)
        # Rounded as the price is, to ten digits, which changes no order.
        assert TEN_DIGITS.plus(low * (1 - most)) <= outcome.price <= TEN_DIGITS.plus(high * (1 + most))
        assert outcome.timestamp == min(NOW, max(source.timestamp for source in outcome.sources))


@settings(max_examples=examples(400))
@given(st.data(), honest_tickers(), deviations, st.integers(1, 3), st.sampled_from(["0.5", "0.4", "0.01"]))
def test_one_venue_moves_a_price_by_half_the_deviation_at_most(
    data: st.DataObject, honest: list[Ticker], deviation: Decimal, need: int, cap: str
) -> None:
    """One wrong ticker beside one or a majority of correct ones moves the price by half of max_deviation at most."""
    rules = Rules(max_age=10, max_deviation=deviation, min_sources=need, max_weight=Decimal(cap))
    bent(honest, data.draw(lies(honest, deviation)), rules, deviation / 2)


@given(st.data(), honest_tickers(), deviations, st.decimals(min_value="0.5", max_value=1, places=2))
def test_a_higher_cap_lets_it_move_the_price_by_as_much_more(
    data: st.DataObject, honest: list[Ticker], deviation: Decimal, cap: Decimal
) -> None:
    """With a higher cap the price moves by max_weight of the deviation, by all of it without a cap."""
    rules = Rules(max_age=10, max_deviation=deviation, min_sources=1, max_weight=cap)
    bent(honest, data.draw(lies(honest, deviation)), rules, deviation * cap)


@pytest.mark.parametrize("lie", ["104.9", "95.3"])
@pytest.mark.parametrize("honest", [["100", "100"], ["100"]], ids=["one of three", "one of two"])
def test_a_huge_volume_moves_the_price_by_half_of_the_error(honest: list[str], lie: str) -> None:
    """A price off by 4.9 % or -4.7 % with a volume of 1e30 moves the result by half of that; uncapped, by all."""
    tickers = [ticker(f"exchange{number}", price) for number, price in enumerate(honest)]
    liar = ticker(LIAR, lie, volume="1E+30")
    outcome = aggregate(BTC, [*tickers, liar], RULES, NOW)
    assert isinstance(outcome, Price)
    assert outcome.price == (100 + Decimal(lie)) / 2
    weights = {source.exchange: source.weight for source in outcome.sources}
    assert weights == {LIAR: Decimal("0.5")} | {one.exchange: Decimal("0.5") / len(tickers) for one in tickers}
    plain = aggregate(BTC, [*tickers, liar], msgspec.structs.replace(RULES, max_weight=Decimal(1)), NOW)
    assert isinstance(plain, Price)
    assert plain.price == Decimal(lie)


@pytest.mark.parametrize("lie", ["106", "94", "300", "0.01"])
def test_two_far_apart_make_no_price(lie: str) -> None:
    """Two tickers further apart than max_deviation make no price: it is unknown which is wrong."""
    outcome = aggregate(BTC, [ticker("exchange1", "100"), ticker(LIAR, lie)], RULES, NOW)
    assert {one.reason for one in outcome.left_out} == {Reason.DISAGREEMENT}
    assert not isinstance(outcome, Price)


@pytest.mark.parametrize("price", ["100", "300"])
def test_one_ticker_alone_makes_no_price(price: str) -> None:
    """One ticker, and two exchanges that gave none, make no price."""
    failed = [LeftOut("exchange1", Reason.HTTP_ERROR), LeftOut("exchange2", Reason.TIMEOUT)]
    outcome = aggregate(BTC, [*failed, ticker("exchange3", price)], RULES, NOW)
    assert not isinstance(outcome, Price)
    assert [one.reason for one in outcome.left_out] == [Reason.HTTP_ERROR, Reason.TIMEOUT, Reason.TOO_FEW]


def test_a_clock_that_is_ahead_holds_up_no_later_price() -> None:
    """A price's timestamp is never later than our clock, so a price made a second later is the newer one."""
    ahead = [ticker("exchange1", timestamp=NOW - 0.1), ticker(LIAR, timestamp=NOW + FUTURE_TOLERANCE)]
    honest = [ticker("exchange1", timestamp=NOW + 0.9), ticker("exchange2", timestamp=NOW + 0.8)]
    first, second = aggregate(BTC, ahead, RULES, NOW), aggregate(BTC, honest, RULES, NOW + 1)
    assert isinstance(first, Price)
    assert isinstance(second, Price)
    assert (first.timestamp, second.timestamp) == (NOW, NOW + 0.9)
    newest = NewestPrices({BTC.tier: 60}, now=lambda: NOW + 0.9)
    assert newest.hold([first]) == [first]
    assert newest.hold([second]) == [second]
    assert [source.timestamp for source in first.sources] == [
        NOW - 0.1,
        NOW + FUTURE_TOLERANCE,
    ]  # as sent


@pytest.mark.parametrize(
    ("others", "degraded"),
    [
        ([], False),
        ([LeftOut("c", Reason.NOT_LISTED)], False),
        *(([LeftOut("c", reason)], True) for reason in Reason if reason is not Reason.NOT_LISTED),
        ([ticker("c", "300")], True),
        ([ticker("c", timestamp=NOW - 11)], True),
        ([LeftOut("c", Reason.NOT_LISTED), LeftOut("d", Reason.LATE)], True),
    ],
)
def test_a_price_of_fewer_than_list_the_asset_is_degraded(others: list[Ticker | LeftOut], *, degraded: bool) -> None:
    """A price is degraded for any reason of another exchange, except that it does not list the asset."""
    outcome = aggregate(BTC, [ticker("a"), ticker("b"), *others], RULES, NOW)
    assert isinstance(outcome, Price)
    assert outcome.degraded is degraded
