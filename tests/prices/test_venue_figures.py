"""What pricing makes of each exchange's tickers over five minutes, compared with a naive count."""

from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from aggregator.models import LeftOut, NoPrice, Price, Reason, Source, Tier, VenueWindow
from aggregator.prices.venue_figures import BUCKET_SECONDS, BUCKETS, SAMPLE_SECONDS, VenueFigures, quotes
from tests.parts.examples import NOW

NAMES = ("exchange1", "exchange2")
ASSETS = ("btcusdt", "ethusdt", "newcoin")
SOUND = {Reason.OUTLIER, Reason.DISAGREEMENT, Reason.TOO_FEW}

amounts = some.decimals("0.5", "2", places=3)
tickers = some.builds(
    lambda name, amount: Source(name, amount, Decimal(1), NOW, Decimal(1)), some.sampled_from(NAMES), amounts
)
refusals = some.builds(
    lambda name, reason, amount: LeftOut(name, reason, price=amount),
    some.sampled_from(NAMES),
    some.sampled_from(Reason),
    some.none() | amounts,
)


def priced(asset: str, amount: str, sources: list[Source], left_out: list[LeftOut], tier: Tier = Tier.HOT) -> Price:
    """Return a price."""
    return Price(asset, Decimal(amount), NOW, tier, Decimal(0), NOW, tuple(sources), tuple(left_out))


outcomes = some.builds(
    lambda asset, amount, sources, left_out: priced(asset, str(amount), sources, left_out),
    some.sampled_from(ASSETS),
    amounts,
    some.lists(tickers, max_size=2),
    some.lists(refusals, max_size=2),
) | some.builds(
    lambda asset, left_out: NoPrice(asset, tuple(left_out)), some.sampled_from(ASSETS), some.lists(refusals, max_size=2)
)
recordings = some.lists(
    some.tuples(some.floats(0, 40) | some.floats(0, 500), some.lists(outcomes, max_size=3)), max_size=12
)


def recounted(history: list[tuple[float, Price | NoPrice]], exchange: str, now: float) -> VenueWindow:
    """Count all outcomes of the window one by one."""
    used, left_out, distances = 0, Counter[str](), list[float]()
    sampled: dict[str, float] = {}
    for at, outcome in history:
        is_sample = at - sampled.get(outcome.asset, -SAMPLE_SECONDS) >= SAMPLE_SECONDS
        if is_sample:
            sampled[outcome.asset] = at
        if at // BUCKET_SECONDS <= now // BUCKET_SECONDS - BUCKETS:
            continue
        left_out.update(
            one.reason.value
            for one in outcome.left_out
            if one.exchange == exchange and one.reason is not Reason.NOT_LISTED
        )
        if not isinstance(outcome, Price):
            continue
        prices = [one.price for one in outcome.sources if one.exchange == exchange]
        used += len(prices)
        prices += [
            one.price
            for one in outcome.left_out
            if one.exchange == exchange and one.price is not None and one.reason in SOUND
        ]
        if is_sample:
            distances += [float((amount - outcome.price) / outcome.price) for amount in prices]
    return VenueWindow(used, dict(left_out), len(distances), sum(distances), sum(map(abs, distances)))


@given(recordings, some.floats(0, 400))
def test_the_window_has_what_a_naive_count_has(
    recorded: list[tuple[float, list[Price | NoPrice]]], later: float
) -> None:
    """Whatever is recorded, and whenever; the memory stays within the window's buckets."""
    figures, now = VenueFigures(), 0.0
    history: list[tuple[float, Price | NoPrice]] = []
    for pause, together in recorded:
        now += pause
        figures.record(together, now)
        history += [(now, outcome) for outcome in together]
    assert len(figures._buckets) <= BUCKETS
    for exchange in NAMES:
        found, wanted = figures.of(exchange, now + later), recounted(history, exchange, now + later)
        assert (found.used, found.left_out, found.compared) == (wanted.used, wanted.left_out, wanted.compared)
        assert found.distance == pytest.approx(wanted.distance, abs=1e-12)
        assert found.absolute_distance == pytest.approx(wanted.absolute_distance, abs=1e-12)


def source(exchange: str, amount: str) -> Source:
    """Return a source."""
    return Source(exchange, Decimal(amount), Decimal(1), NOW, Decimal("0.5"))


def test_a_distance_has_a_sign() -> None:
    """Dearer than our price is above zero, an outlier counts, and a ticker that is too old does not."""
    figures = VenueFigures()
    old = LeftOut("exchange2", Reason.TOO_OLD, price=Decimal(300))
    figures.record([priced("btcusdt", "100", [source("exchange1", "101")], [old])], 1.0)
    outlier = LeftOut("exchange2", Reason.OUTLIER, price=Decimal(75))
    figures.record([priced("ethusdt", "100", [source("exchange1", "99")], [outlier])], 1.5)
    dear, cheap = figures.of("exchange1", 2.0), figures.of("exchange2", 2.0)
    assert dear.compared == 2
    assert (dear.distance, dear.absolute_distance) == pytest.approx((0, 0.02))
    assert (cheap.compared, cheap.distance, cheap.absolute_distance) == (1, -0.25, 0.25)
    assert cheap.left_out == {"too_old": 1, "outlier": 1}
    assert figures.of("nosuch", 2.0) == VenueWindow()


def test_only_the_samples_of_hot_assets_are_kept() -> None:
    """Also the outcome without a price that follows; not that of an asset which was never hot, or is forgotten."""
    figures = VenueFigures()
    cold = priced("coldcoin", "100", [source("exchange1", "101")], [], Tier.COLD)
    hot = priced("btcusdt", "100", [source("exchange1", "101")], [])
    figures.record([cold, hot, NoPrice("newcoin")], 1.0)
    assert [(symbol, sample.outcome) for symbol, sample in figures.hot()] == [("btcusdt", hot)]
    figures.record([NoPrice("btcusdt")], 2.0)
    assert [(symbol, sample.outcome, sample.at) for symbol, sample in figures.hot()] == [
        ("btcusdt", NoPrice("btcusdt"), 2.0)
    ]
    figures.forget("btcusdt")
    assert figures.hot() == []


def test_quotes_without_a_price_of_ours() -> None:
    """Exchanges that disagree have a price and no distance; an exchange without a ticker has neither."""
    apart = LeftOut("exchange1", Reason.DISAGREEMENT, price=Decimal(100))
    silent = LeftOut("exchange2", Reason.TIMEOUT)
    (found,) = quotes(NoPrice("btcusdt", (apart, silent)))
    assert (found.exchange, found.price, found.distance) == ("exchange1", 100.0, None)
