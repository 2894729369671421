"""The join of articles and trades of unusual volume, against a naive one."""

from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.news.articles import STRENGTHS, SentimentItem, Strength
from aggregator.news.join import KEPT, MOST_ARTICLES, Join, Spans, strength_of
from tests.parts.examples import NOW
from tests.parts.limits import examples


def item(id_: str, seconds: float, sentiment: float = 0.9, asset: str = "btcusdt") -> SentimentItem:
    """Return an article published so many seconds after NOW."""
    return SentimentItem(asset, id_, "Bitcoin", "", "", NOW + seconds, sentiment, "positive", "none")


@pytest.mark.parametrize(
    ("sentiment", "zscore", "strength"),
    [
        (0.5, 3.0, "strong"),
        (-0.5, 3.0, "strong"),
        (0.4999, 3.0, "moderate"),
        (0.9, 2.9999, "moderate"),
        (0.2, 2.0, "moderate"),
        (0.1999, 9.0, "weak"),
        (0.0, 2.0, "weak"),
        (1.0, 1.9999, "none"),
    ],
)
def test_strengths(sentiment: float, zscore: float, strength: str) -> None:
    """A sentiment of 0.5 and a z-score of 3 are strong, 0.2 and 2 moderate; a bound belongs to the greater strength."""
    assert strength_of(sentiment, zscore) == strength


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("begin", [0.0, 0.1, 0.000001, 0.7, 0.333333])
@pytest.mark.parametrize(("distance", "joined"), [(60.0, True), (60.000001, False)])
def test_sixty_seconds_exactly(sign: int, begin: float, distance: float, joined: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """60 s are joined and a microsecond more is not, in both orders of arrival and of time."""
    spike_at = round(NOW + begin + sign * distance, 6)
    before, after = Join(), Join()
    before.spike("btcusdt", spike_at, 3)
    found = before.add(item("1", begin))
    after.add(item("1", begin))
    raised = after.spike("btcusdt", spike_at, 3)
    assert (found.correlation_strength == "strong", bool(raised)) == (joined, joined)


_ASSETS = st.sampled_from(["btcusdt", "ethusdt"])
_SECONDS = st.integers(0, 400_000_000).map(lambda us: us / 1e6) | st.integers(0, 8).map(lambda part: part * 60.0)
_SPIKES = st.lists(st.tuples(_ASSETS, _SECONDS, st.sampled_from([2.0, 2.5, 3.0, 7.5])), max_size=25)
_ITEMS = st.lists(st.tuples(_ASSETS, _SECONDS, st.sampled_from([-0.9, -0.5, -0.3, 0.0, 0.2, 0.6])), max_size=12)


@settings(max_examples=examples(1000), deadline=None)
@given(_SPIKES, _ITEMS, st.randoms(use_true_random=False))
def test_any_order_gives_the_strongest(
    spikes: list[tuple[str, float, float]], items: list[tuple[str, float, float]], random: Random
) -> None:
    """Whatever the order of arrival, and with spikes that come twice, the last strength is that of a naive join."""
    arrivals: list[tuple[str, float, float] | SentimentItem] = [*spikes, *spikes[:3]]
    arrivals += [item(str(number), at, score, asset) for number, (asset, at, score) in enumerate(items)]
    random.shuffle(arrivals)
    join, last = Join(), dict[str, Strength]()
    for one in arrivals:
        raised = [join.add(one)] if isinstance(one, SentimentItem) else join.spike(one[0], NOW + one[1], one[2])
        for known in raised:
            before: Strength = last.get(known.id, "none")
            assert STRENGTHS.index(before) <= STRENGTHS.index(known.correlation_strength)
            last[known.id] = known.correlation_strength
    for number, (asset, seconds, sentiment) in enumerate(items):
        near = [
            strength_of(sentiment, zscore)
            for other, at, zscore in spikes
            if other == asset and abs(round((NOW + at) * 1e6) - round((NOW + seconds) * 1e6)) <= 60_000_000
        ]
        assert last[str(number)] == max(near, key=STRENGTHS.index, default="none")


@settings(max_examples=examples(500), deadline=None)
@given(st.lists(st.integers(0, 4_000), max_size=60), st.integers(0, 4_000))
def test_spans_are_few_and_exact(times: list[int], asked: int) -> None:
    """Of the times within an hour of the newest, the spans know what is near, and there are at most 31 of them."""
    spans = Spans()
    for time in times:
        spans.add(time * 1_000_000)
    assert len(spans._starts) <= 31
    assert all(start - end > 120_000_000 for end, start in zip(spans._ends, spans._starts[1:], strict=False))
    if not times or asked >= max(times) - KEPT + 120:
        assert spans.is_near(asked * 1_000_000) == any(abs(time - asked) <= 60 for time in times)


def test_what_is_kept_is_bounded() -> None:
    """At most MOST_ARTICLES an asset; the oldest go first, as do articles an hour older than the newest spike."""
    join = Join()
    for number in range(MOST_ARTICLES + 5):
        join.add(item(str(number), number))
    assert len(join._assets["btcusdt"].items) == MOST_ARTICLES
    assert [one.id for one in join.spike("btcusdt", NOW - 54, 2)] == ["5", "6"]
    assert join.spike("btcusdt", NOW + KEPT + 200, 3) == []
    assert join._assets["btcusdt"].items == {}


def test_forgetting_an_asset() -> None:
    """Neither its spikes nor its articles are joined any more; those of other assets are."""
    join = Join()
    join.spike("btcusdt", NOW, 3)
    join.spike("ethusdt", NOW, 3)
    join.add(item("1", 0))
    join.forget("btcusdt")
    assert join.add(item("2", 0)).correlation_strength == "none"
    raised = msgspec.structs.replace(item("2", 0), correlation_strength="moderate")
    assert join.spike("btcusdt", NOW, 2) == [raised]
    assert join.add(item("3", 0, asset="ethusdt")).correlation_strength == "strong"
