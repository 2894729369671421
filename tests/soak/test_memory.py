"""The slope that the soak judges memory by."""

import random

import pytest

from tests.soak.memory import growth


def test_the_slope_ignores_single_peaks() -> None:
    """Noise and a few peaks around a constant give no growth; a steady leak beside them is found."""
    chance = random.Random(5)
    flat = [(float(at), 200e6 + chance.gauss(0, 1e6) + (50e6 if at % 97 == 0 else 0)) for at in range(1000)]
    assert abs(growth(flat)) < 1000
    leaking = [(at, size + 5000 * at) for at, size in flat]
    assert growth(leaking) == pytest.approx(5000, rel=0.1)


def test_one_sample_has_no_slope() -> None:
    """A single sample is an error, not zero."""
    with pytest.raises(ValueError, match="two samples"):
        growth([(0.0, 1.0)])
