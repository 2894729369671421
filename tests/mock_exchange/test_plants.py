"""Plants: their schedule, and their effect on trades and tickers. Seeds and times are fixed; nothing is random."""

import itertools
import math
from collections import Counter
from pathlib import Path
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mock_exchange.market import DAY, Pair
from mock_exchange.news import articles
from mock_exchange.plants import (
    AROUND_HEADLINE,
    DROP,
    HEADLINE,
    KINDS,
    LONGEST,
    PEAK,
    RATE_BURST,
    SPIKE,
    VENUES,
    VOLUME_BURST,
    Plant,
    Plants,
)
from mock_exchange.symbols import open_market, open_planted
from mock_exchange.trades import MEAN_FACTOR, MOST_PER_SECOND, TRADES_PER_SECOND, Trade, TradeMaker, block_at

FILE = Path(__file__).parents[2] / "symbols.csv"
MARKET, PLANTS = open_planted(7, FILE, 1)
QUIET = 1_764_400_200  # unix seconds, outside of opens
PLAIN = open_market(7, FILE)
MAKERS = {venue: TradeMaker(7, venue, MARKET, plants=PLANTS) for venue in VENUES}

times = st.floats(min_value=1.5e9, max_value=2.5e9)
rates = st.sampled_from((0.1, 1.0, 10.0))


def planted(kind: str, seconds: float = 3000) -> list[Plant]:
    """Return the plants of a kind in some seconds."""
    return [plant for plant in PLANTS.between(QUIET, QUIET + seconds) if plant.kind == kind]


def traded(maker: TradeMaker, start: float, end: float) -> list[Trade]:
    """Return the trades of [start, end)."""
    made = [trade for block in range(block_at(start), block_at(end) + 1) for trade in maker.made(block, 1, lambda t: t)]
    return [trade for trade in made if start <= trade.timestamp < end]


def trades_a_day(symbol: str) -> float:
    """Return the mean number of trades of a pair in a day at a venue, without plants."""
    rank = next(pair.rank for pair in MARKET if pair.symbol == symbol)
    shares = sum(1 / (pair.rank + 1) for pair in MARKET)
    return TRADES_PER_SECOND * MEAN_FACTOR * DAY / (rank + 1) / shares


@given(times)
def test_each_kind_is_planted_within_five_minutes(t: float) -> None:
    """Whenever a demo starts, at the rate of the demo; a drop reaches its lowest price within these minutes."""
    begun = {plant.kind for plant in PLANTS.between(t, t + 300) if plant.start >= t}
    assert begun == {kind.name for kind in KINDS}
    assert any(plant.kind == DROP.name and plant.start >= t for plant in PLANTS.between(t, t + 150))


@given(times, st.floats(min_value=0, max_value=3600), rates)
def test_parts_of_a_range_have_the_plants_of_the_whole(t: float, seconds: float, rate: float) -> None:
    """No plant is missing or twice at the edges, and a schedule made anew is the same."""
    plants, anew = Plants(7, list(MARKET), rate), Plants(7, list(MARKET), rate)
    cut = t + seconds / 2
    parts = [*plants.between(t, cut), *plants.between(cut, t + seconds)]
    whole = anew.between(t, t + seconds)
    assert sorted(set(parts), key=repr) == sorted(whole, key=repr)
    assert len(set(whole)) == len(whole)
    assert [plant.start for plant in whole] == sorted(plant.start for plant in whole)


@pytest.mark.parametrize("rate", [1.0, 10.0])
@pytest.mark.parametrize("listed", [1, 8, 1000])
def test_plants_of_a_kind_never_overlap_in_an_asset(rate: float, listed: int) -> None:
    """At any rate, in a market of any size; bursts of headlines aside, which have times of their own."""
    found = Plants(7, [pair for pair in MARKET if pair.quote == "usdt"][:listed], rate).between(QUIET, QUIET + 3600)
    assert {plant.kind for plant in found} >= {SPIKE.name, DROP.name, HEADLINE.name}
    for kind, asset in {(plant.kind, plant.asset) for plant in found if plant.kind != VOLUME_BURST.name}:
        mine = [plant for plant in found if (plant.kind, plant.asset) == (kind, asset)]
        assert all(before.end <= after.start for before, after in itertools.pairwise(mine))


def test_plants_are_in_the_hot_assets() -> None:
    """In the first 20 rows: by default, the service takes the trades of these only."""
    hot = {pair.symbol for pair in MARKET if pair.rank < 20}
    assert {plant.asset for plant in PLANTS.between(QUIET, QUIET + 3600)} <= hot


def test_without_plants() -> None:
    """A rate of 0, or a market of currencies only, has none."""
    assert Plants(7, list(MARKET), 0).between(QUIET, QUIET + 3600) == []
    assert Plants(7, list(MARKET), 0).moves() == {}
    assert Plants(7, [Pair("eurusd", "eur", "usd", 0), Pair("usdcusdt", "usdc", "usdt", 1)], 1).between(0, 3600) == []


def test_assets_that_others_are_quoted_in_have_no_drops() -> None:
    """Bitcoin's drop would be a rise of all pairs against bitcoin."""
    quotes = {pair.quote for pair in MARKET}
    pairs = {pair.symbol: pair for pair in MARKET}
    for drop in planted(DROP.name):
        assert pairs[drop.asset].base not in quotes
        assert {pairs[symbol].base for symbol in drop.symbols} == {pairs[drop.asset].base}


def test_a_drop_falls_rises_and_returns_at_all_venues() -> None:
    """Momentum over 60 s falls below -2 %, and the later peak is 5 % above that price; before and after, nothing."""
    for drop in planted(DROP.name):
        for venue in VENUES:
            prices = [MARKET.venue_figures(venue, drop.asset, drop.start + second)[0] for second in range(-60, 500)]
            momentum = [now / before - 1 for before, now in zip(prices, prices[60:], strict=False)]
            bought = next(second for second, change in enumerate(momentum) if change <= -0.02)
            assert bought < 60
            assert max(prices[60 + bought :]) > 1.05 * prices[60 + bought]
            assert sum(change <= -0.02 for change in momentum) >= 10
            assert min(momentum[200:]) > -0.02
        for t in (drop.start - 1, drop.end + 1):
            assert MARKET.price(drop.asset, t) == PLAIN.price(drop.asset, t)


def test_a_drop_is_smooth() -> None:
    """No pair moves by more than 0.15 % a second, so that tickers of different moments agree."""
    for drop in planted(DROP.name)[:4]:
        assert len(drop.symbols) > 1
        for symbol in drop.symbols:
            prices = [MARKET.price(symbol, drop.start + step / 2) for step in range(-2, 2 * int(LONGEST) + 2)]
            assert all(abs(math.log(after / before)) < 0.00075 for before, after in itertools.pairwise(prices))
        assert max(prices) < prices[0] * math.exp(PEAK + 0.02)


def test_a_spike_is_in_the_trades_of_one_venue() -> None:
    """These are off by its size, large, and there are some; those of other venues and the tickers are as usual."""
    some, volumes = 0, []
    for spike in planted(SPIKE.name):
        assert MARKET.price(spike.asset, spike.start + 0.5) == PLAIN.price(spike.asset, spike.start + 0.5)
        for venue, maker in MAKERS.items():
            usual = spike.size if venue == spike.venue else 0
            mine = [trade for trade in traded(maker, spike.start, spike.end) if trade.symbol == spike.asset]
            some += bool(mine) and venue == spike.venue
            for trade in mine:
                price, day_volume = MARKET.venue_figures(venue, trade.symbol, trade.timestamp)
                assert abs(math.log(float(trade.price) / price) - usual) < 0.0003
                if usual:
                    volumes.append(float(trade.volume) / day_volume * trades_a_day(trade.symbol))
    assert 10 < median(volumes) < 30  # a volume burst at the same time makes some larger
    assert some > 0.9 * len(planted(SPIKE.name))


def test_a_volume_burst_multiplies_volumes() -> None:
    """At each venue there are some trades in it, on average at least ten times as large as those before."""
    volumes: dict[bool, list[float]] = {True: [], False: []}
    for burst in planted(VOLUME_BURST.name)[:5]:
        assert 15 <= burst.size <= 30
        for venue, maker in MAKERS.items():
            _, day_volume = MARKET.venue_figures(venue, burst.asset, burst.start)
            for trade in traded(maker, burst.start - 30, burst.end):
                if trade.symbol == burst.asset:
                    volumes[burst.covers(trade.timestamp)].append(float(trade.volume) / day_volume)
    means = {planted: sum(some) / len(some) for planted, some in volumes.items()}
    assert means[True] > 10 * means[False]


def test_a_rate_burst_multiplies_arrivals() -> None:
    """Ten times as many of its pair, and as many of the others."""
    counts: Counter[tuple[bool, bool]] = Counter()
    for burst in planted(RATE_BURST.name)[:6]:
        for trade in traded(MAKERS["exchange2"], burst.start - 10, burst.end):
            counts[trade.symbol == burst.asset, burst.covers(trade.timestamp)] += 1
    assert counts[True, True] > 7 * counts[True, False]
    assert 0.9 < counts[False, True] / counts[False, False] < 1.1


def test_trades_of_other_pairs_stay_as_they_are() -> None:
    """Plants change ids of the others, and nothing else; ids and times grow."""
    plain = TradeMaker(7, "exchange1", PLAIN)
    burst = planted(RATE_BURST.name)[0]
    found = traded(MAKERS["exchange1"], burst.start, burst.end)
    names = {plant.asset for plant in PLANTS.between(burst.start, burst.end)} | {
        symbol for drop in PLANTS.between(burst.start, burst.end) for symbol in drop.symbols
    }
    usual = traded(plain, burst.start, burst.end)
    others = [[trade[1:] for trade in trades if trade.symbol not in names] for trades in (usual, found)]
    assert others[0] == others[1]
    assert all(before.id < after.id for before, after in itertools.pairwise(found))
    assert all(before.timestamp <= after.timestamp for before, after in itertools.pairwise(found))


def test_a_rate_burst_is_bounded() -> None:
    """At the highest rate a burst adds nothing."""
    busiest = TradeMaker(7, "exchange1", MARKET, MOST_PER_SECOND, PLANTS)
    burst = planted(RATE_BURST.name)[0]
    assert len(traded(busiest, burst.start, burst.start + 1)) < MOST_PER_SECOND * 1.1


def test_each_headline_has_a_volume_burst() -> None:
    """It begins within 45 s before or after, and is over within 60 s."""
    bursts = planted(VOLUME_BURST.name, 3100)
    for headline in planted(HEADLINE.name)[1:]:
        near = [burst for burst in bursts if burst.asset == headline.asset]
        assert any(abs(burst.start - headline.start) <= AROUND_HEADLINE for burst in near)
        assert headline.end == headline.start


def test_articles_are_invented_and_say_so() -> None:
    """One for each headline, published at its time, with an id of its own and the pair that it is about."""
    names = {pair.symbol: pair.base.upper() for pair in MARKET}
    found = articles(PLANTS, names, QUIET, QUIET + 3000)
    headlines = planted(HEADLINE.name)
    assert [(one.published_at, tuple(one.symbols)) for one in found] == [(one.start, one.symbols) for one in headlines]
    assert len({one.id for one in found}) == len(found)
    for one in found:
        assert names[one.symbols[0]] in one.headline
        assert one.source == "mock"
        assert one.summary.startswith("Invented")
        assert one.url.startswith("https://news.invalid/")
    assert len({one.headline for one in found}) > 10


def test_articles_are_bounded() -> None:
    """The last hundred of the last hour."""
    busy = Plants(7, list(MARKET), 10)
    names = {pair.symbol: pair.base for pair in MARKET}
    found = articles(busy, names, 0, QUIET)
    assert len(found) == 100
    assert found[-1].published_at > QUIET - 10
    assert articles(PLANTS, names, 0, QUIET)[0].published_at >= QUIET - 3600


def test_sentiment_of_articles() -> None:
    """VADER finds good headlines clearly positive, and bad ones clearly negative."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # noqa: PLC0415  # reads its lexicon for 0.1 s

    analyzer = SentimentIntensityAnalyzer()
    names = {pair.symbol: pair.base.upper() for pair in MARKET}
    sizes = {plant.start: plant.size for plant in planted(HEADLINE.name)}
    for one in articles(PLANTS, names, QUIET, QUIET + 3000):
        for text in (one.headline, f"{one.headline} {one.summary}"):
            assert analyzer.polarity_scores(text)["compound"] * sizes[one.published_at] > 0.5
