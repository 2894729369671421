"""The 24-hour figures equal a recount over every price, whatever the order in which the prices arrive."""

from collections.abc import Mapping
from decimal import Decimal
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.models import FUTURE_TOLERANCE, Price
from aggregator.prices.day_figures import BUCKET, DAY, Figures, MissingFigures, PriceDay, Window, figures, window_start
from tests.parts.examples import NOW, price

SINCE = window_start(NOW)

amounts = st.integers(1, 99_999).map(lambda amount: Decimal(amount).scaleb(-3))
edges = st.integers(0, 550).map(lambda place: SINCE - DAY + place * BUCKET)  # a bucket ends there
times = st.floats(NOW - 2 * DAY, NOW) | edges | edges.map(lambda at: at + 0.001) | edges.map(lambda at: at - 0.001)
histories = st.dictionaries(times.map(lambda at: round(at, 3)), amounts, max_size=120)


def recount(stored: Mapping[float, Decimal], now: float, bucket: float = BUCKET) -> Window | None:
    """Compute the window at `now` from all prices at once."""
    since = now - DAY - (now - DAY) % bucket
    before = [at for at in stored if at <= since]
    within = [amount for at, amount in stored.items() if since < at <= now + FUTURE_TOLERANCE]
    if not before or not within:
        return None
    return Window(since, stored[max(before)], max(within), min(within))


@given(
    histories,
    st.randoms(use_true_random=False),
    st.lists(st.floats(-DAY, DAY), max_size=5),
    st.sampled_from([BUCKET, 3600.0]),
)
def test_a_window_is_that_of_a_recount(
    stored: dict[float, Decimal], order: Random, steps: list[float], bucket: float
) -> None:
    """Prices may arrive in any order and twice, with gaps, and the window may be read in between."""
    day = PriceDay(bucket)
    arrivals = [*stored, *list(stored)[::3]]
    order.shuffle(arrivals)
    for number, at in enumerate(arrivals):
        day.add(at, stored[at])
        if number % 7 == 0:
            day.window(NOW)
    assert day.window(NOW) == recount(stored, NOW, bucket)
    assert day.newest == max(stored, default=day.newest)
    for now in sorted(NOW + abs(step) for step in steps):
        assert day.window(now) == recount(stored, now, bucket)


@given(st.lists(st.tuples(st.floats(0.001, 40_000), amounts), min_size=1, max_size=60))
def test_as_time_passes(steps: list[tuple[float, Decimal]]) -> None:
    """Prices that come in order, read after each: prices that leave the window are forgotten, the one before it not."""
    day, stored, now = PriceDay(), dict[float, Decimal](), NOW
    for seconds, amount in steps:
        now = round(now + seconds, 3)
        stored[now] = amount
        day.add(now, amount)
        assert day.window(now) == recount(stored, now)


def test_twenty_prices_a_second_take_no_more_room_than_one_a_minute() -> None:
    """Memory depends on the length of the window only."""
    busy, quiet = PriceDay(), PriceDay()
    for number in range(20 * 3600):
        busy.add(NOW + number / 20, Decimal(number + 1))
    for number in range(3 * 1440):
        quiet.add(NOW + 60 * number, Decimal(number + 1))
    hourly = PriceDay(3600)
    for number in range(3 * 1440):
        hourly.add(NOW + 60 * number, Decimal(number + 1))
    assert len(busy) <= 3600 / BUCKET + 1
    assert DAY / BUCKET <= len(quiet) <= 291
    assert 24 <= len(hourly) <= 27


@pytest.mark.parametrize(
    ("at", "change", "high"),
    [
        (SINCE - 0.001, "3", "13"),  # current when the window begins
        (SINCE, "3", "13"),  # as GET …/at?time= finds it
        (SINCE + 0.001, None, None),  # in the window, so there is no price before it
    ],
)
def test_where_the_window_begins(at: float, change: str | None, high: str | None) -> None:
    """The price at the very beginning is the reference, and no part of high and low."""
    day = PriceDay()
    day.add(at, Decimal(10))
    day.add(NOW, Decimal(12))
    found = figures(price(amount="13"), day.window(NOW) or MissingFigures.HISTORY_TOO_YOUNG, SINCE)
    assert (found.change_24h, found.high_24h) == (change and Decimal(change), high and Decimal(high))
    assert found.figures_reason == (None if change else "history_too_young")


def test_the_figures_at_a_price() -> None:
    """The price itself counts for high and low; the volume is that of its sources."""
    window = Window(SINCE, Decimal(80), Decimal(120), Decimal(90))
    newest = price(amount="125.5")
    volume = sum((source.volume for source in newest.sources), Decimal(0))
    assert figures(newest, window, SINCE) == Figures(
        Decimal("45.5"), Decimal("56.875"), Decimal("125.5"), Decimal(90), volume, SINCE, None
    )
    assert figures(price(amount="79"), window, SINCE).low_24h == 79


def test_without_a_window_there_is_a_volume_and_a_reason() -> None:
    """A price of another writer, without sources, has no volume either."""
    bare: Price = msgspec.structs.replace(price(), sources=())
    found = figures(bare, MissingFigures.LOADING, SINCE)
    assert found == Figures(None, None, None, None, None, SINCE, MissingFigures.LOADING)
    assert figures(price(), MissingFigures.LOADING, SINCE).volume_24h is not None


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity"])
def test_a_price_that_is_none_is_ignored(amount: str) -> None:
    """Another writer's item may have it."""
    day = PriceDay()
    day.add(SINCE, Decimal(amount))
    day.add(NOW, Decimal(1))
    assert day.window(NOW) is None


@given(st.integers(1, 10**15 - 1), st.integers(-30, 15))
def test_every_digit_of_a_price_is_kept(digits: int, exponent: int) -> None:
    """Up to 15 significant digits; prices have ten."""
    amount = Decimal(digits).scaleb(exponent)
    day = PriceDay()
    day.add(SINCE, amount)
    day.add(NOW, amount)
    assert day.window(NOW) == Window(SINCE, amount, amount, amount)


def test_after_the_clock_was_set_back_prices_ahead_do_not_count() -> None:
    """Until the clock reaches them."""
    day = PriceDay()
    stored = {SINCE - 3600: Decimal(9), NOW - 3600: Decimal(10), NOW: Decimal(99)}
    for at, amount in stored.items():
        day.add(at, amount)
    earlier = day.window(NOW - 1800)
    assert earlier == Window(window_start(NOW - 1800), Decimal(9), Decimal(10), Decimal(10))
    assert day.window(NOW) == recount(stored, NOW)
