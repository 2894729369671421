"""Conversion of a ticker to another quote: exact product, older time, one hop only."""

import math
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.models import FUTURE_TOLERANCE, Asset, Conversion, LeftOut, Price, Reason, Ticker, Tier
from aggregator.models import Source as PriceSource
from aggregator.prices.conversion import CannotConvert, Conversions, Source, convert
from aggregator.prices.pricing import Rules, aggregate
from tests.parts.examples import NOW

BTCUSD = Asset("btcusd", "btc", "usd", Tier.HOT, 1)
BTCUSDT = Asset("btcusdt", "btc", "usdt", Tier.HOT, 2)
USDTUSD = Asset("usdtusd", "usdt", "usd", Tier.HOT, 3)
EURUSD = Asset("eurusd", "eur", "usd", Tier.HOT, 4)
RULES = Rules(10, Decimal("0.05"), 1, Decimal("0.5"))
OLDEST = 7.5
HUGE = Decimal("1E+30")

amounts = st.decimals(min_value="0.00000001", max_value="1000000", places=10).filter(lambda number: number > 0)


def rate(price: str = "0.9998", timestamp: float = NOW - 1, converted: Conversion | None = None) -> Price:
    """Return our price of usdtusd."""
    amount = Decimal(price)
    source = PriceSource("kraken", amount, Decimal(1), timestamp, Decimal(1), converted=converted or msgspec.UNSET)
    return Price("usdtusd", amount, timestamp, Tier.HOT, Decimal(0), timestamp, (source,))


def ticker(price: Decimal = Decimal(80_000), volume: Decimal = Decimal(3), timestamp: float = NOW - 2) -> Ticker:
    """Return binance's ticker of btcusdt."""
    return Ticker("binance", "btcusdt", price, volume, timestamp)


def converted(said: Ticker, by: Price | None) -> Ticker:
    """Return the converted ticker; fail if it cannot be converted."""
    found = convert(BTCUSD, BTCUSDT, said, by, OLDEST, NOW)
    assert isinstance(found, Ticker), found
    return found


def test_an_example() -> None:
    """80,000 usdt at 0.9998 are 79,984 usd; the volume is unchanged, the older time counts, both factors are kept."""
    found = converted(ticker(), rate())
    assert found == Ticker(
        "binance",
        "btcusd",
        Decimal(79_984),
        Decimal(3),
        NOW - 2,
        converted=Conversion("btcusdt", Decimal(80_000), "usdtusd", Decimal("0.9998"), NOW - 1),
    )


@given(amounts, amounts, amounts)
def test_the_product_is_exact(price: Decimal, by: Decimal, volume: Decimal) -> None:
    """The product loses no digit, and the volume is unchanged."""
    found = converted(ticker(price, volume), rate(str(by)))
    assert Fraction(found.price) == Fraction(price) * Fraction(by)
    assert found.volume == volume


@given(amounts, amounts, st.floats(0, 7), st.floats(0, 7))
def test_neither_makes_the_other_look_fresher(price: Decimal, by: Decimal, age: float, rate_age: float) -> None:
    """The converted ticker has the older time of ticker and rate, so the age limit is as strict as for others."""
    found = converted(ticker(price, timestamp=NOW - age), rate(str(by), NOW - rate_age))
    assert found.timestamp == min(NOW - age, NOW - rate_age)
    rules = Rules(5, Decimal("0.05"), 1, Decimal("0.5"))
    used = isinstance(aggregate(BTCUSD, [found], rules, NOW), Price)
    assert used == (NOW - found.timestamp <= 5)


@given(st.lists(amounts, min_size=2, max_size=5), st.decimals(min_value="0.5", max_value="2", places=6))
def test_outliers_do_not_depend_on_the_rate(prices: list[Decimal], by: Decimal) -> None:
    """Tickers converted by the same rate are outliers exactly if they were before."""

    def reasons(asset: Asset, tickers: list[Ticker]) -> list[tuple[str, Reason]]:
        outcome = aggregate(asset, tickers, RULES, NOW)
        return [(one.exchange, one.reason) for one in outcome.left_out]

    said = [Ticker(f"x{number}", "btcusdt", price, Decimal(1), NOW) for number, price in enumerate(prices)]
    assert reasons(BTCUSDT, said) == reasons(BTCUSD, [converted(one, rate(str(by))) for one in said])


def test_a_converted_outlier_shows_its_factors() -> None:
    """A converted outlier is left out, and shows the price that it was converted from."""
    others = [Ticker(name, "btcusd", Decimal(100), Decimal(1), NOW) for name in ("a", "b")]
    liar = converted(ticker(Decimal(200)), rate())
    (left_out,) = aggregate(BTCUSD, [*others, liar], RULES, NOW).left_out
    assert left_out.reason is Reason.OUTLIER
    assert left_out.converted == Conversion("btcusdt", Decimal(200), "usdtusd", Decimal("0.9998"), NOW - 1)


def test_one_wrong_exchange_in_both_rate_and_pair() -> None:
    """An exchange that is off by half of max_deviation in rate and pair moves the price by 5.06 % at most."""
    rules = msgspec.structs.replace(RULES, min_sources=2)
    rated = [Ticker("a", "usdtusd", Decimal(1), Decimal(1), NOW), Ticker("liar", "usdtusd", Decimal("1.05"), HUGE, NOW)]
    bent = aggregate(USDTUSD, rated, rules, NOW)
    assert isinstance(bent, Price)
    said = [converted(Ticker("a", "btcusdt", Decimal(100), Decimal(1), NOW), bent)]
    said.append(Ticker("liar", "btcusd", said[0].price * Decimal("1.05"), HUGE, NOW))
    outcome = aggregate(BTCUSD, said, rules, NOW)
    assert isinstance(outcome, Price)
    assert outcome.price == 100 * Decimal("1.025") ** 2


def test_a_converted_ticker_counts_as_a_source_of_its_own_exchange() -> None:
    """A converted ticker counts as the second source; without a rate there is one source and no price."""
    rules = msgspec.structs.replace(RULES, min_sources=2)
    own = Ticker("kraken", "btcusd", Decimal(79_990), Decimal(1), NOW)
    outcome = aggregate(BTCUSD, [own, converted(ticker(), rate())], rules, NOW)
    assert isinstance(outcome, Price)
    assert (len(outcome.sources), outcome.degraded) == (2, False)
    unrated = convert(BTCUSD, BTCUSDT, ticker(), None, OLDEST, NOW)
    reasons = [one.reason for one in aggregate(BTCUSD, [own, unrated], rules, NOW).left_out]
    assert reasons == [Reason.NO_RATE, Reason.TOO_FEW]
    alone = aggregate(BTCUSD, [own, unrated], RULES, NOW)
    assert isinstance(alone, Price)
    assert alone.degraded  # binance trades it, through a rate that is missing now


@pytest.mark.parametrize(
    ("said", "by", "reason"),
    [
        (ticker(), None, Reason.NO_RATE),
        (ticker(), rate(timestamp=NOW - OLDEST - 0.001), Reason.NO_RATE),
        (ticker(), rate(timestamp=math.nan), Reason.NO_RATE),
        (ticker(), rate(converted=Conversion("a", Decimal(1), "b", Decimal(1), NOW)), Reason.NO_RATE),
        (ticker(Decimal("NaN")), rate(), Reason.BAD_PRICE),
        (ticker(Decimal("sNaN")), rate(), Reason.BAD_PRICE),
        (ticker(Decimal("Infinity")), rate(), Reason.BAD_PRICE),
        (ticker(Decimal("1E+999999")), rate(), Reason.BAD_PRICE),
        (ticker(Decimal(0)), rate(), Reason.BAD_PRICE),
        (ticker(Decimal("1." + "1" * 50)), rate(), Reason.BAD_PRICE),
        (msgspec.structs.replace(ticker(), symbol="ethusdt"), rate(), Reason.WRONG_SYMBOL),
        (msgspec.structs.replace(ticker(), symbol="btcusd"), rate(), Reason.WRONG_SYMBOL),
    ],
)
def test_a_failed_conversion_has_a_reason(said: Ticker, by: Price | None, reason: Reason) -> None:
    """A missing, stale or converted rate gives a reason, and so does a ticker that pricing would reject."""
    found = convert(BTCUSD, BTCUSDT, said, by, OLDEST, NOW)
    assert isinstance(found, LeftOut)
    assert (found.exchange, found.reason) == ("binance", reason)


@pytest.mark.parametrize("seconds", [FUTURE_TOLERANCE + 1, 1e6, math.inf])
def test_a_time_ahead_is_not_replaced_by_that_of_the_rate(seconds: float) -> None:
    """A ticker too far ahead is rejected, converted or not: its time is not replaced by that of the rate."""
    found = converted(ticker(timestamp=NOW + seconds), rate())
    (left_out,) = aggregate(BTCUSD, [found], RULES, NOW).left_out
    assert left_out.reason is Reason.FROM_THE_FUTURE


def test_a_nan_time_stays_nan() -> None:
    """A NaN time remains NaN, and the ticker is rejected."""
    found = converted(ticker(timestamp=math.nan), rate())
    (left_out,) = aggregate(BTCUSD, [found], RULES, NOW).left_out
    assert left_out.reason is Reason.TOO_OLD


def test_the_pairs_that_can_be_converted() -> None:
    """The pair to ask for is a listed one or a made-up one; rates, other quotes and bare symbols have none."""
    conversions = Conversions([USDTUSD, EURUSD], [BTCUSD, BTCUSDT, USDTUSD, EURUSD])
    btceur = Asset("btceur", "btc", "eur", Tier.HOT, 1)
    assert conversions.sources(BTCUSD) == [Source(BTCUSDT, "usdtusd"), Source(btceur, "eurusd")]
    for asset in (BTCUSDT, USDTUSD, EURUSD, Asset("btcusd", "", "", Tier.HOT, 1)):
        assert conversions.sources(asset) == []


@pytest.mark.parametrize(
    ("rates", "told"),
    [
        ([USDTUSD, Asset("usdusdt", "usd", "usdt", Tier.HOT, 5)], "usd, usdt would be converted both from and to"),
        ([USDTUSD, Asset("eurusdt", "eur", "usdt", Tier.HOT, 5)], "usdt would be converted both from and to"),
        ([Asset("usdtusd", "", "", Tier.HOT, 5)], "does not say which is base"),
    ],
)
def test_rates_that_make_a_circle_or_two_hops_are_refused(rates: list[Asset], told: str) -> None:
    """The error names the symbol that is wrong."""
    with pytest.raises(CannotConvert, match=told):
        Conversions(rates, rates)


quotes = st.sampled_from(["usd", "usdt", "usdc", "eur", "btc"])


@given(st.lists(st.tuples(quotes, quotes).filter(lambda pair: pair[0] != pair[1]), min_size=1, max_size=5, unique=True))
def test_no_rate_starts_where_another_ends(pairs: list[tuple[str, str]]) -> None:
    """No accepted rate starts at the quote that another one ends at: one hop, no cycle."""
    rates = [Asset(base + quote, base, quote, Tier.HOT, number) for number, (base, quote) in enumerate(pairs)]
    try:
        conversions = Conversions(rates, rates)
    except CannotConvert:
        assert {base for base, _ in pairs} & {quote for _, quote in pairs}
        return
    for quote in ("usd", "usdt", "usdc", "eur", "btc"):
        for source in conversions.sources(Asset(f"sol{quote}", "sol", quote, Tier.HOT, 9)):
            assert conversions.sources(source.asset) == []
    assert all(conversions.sources(rate) == [] for rate in rates)
