"""Tiers by popularity: which assets change tier, and which must not."""

from collections import Counter
from collections.abc import Mapping, Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.models import Asset, Tier
from aggregator.prices.popularity import NEGLIGIBLE, clear_of, decayed, rerank

HOT, MEDIUM, COLD = Tier
HEAT = {HOT: 2, MEDIUM: 1, COLD: 0}
NOBODY: frozenset[str] = frozenset()

amounts = st.one_of(st.integers(0, 12).map(float), st.floats(0, 1000))
tables = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.floats(0, 1e6))
seconds = st.floats(0, 1e5)
half_lives = st.floats(0.1, 1e4)


def listed(tiers: Sequence[Tier]) -> list[Asset]:
    """Return one asset per tier named, called a, b, c, … and ranked in that order."""
    return [Asset(chr(ord("a") + place), "", "", tier, place + 1) for place, tier in enumerate(tiers)]


def after(assets: Sequence[Asset], changes: Mapping[str, Tier]) -> list[Asset]:
    """Return the assets with their new tiers."""
    return [msgspec.structs.replace(asset, tier=changes.get(asset.symbol, asset.tier)) for asset in assets]


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[Asset], dict[str, float], frozenset[str]]:
    """Up to 20 assets in any tiers, scores of some of them and of one that is not listed, and a few pinned."""
    assets = listed(draw(st.lists(st.sampled_from(Tier), max_size=20)))
    symbols = [asset.symbol for asset in assets]
    scores = {symbol: draw(amounts) for symbol in symbols if draw(st.booleans())}
    pinned = frozenset(symbol for symbol in symbols if draw(st.integers(0, 4)) == 0)
    return assets, {**scores, "unlisted": draw(amounts)}, pinned


@pytest.mark.parametrize(
    ("scores", "pinned", "changes"),
    [
        ({}, "", {}),
        ({"e": 3.9}, "", {}),  # not clearly above the zero of d
        ({"e": 4}, "", {"e": MEDIUM, "d": COLD}),  # of c and d, both at zero, the lower rank goes
        ({"e": 4, "d": 1}, "", {"e": MEDIUM, "c": COLD}),
        ({"a": 0, "b": 0, "e": 4}, "", {"e": HOT, "b": MEDIUM, "d": COLD}),
        ({"e": 4, "d": 1, "c": 0}, "d", {"e": MEDIUM, "c": COLD}),
        ({"e": 4, "c": 1, "d": 1}, "", {}),
        ({"e": 5.25, "c": 1, "d": 1}, "", {"e": MEDIUM, "d": COLD}),
        ({"a": 9, "b": 8, "c": 20, "d": 7, "e": 6}, "", {"c": HOT, "b": MEDIUM}),
        ({"a": 90, "b": 8, "c": 20, "d": 0, "e": 500}, "", {"e": HOT, "b": MEDIUM, "d": COLD}),
        ({"a": 90, "b": 8, "c": 20, "d": 10, "e": 500}, "", {"e": HOT, "b": COLD}),  # b is now weaker than c and d
        ({"e": 500, "f": 500}, "", {"e": HOT, "f": HOT, "a": MEDIUM, "b": MEDIUM, "c": COLD, "d": COLD}),
        ({"e": 500, "f": 500}, "abcd", {}),
        ({"e": 500, "f": 500}, "e", {"f": HOT, "b": MEDIUM, "d": COLD}),
        ({"e": 500, "f": 500, "a": 400, "b": 400}, "a", {"e": MEDIUM, "f": MEDIUM, "c": COLD, "d": COLD}),
        ({"unlisted": 500}, "", {}),
    ],
)
def test_the_assets_that_change_tier(scores: dict[str, float], pinned: str, changes: dict[str, Tier]) -> None:
    """Only the expected assets move: a, b are hot with score 100 by default, c, d medium, e, f cold."""
    assets = listed([HOT, HOT, MEDIUM, MEDIUM, COLD, COLD])
    assert rerank(assets, {"a": 100, "b": 100, **scores}, pinned) == changes


@pytest.mark.parametrize("tiers", [[], [COLD] * 3, [HOT] * 3, [HOT, COLD, COLD]])
def test_a_tier_may_be_empty(tiers: list[Tier]) -> None:
    """A tier without slots gets no asset; the two other tiers exchange assets with each other."""
    assets = listed(tiers)
    moved = after(assets, rerank(assets, {"c": 10}, NOBODY))
    assert Counter(asset.tier for asset in moved) == Counter(tiers)
    assert all(asset.tier is max(tiers, key=lambda tier: HEAT[tier]) for asset in moved if asset.symbol == "c")


@given(markets())
def test_sizes_and_pinned_assets_stay(
    market: tuple[list[Asset], dict[str, float], frozenset[str]],
) -> None:
    """Each tier keeps its size; the result has no pinned, unlisted or unmoved asset."""
    assets, scores, pinned = market
    changes = rerank(assets, scores, pinned)
    before = {asset.symbol: asset.tier for asset in assets}
    assert Counter(asset.tier for asset in after(assets, changes)) == Counter(before.values())
    assert not pinned & changes.keys()
    assert all(before[symbol] is not tier for symbol, tier in changes.items())


@given(markets())
def test_a_second_ranking_changes_nothing(market: tuple[list[Asset], dict[str, float], frozenset[str]]) -> None:
    """A second ranking with the same scores changes nothing: no asset is clearly above one of a hotter tier."""
    assets, scores, pinned = market
    settled = after(assets, rerank(assets, scores, pinned))
    assert rerank(settled, scores, pinned) == {}
    free = [(HEAT[asset.tier], scores.get(asset.symbol, 0)) for asset in settled if asset.symbol not in pinned]
    assert all(low < clear_of(high) for colder, low in free for hotter, high in free if colder < hotter)


@given(markets())
def test_promoted_assets_are_clearly_above_the_demoted(
    market: tuple[list[Asset], dict[str, float], frozenset[str]],
) -> None:
    """Between two tiers as many assets move up as down; an asset without accesses never moves up."""
    assets, scores, pinned = market
    changes = rerank(assets, scores, pinned)
    for border in (1, 2):
        ups: list[float] = []
        downs: list[float] = []
        for asset in assets:
            was, now = HEAT[asset.tier], HEAT[changes.get(asset.symbol, asset.tier)]
            if (was >= border) != (now >= border):
                (ups if now > was else downs).append(scores.get(asset.symbol, 0))
        assert len(ups) == len(downs)
        assert all(up > 0 and up >= clear_of(down) for up in ups for down in downs)


@given(markets(), st.randoms(use_true_random=False))
def test_the_order_given_does_not_matter(
    market: tuple[list[Asset], dict[str, float], frozenset[str]], random: Random
) -> None:
    """Ties are decided by rank, not by the order of the list or the mapping."""
    assets, scores, pinned = market
    shuffled = sorted(assets, key=lambda _: random.random())
    backwards = dict(reversed(scores.items()))
    assert rerank(shuffled, backwards, list(pinned)) == rerank(assets, scores, pinned)


noise = st.lists(
    st.lists(st.floats(0.9, 1.11), min_size=12, max_size=12), min_size=1, max_size=20
)  # 1.11 / 0.9 < RATIO
places = st.permutations([HOT] * 2 + [MEDIUM] * 4 + [COLD] * 6)
true_scores = st.lists(amounts, min_size=12, max_size=12)


@given(true_scores, noise)
def test_noise_moves_no_asset_in_the_right_tier(true: list[float], rounds: list[list[float]]) -> None:
    """Scores with up to 10 % noise leave a correct order unchanged, ties included."""
    assets = listed([HOT] * 2 + [MEDIUM] * 4 + [COLD] * 6)
    true.sort(reverse=True)
    for factors in rounds:
        scores = {asset.symbol: score * by for asset, score, by in zip(assets, true, factors, strict=True)}
        assert rerank(assets, scores, NOBODY) == {}


@given(places, true_scores, noise)
def test_nothing_flaps_under_noise(tiers: list[Tier], true: list[float], rounds: list[list[float]]) -> None:
    """From any start, each change under noise is towards the correct order: no assignment comes back."""
    assets = listed(tiers)

    def worth() -> float:
        return sum(HEAT[asset.tier] * score for asset, score in zip(assets, true, strict=True))

    for factors in rounds:
        scores = {asset.symbol: score * by for asset, score, by in zip(assets, true, factors, strict=True)}
        before, changes = worth(), rerank(assets, scores, NOBODY)
        assets = after(assets, changes)
        assert worth() > before if changes else worth() == before


@given(tables, seconds, half_lives)
def test_decay_composes(scores: dict[str, float], elapsed: float, half_life: float) -> None:
    """Decay by s twice equals decay by 2 s, except for rounding at the limit of negligible scores."""
    twice = decayed(decayed(scores, elapsed, half_life), elapsed, half_life)
    once = decayed(scores, 2 * elapsed, half_life)
    for symbol in scores:
        assert twice.get(symbol, NEGLIGIBLE) == pytest.approx(once.get(symbol, NEGLIGIBLE), rel=1e-9)


@given(tables, half_lives)
def test_a_half_life_halves_and_negligible_scores_are_dropped(scores: dict[str, float], half_life: float) -> None:
    """After 26 half-lives a million accesses are dropped, so the mapping holds only assets still in use."""
    assert decayed(scores, half_life, half_life) == {
        symbol: score / 2 for symbol, score in scores.items() if score / 2 >= NEGLIGIBLE
    }
    assert decayed(scores, 27 * half_life, half_life) == {}


@pytest.mark.parametrize(("elapsed", "half_life"), [(-1, 60), (1, 0), (1, -60)])
def test_a_negative_time_is_an_error(elapsed: float, half_life: float) -> None:
    """A negative elapsed time or a half-life of 0 raises ValueError."""
    with pytest.raises(ValueError, match="half-life"):
        decayed({}, elapsed, half_life)
