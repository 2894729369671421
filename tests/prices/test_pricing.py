"""Pricing: which tickers count, and the price that they make; on examples and as properties."""

import itertools
import math
from decimal import Context, Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.models import FUTURE_TOLERANCE, LeftOut, NoPrice, Price, Reason, Ticker
from aggregator.prices.pricing import Rules, aggregate
from tests.parts.examples import BTC, NOW, ticker

RULES = Rules(max_age=10, max_deviation=Decimal("0.05"), min_sources=1, max_weight=Decimal(1))
TEN_DIGITS = Context(prec=10)

prices = st.decimals(min_value="0.00000001", max_value="9999999", places=8)
volumes = st.decimals(min_value="0.0001", max_value="999999999", places=4)
# Plain weights by volume, the default cap, caps that several reach at once, and equal weights.
rules = st.sampled_from(["1", "0.5", "0.4", "0.3", "0.25", "0.000001"]).map(
    lambda cap: Rules(max_age=10, max_deviation=Decimal("0.05"), min_sources=1, max_weight=Decimal(cap))
)


@st.composite
def agreeing_tickers(draw: st.DrawFn) -> list[Ticker]:
    """Tickers of one to five exchanges within 2 % of each other, so that none is an outlier."""
    middle = draw(st.decimals(min_value="0.0001", max_value="999999", places=4))
    count = draw(st.integers(1, 5))
    return [
        Ticker(
            exchange=f"exchange{number}",
            symbol="btcusdt",
            price=middle * (1 + draw(st.decimals(min_value="-0.01", max_value="0.01", places=4))),
            volume=draw(volumes),
            timestamp=NOW - draw(st.floats(0, 10)),
        )
        for number in range(count)
    ]


def priced(tickers: list[Ticker], rules: Rules = RULES) -> Price:
    """Return the price; fail if there is none."""
    outcome = aggregate(BTC, tickers, rules, NOW)
    assert isinstance(outcome, Price), outcome
    return outcome


def reasons(tickers: list[Ticker | LeftOut], rules: Rules = RULES) -> dict[str, Reason]:
    """Return the exchanges left out, with the reasons."""
    return {one.exchange: one.reason for one in aggregate(BTC, tickers, rules, NOW).left_out}


def test_the_price_is_weighted_by_base_volume() -> None:
    """Without a cap, 100 with volume 1 and 102 with volume 3 make 101.5."""
    price = priced([ticker("a", "100", "1", NOW - 2), ticker("b", "102", "3", NOW - 1)])
    assert price.price == Decimal("101.5")
    assert price.timestamp == NOW - 1
    assert price.updated_at == NOW
    assert price.spread == TEN_DIGITS.divide(Decimal(2), Decimal("101.5"))
    assert [source.weight for source in price.sources] == [Decimal("0.25"), Decimal("0.75")]


@given(agreeing_tickers())
def test_the_price_is_the_exact_quotient_rounded_once(tickers: list[Ticker]) -> None:
    """Without a cap the price equals sum(p*v)/sum(v) in fractions, rounded to ten digits."""
    turnover = sum((Fraction(one.price) * Fraction(one.volume) for one in tickers), Fraction())
    exact = turnover / sum((Fraction(one.volume) for one in tickers), Fraction())
    assert priced(tickers).price == TEN_DIGITS.divide(Decimal(exact.numerator), Decimal(exact.denominator))


@given(agreeing_tickers(), rules)
def test_the_price_lies_between_the_lowest_and_the_highest(tickers: list[Ticker], rules: Rules) -> None:
    """The price is within [min, max] of its sources, with bounds rounded to ten digits like the price."""
    used = [TEN_DIGITS.plus(one.price) for one in tickers]
    assert min(used) <= priced(tickers, rules).price <= max(used)


@given(agreeing_tickers(), rules)
def test_the_order_of_tickers_never_matters(tickers: list[Ticker], rules: Rules) -> None:
    """Any order of the tickers makes the same price with the same sources."""
    expected = aggregate(BTC, tickers, rules, NOW)
    for order in itertools.islice(itertools.permutations(tickers), 12):
        assert aggregate(BTC, list(order), rules, NOW) == expected


@given(agreeing_tickers(), st.integers(-6, 6), rules)
def test_scaling_every_price_scales_the_price(tickers: list[Ticker], power: int, rules: Rules) -> None:
    """Prices times a power of ten make the same digits."""
    factor = Decimal(10) ** power
    scaled = [Ticker(t.exchange, t.symbol, t.price * factor, t.volume, t.timestamp) for t in tickers]
    assert priced(scaled, rules).price == priced(tickers, rules).price * factor
    assert priced(scaled, rules).spread == priced(tickers, rules).spread


@given(agreeing_tickers(), st.integers(-6, 6), rules)
def test_scaling_every_volume_changes_nothing(tickers: list[Ticker], power: int, rules: Rules) -> None:
    """Volumes times a power of ten change nothing."""
    factor = Decimal(10) ** power
    scaled = [Ticker(t.exchange, t.symbol, t.price, t.volume * factor, t.timestamp) for t in tickers]
    assert priced(scaled, rules).price == priced(tickers, rules).price


@given(prices, st.decimals(min_value="0.953", max_value="1.049", places=3), volumes, volumes, volumes, st.data())
def test_an_outlier_of_three_changes_no_digit(
    first: Decimal, ratio: Decimal, v1: Decimal, v2: Decimal, v3: Decimal, data: st.DataObject
) -> None:
    """An outlier of three, whatever its volume, changes no digit of the price."""
    second = first * ratio
    low, high = sorted((first, second))
    far = data.draw(
        st.one_of(
            st.decimals(min_value="0.001", max_value="0.949", places=3).map(lambda share: low * share),
            st.decimals(min_value="1.051", max_value="1000", places=3).map(lambda share: high * share),
        )
    )
    honest = [Ticker("a", "btcusdt", first, v1, NOW), Ticker("b", "btcusdt", second, v2, NOW)]
    liar = Ticker("c", "btcusdt", far, v3, NOW)
    with_liar = priced([*honest, liar])
    assert with_liar.price == priced(honest).price
    assert with_liar.sources == priced(honest).sources
    assert [one.reason for one in with_liar.left_out] == [Reason.OUTLIER]


def test_exactly_the_deviation_still_counts() -> None:
    """A ticker exactly 5 % from the median counts, one slightly further off does not."""
    stays = [ticker("a", "100"), ticker("b", "100"), ticker("c", "105")]
    assert len(priced(stays).sources) == 3
    goes = [ticker("a", "100"), ticker("b", "100"), ticker("c", "105.0000001")]
    assert reasons(list(goes)) == {"c": Reason.OUTLIER}


@pytest.mark.parametrize("prices", [["100", "300"], ["100", "200", "300"], ["100", "100", "200", "200"]])
def test_where_no_majority_agrees_there_is_no_price(prices: list[str]) -> None:
    """Two far apart, three all apart, or two groups make no price: it is unknown which are right."""
    tickers = [ticker(f"exchange{number}", amount) for number, amount in enumerate(prices)]
    assert isinstance(aggregate(BTC, tickers, RULES, NOW), NoPrice)
    assert set(reasons(list(tickers)).values()) == {Reason.DISAGREEMENT}


def test_two_that_agree_make_a_price() -> None:
    """Two agree if the higher is at most 5 % above the lower."""
    assert len(priced([ticker("a", "100"), ticker("b", "105")]).sources) == 2
    apart = [ticker("a", "100"), ticker("b", "105.0000001")]
    assert reasons(list(apart)) == dict.fromkeys("ab", Reason.DISAGREEMENT)
    assert aggregate(BTC, apart, RULES, NOW).left_out[0].detail == "lower price 100"


@pytest.mark.parametrize("number", ["0", "-1", "NaN", "sNaN", "Infinity", "-Infinity", "1E+400", "1E-400"])
def test_a_number_no_market_has_never_counts(number: str) -> None:
    """A zero, negative, infinite or absurd price or volume is left out, and not shown as a number."""
    sound = ticker("sound")
    bad_price, bad_volume = ticker("p", price=number), ticker("v", volume=number)
    price = priced([sound, bad_price, bad_volume])
    assert {one.exchange: (one.reason, one.price) for one in price.left_out} == {
        "p": (Reason.BAD_PRICE, None),
        "v": (Reason.BAD_VOLUME, None),
    }
    assert price.price == 100


def test_too_many_digits_are_refused_before_they_are_multiplied() -> None:
    """Numbers of more than 38 digits, DynamoDB's limit, are rejected before any arithmetic."""
    assert reasons([ticker("a", "1." + "0" * 37), ticker("b", "1." + "1" * 38)]) == {"b": Reason.BAD_PRICE}


@pytest.mark.parametrize(
    ("timestamp", "reason"),
    [
        (NOW - 10, None),
        (NOW - 10.001, Reason.TOO_OLD),
        (NOW + FUTURE_TOLERANCE, None),
        (NOW + FUTURE_TOLERANCE + 0.001, Reason.FROM_THE_FUTURE),
        (math.nan, Reason.TOO_OLD),
        (0.0, Reason.TOO_OLD),
        (NOW * 1000, Reason.FROM_THE_FUTURE),
    ],
)
def test_age_is_measured_from_the_exchange_time(timestamp: float, reason: Reason | None) -> None:
    """A ticker is at most max age old and 5 s ahead; milliseconds read as seconds are far ahead."""
    assert reasons([ticker("a"), ticker("b", timestamp=timestamp)]).get("b") == reason


def test_an_answer_for_another_symbol_never_counts() -> None:
    """A ticker of another symbol is rejected."""
    assert reasons([ticker("a"), ticker("b", symbol="ethusdt")]) == {"b": Reason.WRONG_SYMBOL}


def test_too_few_sources_make_no_price() -> None:
    """With min_sources 2, one ticker makes no price; it is shown, with the reasons of the other exchanges."""
    rules = msgspec.structs.replace(RULES, min_sources=2)
    outcome = aggregate(BTC, [ticker("a"), LeftOut("b", Reason.TIMEOUT)], rules, NOW)
    alone = LeftOut("a", Reason.TOO_FEW, "1 of at least 2 that agree", Decimal(100), Decimal(1), NOW)
    assert outcome == NoPrice("btcusdt", (alone, LeftOut("b", Reason.TIMEOUT)))


def test_two_that_agree_are_too_few_where_three_are_needed() -> None:
    """Two that agree and an outlier are each left out with a reason, if three are needed."""
    rules = msgspec.structs.replace(RULES, min_sources=3)
    assert reasons([ticker("a"), ticker("b"), ticker("c", "300")], rules) == {
        "a": Reason.TOO_FEW,
        "b": Reason.TOO_FEW,
        "c": Reason.OUTLIER,
    }


def test_without_answers_there_is_no_price() -> None:
    """Without tickers there is no price, and never a zero."""
    assert aggregate(BTC, [], RULES, NOW) == NoPrice("btcusdt", ())


@pytest.mark.parametrize(
    ("price", "shown"), [("80000", "80000"), ("0.0000123", "0.0000123"), ("79450.120", "79450.12")]
)
def test_the_number_is_written_plainly(price: str, shown: str) -> None:
    """A number has no trailing zeros, and no exponent at ordinary sizes."""
    assert str(priced([ticker(price=price)]).price) == shown
