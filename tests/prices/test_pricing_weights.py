"""The weights of tickers: by volume, capped, exact; without a cap, plain volume weights."""

from decimal import Context, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.prices.pricing import counted_volumes

EXACT = Context(prec=250)
volumes = st.lists(
    st.one_of(
        st.decimals(min_value="0.0001", max_value="999999999", places=4),
        st.sampled_from([Decimal("1E-30"), Decimal("1E+30"), Decimal(1), Decimal(10)]),
    ),
    min_size=1,
    max_size=8,
)
caps = st.decimals(min_value="0.000001", max_value=1, places=6)


def weights(volumes: list[Decimal], most: str | Decimal) -> list[Fraction]:
    """Return each volume's weight as an exact fraction."""
    with localcontext(EXACT):
        counted, total = counted_volumes(volumes, Decimal(most))
    return [Fraction(one) / Fraction(total) for one in counted]


def filled(volumes: list[Decimal], cap: Fraction) -> list[Fraction]:
    """Return the weights by repeating the definition: cap those above, divide the rest, until none is above."""
    capped: set[int] = set()
    while True:
        rest = sum((Fraction(one) for number, one in enumerate(volumes) if number not in capped), Fraction())
        left = 1 - cap * len(capped)
        found = [cap if n in capped else left * Fraction(one) / rest for n, one in enumerate(volumes)]
        above = {number for number, weight in enumerate(found) if weight > cap}
        if not above:
            return found
        capped |= above


@pytest.mark.parametrize(
    ("volumes", "most", "expected"),
    [
        ([1], "0.5", ["1"]),
        ([1, 3], "1", ["1/4", "3/4"]),
        ([1, 3], "0.5", ["1/2", "1/2"]),
        ([1, 3], "0.7", ["3/10", "7/10"]),
        ([1, 3], "0.1", ["1/2", "1/2"]),
        ([1, 1, 2], "0.5", ["1/4", "1/4", "1/2"]),
        ([1, 3, 96], "0.5", ["1/8", "3/8", "1/2"]),
        ([96, 1, 96], "0.4", ["2/5", "1/5", "2/5"]),  # two are above the cap
        ([10, 30, 60], "0.4", ["1/5", "2/5", "2/5"]),  # the second exceeds it only once the third is capped
        ([1, 1, 8], "0.3", ["1/3", "1/3", "1/3"]),  # an equal share is more than the cap
    ],
)
def test_weights_by_example(volumes: list[int], most: str, expected: list[str]) -> None:
    """Weights are by volume up to the cap; the excess goes to the others by their volumes."""
    assert weights([Decimal(one) for one in volumes], most) == [Fraction(one) for one in expected]


@given(volumes, caps)
def test_no_weight_is_above_the_cap(volumes: list[Decimal], most: Decimal) -> None:
    """No weight exceeds the cap or an equal share, whichever is more; all are above zero and sum to one."""
    found = weights(volumes, most)
    assert sum(found) == 1
    assert all(0 < one <= max(Fraction(most), Fraction(1, len(volumes))) for one in found)


@given(volumes, caps)
def test_the_weights_are_those_of_the_definition(volumes: list[Decimal], most: Decimal) -> None:
    """The result equals that of the repeated definition."""
    assert weights(volumes, most) == filled(volumes, max(Fraction(most), Fraction(1, len(volumes))))


@given(volumes)
def test_a_cap_of_one_changes_nothing(volumes: list[Decimal]) -> None:
    """With a cap of 1 each weight is the share of the volume."""
    total = sum(map(Fraction, volumes), Fraction())
    assert weights(volumes, "1") == [Fraction(one) / total for one in volumes]


@given(volumes, caps)
def test_more_volume_is_never_less_weight(volumes: list[Decimal], most: Decimal) -> None:
    """The weights are in the order of the volumes."""
    found = weights(volumes, most)
    by_volume = sorted(zip(volumes, found, strict=True))
    assert [weight for _, weight in by_volume] == sorted(found)
