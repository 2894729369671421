"""The features: their check values, and that they equal a naive recomputation from all trades."""

import json
import random
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.models import Trade, trade_key
from aggregator.trades.features import AssetFeatures, Features, FeaturesState
from tests.parts.limits import examples

LATENESS = 5.0
START = 1_764_400_000.0
MANY = 100_000

_prices = st.decimals("0.00000001", "1e12", allow_nan=False).filter(lambda price: price > 0)
_volumes = st.none() | st.decimals("0", "1e30", allow_nan=False)
_moves = st.lists(
    st.tuples(
        st.integers(-4_000_000, 90_000_000) | st.sampled_from([0, 0, 60_000_000, 300_000_000]),  # microseconds
        _prices,
        _volumes,
        st.sampled_from(["binance", "kraken"]),
    ),
    min_size=1,
    max_size=30,
)


def trade(number: int, price: object = 100, volume: object = 1, at: float = 0.0, venue: str = "binance") -> Trade:
    """Return a trade `at` seconds after START."""
    return Trade(
        "btcusdt",
        Decimal(str(price)),
        None if volume is None else Decimal(str(volume)),
        round(START + at, 6),
        venue,
        str(number),
    )


def stream(moves: Sequence[tuple[int, Decimal, Decimal | None, str]]) -> list[Trade]:
    """Return trades in the order of a log; each is so many microseconds after the newest one, or before it."""
    trades: list[Trade] = []
    newest = 0
    for number, (move, price, volume, venue) in enumerate(moves):
        at = max(0, newest + move)
        trades.append(trade(number, price, volume, at / 1e6, venue))
        newest = max(newest, at)
    return trades


def measured(trades: Sequence[Trade], most: int = MANY) -> Features:
    """Return the features after these trades."""
    operator = AssetFeatures("btcusdt", most, LATENESS)
    for one in trades:
        operator.update(one)
    return operator.values(0.0)


def naive(trades: Sequence[Trade]) -> dict[str, float | int | None]:
    """Return the features of these trades by their definitions, each from all trades."""
    in_order = sorted(trades, key=trade_key)
    newest = in_order[-1]
    now = round(newest.timestamp * 1e6)

    def within(seconds: int) -> list[Trade]:
        return [one for one in in_order if round(one.timestamp * 1e6) > now - seconds * 1_000_000]

    def vwap(some: Sequence[Trade]) -> float | None:
        pairs = [(Fraction(one.price), Fraction(one.volume)) for one in some if one.volume is not None]
        total = sum(volume for _, volume in pairs)
        return float(sum(price * volume for price, volume in pairs) / total) if total else None

    five = within(300)
    volumes = [one.volume for one in in_order if one.volume is not None]
    prior = [Fraction(volume) for volume in volumes[-20:-1]]
    zscore: float | None = None
    if newest.volume is not None and len(prior) >= 2:
        mean = sum(prior) / len(prior)
        variance = sum((volume - mean) ** 2 for volume in prior) / (len(prior) - 1)
        zscore = float(Fraction(newest.volume) - mean) / float(variance) ** 0.5 if variance else 0.0
    old = [one for one in in_order if round(one.timestamp * 1e6) <= now - 60_000_000]
    return {
        "vwap_1min": vwap(within(60)),
        "vwap_5min": vwap(five),
        "rolling_avg_5min": float(sum(Fraction(one.price) for one in five) / len(five)),
        "volume_zscore": zscore,
        "price_momentum": float(100 * (newest.price - old[-1].price) / old[-1].price) if old else None,
        "trade_frequency": len(within(60)),
    }


def assert_same(found: Features, expected: dict[str, float | int | None]) -> None:
    """Assert that the features have these values, but for the last digits of a float."""
    for name, value in expected.items():
        got = getattr(found, name)
        assert (got is None) == (value is None), name
        assert value is None or got == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_quotients_are_the_nearest_floats() -> None:
    """Sums above 2^53 units are divided exactly, so that every process computes the same digits."""
    numbers = random.Random(7)
    for _ in range(examples(100)):
        moves = [(numbers.randrange(10**9), numbers.randrange(1, 10**8)) for _ in range(8)]
        trades = [trade(number, price + 1, volume, 9.0 * number) for number, (price, volume) in enumerate(moves)]
        found, expected = measured(trades), naive(trades)
        for name in ("vwap_1min", "vwap_5min", "rolling_avg_5min", "price_momentum"):
            assert getattr(found, name) == expected[name], name


def test_vwap_of_two_trades() -> None:
    """The VWAP of 100 x 10 and 200 x 20 is 166.667."""
    assert measured([trade(1, 100, 10), trade(2, 200, 20, 1)]).vwap_5min == pytest.approx(166.667, abs=5e-4)


def test_zscore_of_a_large_volume() -> None:
    """Volumes 10, 11, … 28 and then 38 have the z-score 3.3764."""
    volumes = [*range(10, 29), 38]
    found = measured([trade(number, 100, volume, number) for number, volume in enumerate(volumes)])
    assert found.volume_zscore == pytest.approx(3.3764, abs=5e-5)


@pytest.mark.parametrize(("after", "momentum"), [(105, 5.0), (95, -5.0)])
def test_momentum_over_a_minute(after: int, momentum: float) -> None:
    """From 100 to 105 in a minute is +5 percent, to 95 -5 percent."""
    assert measured([trade(1, 100), trade(2, after, 1, 60)]).price_momentum == momentum


def test_warming_up() -> None:
    """Before there are enough trades, features are None, and `warming_up` names them."""
    found = measured([trade(1, volume=None)])
    assert found.warming_up == ("vwap_1min", "vwap_5min", "volume_zscore", "price_momentum", "vwap_deviation")
    assert measured([trade(number, 100, 1, 40 * number) for number in range(3)]).warming_up == ()


def test_flat_volumes() -> None:
    """The z-score is 0 if all volumes are equal, and None before there are two prior volumes."""
    flat = [trade(number, 100, 7, number) for number in range(5)]
    assert measured(flat).volume_zscore == 0
    assert measured(flat[:2]).volume_zscore is None


@settings(max_examples=examples(80))
@given(_moves)
def test_features_equal_a_naive_recomputation(moves: list[tuple[int, Decimal, Decimal | None, str]]) -> None:
    """After each trade, in whatever order trades come within the allowed lateness, features equal the definition."""
    operator, taken = AssetFeatures("btcusdt", MANY, LATENESS), []
    for one in stream(moves):
        assert operator.update(one)
        taken.append(one)
        assert_same(operator.values(0.0), naive(taken))


@settings(max_examples=examples(80))
@given(_moves, st.data())
def test_the_same_trade_again_changes_nothing(
    moves: list[tuple[int, Decimal, Decimal | None, str]], data: st.DataObject
) -> None:
    """A trade that is not late and comes again is recognised, and the features stay."""
    trades = stream(moves)
    operator = AssetFeatures("btcusdt", MANY, LATENESS)
    for number, one in enumerate(trades):
        operator.update(one)
        before = operator.values(0.0)
        newest = max(known.timestamp for known in trades[: number + 1])
        again = [known for known in trades[: number + 1] if known.timestamp >= newest - LATENESS]
        assert not operator.update(data.draw(st.sampled_from(again)))
        assert operator.values(0.0) == before


@settings(max_examples=examples(80))
@given(_moves)
def test_rebuilt_from_sorted_trades(moves: list[tuple[int, Decimal, Decimal | None, str]]) -> None:
    """The features do not depend on the order in which trades came, so a start can rebuild them from a store."""
    trades = stream(moves)
    assert measured(sorted(trades, key=trade_key)) == measured(trades)


@settings(max_examples=examples(80))
@given(_moves, st.integers(0, 30), st.booleans())
def test_a_restored_snapshot_continues(
    moves: list[tuple[int, Decimal, Decimal | None, str]],
    place: int,
    is_bounded: bool,  # noqa: FBT001  # Hypothesis passes it by position
) -> None:
    """An operator that is restored from plain data, and one that was never stopped, have the same features."""
    trades, most = stream(moves), 1000 if is_bounded else MANY
    first, second = (AssetFeatures("btcusdt", most, LATENESS) for _ in range(2))
    for one in trades[:place]:
        first.update(one)
    plain = json.loads(json.dumps(msgspec.to_builtins(first.snapshot())))
    second.restore(msgspec.convert(plain, FeaturesState, strict=False))
    for one in trades[place:]:
        assert first.update(one) == second.update(one)
    if trades:
        assert second.values(0.0) == first.values(0.0)


@settings(max_examples=10)
@given(st.integers(1100, 2000), st.integers(6, 400))
def test_a_bounded_window_keeps_its_sums(number: int, per_second: int) -> None:
    """Beyond the bound, old trades are kept as sums by second: exact to the second, and said to be so."""
    trades = [trade(index, 100 + index % 7, 1 + index % 3, index / per_second) for index in range(number)]
    found, expected = measured(trades, most=1000), naive(trades)
    assert found.by_second
    span = number / per_second
    if span < 59:
        assert_same(found, expected)  # no trade has left a window yet
    else:
        assert abs(found.trade_frequency - int(expected["trade_frequency"] or 0)) <= per_second + 1


@pytest.mark.parametrize("seed", range(5))
def test_a_bounded_window_takes_trades_out_of_order(seed: int) -> None:
    """Trades come up to two seconds late, with equal times and finer numbers, before and after old ones are merged."""
    chance = random.Random(seed)
    number, decimals = chance.randint(1100, 1500), chance.randint(0, 2)
    trades = [
        trade(index, 100 + index % 7, None if index % 11 == 0 else round(1 + index % 3 / 7, decimals), index // 2 / 20)
        for index in range(number)
    ]
    trades.sort(key=lambda one: one.timestamp + chance.uniform(0, 2))
    operator = AssetFeatures("btcusdt", 1000, LATENESS)
    for place, one in enumerate(trades):
        assert operator.update(one)
        if place % 97 == 0:
            assert_same(operator.values(0.0), naive(trades[: place + 1]))
            assert not operator.update(chance.choice(trades[max(0, place - 9) : place + 1]))
    found = operator.values(0.0)
    assert found.by_second
    assert_same(found, naive(trades))


def test_a_full_window_holds_little_more_than_its_trades() -> None:
    """Memory stops to grow once windows are full: at 15 trades/s, 300 s are 4,500 entries, and 5 s are 75 trades."""
    operator, one, sizes = AssetFeatures("btcusdt", MANY, LATENESS), trade(0), list[int]()
    for number in range(6000):
        operator.update(msgspec.structs.replace(one, timestamp=round(START + number / 15, 6), id=str(number)))
        sizes.append(operator.size)
        if number % 63 == 0:
            assert len(operator.snapshot().window.recent) <= 76 + 64
    assert max(sizes) <= 1.05 * 4500
    assert operator.values(0.0).trade_frequency == 900


def test_the_totals_of_a_window_begin_anew() -> None:
    """Sums over the windows are right where those over all trades that ever came need more than 64 bits."""
    trades = [trade(index, "54321.123456", f"{index % 9 + 1}.12345678", index) for index in range(2000)]
    assert_same(measured(trades), naive(trades[-400:]))


def test_a_huge_volume_leaves_no_trace() -> None:
    """After a trade of 1e30 has left the windows, the VWAP of the small ones is exact."""
    trades = [trade(0, 100, "1e30"), *(trade(index, 200, "0.001", 400 + index) for index in range(5))]
    assert measured(trades).vwap_5min == 200


def test_many_decimals() -> None:
    """A price with more decimals than all before is kept exactly."""
    trades = [trade(0, "1", "1"), trade(1, "0.000000000000000001", "0.000000000000000000000001", 1)]
    assert measured(trades).vwap_5min == pytest.approx(1, rel=1e-15)
    assert measured(trades[1:]).vwap_5min == 1e-18
