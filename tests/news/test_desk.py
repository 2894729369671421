"""The news desk: articles and trades in any order, twice, across restarts and between processes."""

import asyncio
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.news.articles import STRENGTHS, Sent
from aggregator.news.desk import MOST_RECENT, MOST_SEEN
from aggregator.news.join import strength_of
from aggregator.stores.events.memory import MemoryEvents
from tests.news.desk_parts import SCORES, Desk, Events, measured, sent
from tests.parts.examples import NOW
from tests.parts.limits import examples


async def test_a_headline_and_the_volume_that_it_moves() -> None:
    """The article is published at once, and again when it is joined; never weaker, never twice."""
    async with Desk().running() as one:
        await one.desk.add("mock", [sent("1"), sent("1")])
        assert await one.settled() == [("btcusdt", "1", "none")]
        for zscore in (1.9, 2.5, 2.5, 3.5, 3.5, 2.0, None):
            one.desk.take([measured(10, zscore)])
        assert await one.settled() == [("btcusdt", "1", "none"), ("btcusdt", "1", "strong")]
        one.desk.take([measured(20, 3.5, "ethusdt")])
    assert one.published[-1].sentiment == 0.6
    assert one.strengths[2:] == []
    assert await one.stored() == {"1": "strong"}


async def test_volume_that_comes_before_its_headline() -> None:
    """The article is published once, joined."""
    async with Desk().running() as one:
        one.desk.take([measured(-30, 2.5)])
        await one.desk.add("mock", [sent("1"), sent("2", 40), sent("3", text="dull bitcoin")])
    assert one.strengths == [("btcusdt", "1", "moderate"), ("btcusdt", "2", "none"), ("btcusdt", "3", "weak")]


async def test_articles_that_are_not_used_are_counted() -> None:
    """By source and reason; a time in the future is tried again, and the rest is not."""
    bad = [
        Sent("mock:1", "good bitcoin"),
        Sent("mock:2", ""),
        sent("3", text="good news"),
        sent("4", 61),
        Sent("", "x"),
    ]
    async with Desk().running() as one:
        for _ in range(2):
            await one.desk.add("mock", bad)
    counted = {
        sample.labels["outcome"]: sample.value
        for metric in one.metrics.news.articles.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }
    assert counted == {"no_date": 1, "no_headline": 1, "no_asset": 1, "future": 2, "no_id": 2}
    assert one.published == []


async def test_a_store_that_is_away() -> None:
    """Articles wait for it, trades do not; nothing is lost or published twice."""
    events = Events(1e12, lambda: NOW)
    events.is_away = True
    async with Desk(events).running() as one:
        adding = asyncio.create_task(one.desk.add("mock", [sent("1"), sent("2", -300)]))
        while events.reads < 3:
            await asyncio.sleep(0.01)
        one.desk.take([measured(5, 3.0)])
        assert one.published == []
        events.is_away = False
        await adding
    assert one.strengths == [("btcusdt", "1", "strong"), ("btcusdt", "2", "none")]


async def test_a_process_of_several_publishes_only_what_it_owns() -> None:
    """An asset is owned from its first live trade on; a process that takes it over goes on where the other was."""
    events = Events(1e12, lambda: NOW)
    async with Desk(events, by_trade=True).running() as first, Desk(events, by_trade=True).running() as second:
        for one in (first, second):
            one.desk.take([measured(-600, 9.0, live=False)])
            await one.desk.add("mock", [sent("1")])
            assert await one.settled() == []
        first.desk.take([measured(-10, None)])
        assert await first.settled() == [("btcusdt", "1", "none")]
        first.desk.take([measured(-5, 2.0)])
        assert await first.settled() == [("btcusdt", "1", "none"), ("btcusdt", "1", "moderate")]
        first.desk.forget("btcusdt")
        second.desk.take([measured(0, 2.0)])
        assert await second.settled() == []
        second.desk.take([measured(1, 3.0)])
        assert await second.settled() == [("btcusdt", "1", "strong")]
        second.desk.forget("btcusdt")
        first.desk.take([measured(2, 3.0)])
    assert len(first.strengths) == 2
    assert await first.stored() == {"1": "strong"}


async def test_the_memory_of_a_desk_is_bounded() -> None:
    """Ids and articles are kept up to a number."""
    one = Desk()
    await one.desk.load(["btcusdt"])
    for first in range(0, MOST_SEEN + 200, 1000):
        await one.desk.add("mock", [Sent(f"mock:{first + number}", "") for number in range(1000)])
    for number in range(MOST_RECENT + 10):
        await one.desk.add("mock", [sent(f"a{number}", number / 100, "good ethereum")])
    assert len(one.desk._seen) == MOST_SEEN
    assert len(one.desk._recent) == MOST_RECENT


_TEXTS = st.sampled_from([f"{word} {name}" for word in SCORES for name in ("bitcoin", "ethereum", "bitcoin ethereum")])
_ARTICLES = st.lists(st.tuples(st.integers(-200, 40), _TEXTS), min_size=1, max_size=6)
_TRADES = st.lists(
    st.tuples(
        st.integers(-300, 40), st.sampled_from([None, 1.0, 2.0, 3.0, 8.0]), st.sampled_from(["btcusdt", "ethusdt"])
    ),
    max_size=12,
)


async def _run(articles: list[Sent], trades: list[tuple[int, float | None, str]], random: Random) -> None:
    """Send everything in a random order, some of it twice, with restarts and reloads in between; then check."""
    steps: list[object] = [*articles, *random.sample(articles, len(articles) // 2), *trades, *trades[:2]]
    steps += ["restart", "reload", "reload"]
    random.shuffle(steps)
    events, taken = MemoryEvents(1e12, lambda: NOW), list[tuple[int, float | None, str]]()
    published: list[tuple[str, str, str]] = []
    one = Desk(events)
    while steps:
        async with one.running():
            while steps and (step := steps.pop()) != "restart":
                if isinstance(step, Sent):
                    await one.desk.add("mock", [step])
                elif isinstance(step, tuple):
                    taken.append(step)
                    one.desk.take([measured(*step)])
                else:
                    one.desk.forget("btcusdt")
                    await one.desk.load(["btcusdt"])
                    one.desk.take([measured(*trade, live=False) for trade in taken if trade[2] == "btcusdt"])
                await asyncio.sleep(0)
        published += one.strengths
        one = Desk(events)
    async with one.running():  # after a restart, the trades are measured again, and the source sends its articles again
        one.desk.take([measured(*trade, live=False) for trade in taken])
        await one.desk.add("mock", articles)
    published += one.strengths
    assert len(set(published)) == len(published), "an event was published twice"
    for asset, name in (("btcusdt", "bitcoin"), ("ethusdt", "ethereum")):
        assert await one.stored(asset) == {
            article.id.partition(":")[2]: _strongest(article, asset, trades)
            for article in articles
            if name in article.headline
        }


def _strongest(article: Sent, asset: str, trades: list[tuple[int, float | None, str]]) -> str:
    near = [
        strength_of(SCORES[article.headline.split()[0]], zscore or 0.0)
        for seconds, zscore, other in trades
        if other == asset and abs(NOW + seconds - float(article.published_at or 0)) <= 60
    ]
    return max(near, key=STRENGTHS.index, default="none")


@settings(max_examples=examples(100), deadline=None)
@given(_ARTICLES, _TRADES, st.integers(0, 1 << 30))
def test_duplicates_restarts_and_order_change_nothing(
    articles: list[tuple[int, str]], trades: list[tuple[int, float | None, str]], seed: int
) -> None:
    """Every order ends with the strongest correlation of each article, and no event is published twice."""
    found = [sent(str(number), seconds, text) for number, (seconds, text) in enumerate(articles)]
    asyncio.run(_run(found, trades, Random(seed)))
