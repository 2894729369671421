"""The flat form of a forest gives the scores of scikit-learn, for trades of any number of assets at once."""

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.anomalies.arena import Arena
from aggregator.anomalies.forest import CONTAMINATION, SEED, TREES, fit
from aggregator.anomalies.sample import SIZE

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Rows: TypeAlias = npt.NDArray[np.float32]
CLOSE = 1e-6


def samples(seed: int, count: int = 400, kind: str = "market") -> Rows:
    """Return samples such as those of a market, or ones that are hard for trees."""
    rng = np.random.default_rng(seed)
    if kind == "flat":
        return np.full((count, SIZE), 7.0, np.float32)
    if kind == "whole":
        return rng.integers(-2, 3, (count, SIZE)).astype(np.float32)
    if kind == "heavy":
        return (rng.standard_cauchy((count, SIZE)) * 1e6).astype(np.float32)
    price = 60_000 * np.exp(np.cumsum(rng.normal(0, 1e-5, count)))
    volume = rng.lognormal(0, 1, count)
    rest = rng.normal(0, 1, (count, 3)) * [3, 0.1, 1e-4]
    return np.column_stack([price, volume, rest, rng.poisson(300, count)]).astype(np.float32)


def reference(rows: Rows) -> "Pipeline":
    """Return scikit-learn's own model of samples."""
    from sklearn.ensemble import IsolationForest  # noqa: PLC0415  # two seconds of CPU time in each process of pytest
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415  # it imports the library, too
    from sklearn.preprocessing import RobustScaler  # noqa: PLC0415  # it imports the library, too

    forest = IsolationForest(n_estimators=TREES, contamination=CONTAMINATION, random_state=SEED)
    return make_pipeline(RobustScaler(), forest).fit(rows.astype(np.float64))


def decisions(arena: Arena, assets: npt.NDArray[np.uint32], rows: Rows) -> npt.NDArray[np.float64]:
    """Return how far the scores are above the thresholds."""
    scores, thresholds = arena.scores(assets, rows)
    return scores - thresholds


@settings(max_examples=4)  # a fit takes a third of a second
@given(seed=st.integers(0, 1 << 32), kind=st.sampled_from(["market", "whole", "heavy", "flat"]))
def test_scores_equal_those_of_scikit_learn(seed: int, kind: str) -> None:
    """For the samples themselves, for others, and for values at, just below and just above the limits of the trees."""
    rows = samples(seed, kind=kind)
    model, arena = reference(rows), Arena()
    arena.put(0, fit(rows, 1))
    others = samples(seed + 1, kind="heavy")
    asked = np.concatenate([rows, others, np.nextafter(rows, np.float32(np.inf)), np.nextafter(rows, np.float32(-1e9))])
    expected = model.decision_function(asked.astype(np.float64))
    assert decisions(arena, np.zeros(len(asked), np.uint32), asked) == pytest.approx(expected, abs=CLOSE)
    assert model.predict(rows.astype(np.float64)).tolist() == [
        -1 if one < 0 else 1 for one in decisions(arena, np.zeros(len(rows), np.uint32), rows)
    ]


def test_a_mixed_batch_of_assets_is_scored_at_once() -> None:
    """Each trade by the forest of its asset, also where forests were replaced or removed; NaN without one."""
    arena, rows = Arena(), {asset: samples(asset) for asset in range(4)}
    for asset in (3, 0, 1, 2):
        arena.put(asset, fit(samples(9), 1) if asset == 1 else fit(rows[asset], 1))
    arena.put(1, fit(rows[1], 2))
    arena.remove(3)
    assets = np.random.default_rng(1).integers(0, 5, 900).astype(np.uint32)
    asked = samples(77, 900)
    found = decisions(arena, assets, asked)
    for asset in range(3):
        expected = reference(rows[asset]).decision_function(asked[assets == asset].astype(np.float64))
        assert found[assets == asset] == pytest.approx(expected, abs=CLOSE)
    assert np.isnan(found[assets > 2]).all()
    assert len(arena) == 3
    assert arena.version(1).startswith("2-")
    assert arena.version(3) == ""


def test_more_forests_than_there_was_room_for() -> None:
    """The arena grows, in number and in the size of a forest, and the scores stay."""
    arena, asked = Arena(), samples(5, 50)
    usual = fit(samples(1), 1)
    large = fit(np.random.default_rng(1).random((1000, SIZE)).astype(np.float32), 1)
    arena.put(0, usual)
    before, _ = arena.scores(np.zeros(50, np.uint32), asked)
    for asset in range(1, 60):
        arena.put(asset, large if asset == 30 else usual)
    assert len(large.records) > 1 << 14
    after, _ = arena.scores(np.zeros(50, np.uint32), asked)
    assert after.tolist() == before.tolist()
    kept = arena.forest(30)
    assert kept is not None
    assert kept.records.tolist() == large.records.tolist()
    assert arena.scores(np.full(50, 59, np.uint32), asked)[0].tolist() == before.tolist()
