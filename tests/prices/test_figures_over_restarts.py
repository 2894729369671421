"""Restarts of the keeper of the 24-hour figures: whatever it missed, it agrees with a recount over the history."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.prices import day_reader
from aggregator.stores.sqlite import SqliteHistory
from tests.parts.examples import NOW, price
from tests.prices.day_figures import SINCE, Scene, amounts

points = st.lists(
    st.tuples(
        st.integers(-30 * 3600, 0) | st.integers(-360, -280).map(lambda place: 300 * place - 200),
        st.integers(1, 10_000),
    ),
    max_size=40,
    unique_by=lambda point: point[0],
)


@settings(max_examples=30, deadline=None)
@given(points, st.sets(st.integers(0, 40)), st.integers(1, 50))
async def test_with_restarts_the_figures_are_those_of_all_stored_prices(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, int]], restarts: set[int], page: int
) -> None:
    """On a SQLite file, which summarises: the last of several keepers agrees with a recount over the whole history."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(day_reader, "_SUMMARIZED", page)
        await check_restarts(tmp_path_factory, drawn, restarts)


async def check_restarts(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[int, int]], restarts: set[int]
) -> None:
    """Store prices and publish them to a keeper that is another one after each restart; then compare."""
    history = SqliteHistory(tmp_path_factory.mktemp("history") / "prices.db", now=lambda: NOW)
    await history.open()
    scene = Scene(history)
    for number, (at, amount) in enumerate(sorted(drawn)):
        newest = price(timestamp=NOW + at, amount=str(amount))
        scene.now = newest.timestamp
        if number in restarts:
            scene = Scene(history)
            scene.now = newest.timestamp
        await history.write([newest])
        scene.keeper.receive([newest])
    scene.now = NOW
    async with scene.running():
        await scene.read("btcusdt")
        stored_points = [(NOW + at, Decimal(amount)) for at, amount in sorted(drawn)]
        assert amounts(scene.of(price(amount="50"))) == recount(stored_points, Decimal(50))
    await history.close()


def recount(prices: Sequence[tuple[float, Decimal]], newest: Decimal) -> tuple[object, ...]:
    """Compute change, high and low at the price `newest` from all prices."""
    before = [amount for at, amount in prices if at <= SINCE]
    within = [amount for at, amount in prices if at > SINCE]
    if not before or not within:
        return (None, None, None)
    return newest - before[-1], max(*within, newest), min(*within, newest)
