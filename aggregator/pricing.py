"""Tickers to a Price, or the reasons why not. Pure: `now` is an argument, observations are returned, nothing is logged.

usable tickers  ->  without outliers  ->  price = sum(p * v) / sum(v)
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from statistics import median

import msgspec

from aggregator.models import FUTURE_TOLERANCE, Asset, LeftOut, NoPrice, Price, Reason, Source, Ticker

# Wide enough for every sum of products of numbers within MAGNITUDE to be exact before the one rounding at the end.
_EXACT = Context(prec=200, rounding=ROUND_HALF_EVEN)
_PRICE = Context(prec=10, rounding=ROUND_HALF_EVEN)
_WEIGHT = Decimal("0.000001")

# No market has a price or a volume beyond these powers of ten; DynamoDB holds 38 digits.
_MAGNITUDE = 30
_MAX_DIGITS = 38


class Rules(msgspec.Struct, frozen=True):
    """What counts: `max_age` seconds, `max_deviation` from the median as a fraction, at least `min_sources` tickers."""

    max_age: float
    max_deviation: Decimal
    min_sources: int


def aggregate(asset: Asset, answers: Sequence[Ticker | LeftOut], rules: Rules, now: float) -> Price | NoPrice:
    """Make one price of what the exchanges answered for `asset`; the order of `answers` does not matter."""
    usable, left_out = _sort_out(asset, answers, rules, now)
    agreeing, outliers = _without_outliers(usable, rules.max_deviation)
    left_out += outliers
    left_out.sort(key=lambda one: one.exchange)
    if len(agreeing) < max(1, rules.min_sources):
        return NoPrice(asset.symbol, tuple(left_out))
    agreeing.sort(key=lambda ticker: ticker.exchange)
    return _price(asset, agreeing, left_out, now)


def _sort_out(
    asset: Asset, answers: Sequence[Ticker | LeftOut], rules: Rules, now: float
) -> tuple[list[Ticker], list[LeftOut]]:
    usable: list[Ticker] = []
    left_out: list[LeftOut] = []
    for answer in answers:
        if isinstance(answer, LeftOut):
            left_out.append(answer)
        elif (flaw := _flaw(asset, answer, rules.max_age, now)) is None:
            usable.append(answer)
        else:
            left_out.append(flaw)
    return usable, left_out


def _flaw(asset: Asset, ticker: Ticker, max_age: float, now: float) -> LeftOut | None:
    """Why `ticker` cannot count, or None. Numbers are shown only when they are safe to write down."""
    if ticker.symbol != asset.symbol:
        return LeftOut(ticker.exchange, Reason.WRONG_SYMBOL, f"answered for {ticker.symbol[:32]!r}")
    for reason, number in ((Reason.BAD_PRICE, ticker.price), (Reason.BAD_VOLUME, ticker.volume)):
        if not is_quantity(number):
            return LeftOut(ticker.exchange, reason, f"{number!s:.32}")
    age = now - ticker.timestamp
    if not age <= max_age:  # written so that a NaN time fails as well
        return _shown(ticker, Reason.TOO_OLD, f"{age:.3f} s old, at most {max_age:g} s")
    if age < -FUTURE_TOLERANCE:
        return _shown(ticker, Reason.FROM_THE_FUTURE, f"{-age:.3f} s ahead, at most {FUTURE_TOLERANCE:g} s")
    return None


def is_quantity(number: Decimal) -> bool:
    """Whether it is finite, above zero and of a size that a market could have."""
    return (
        number.is_finite()
        and number > 0
        and abs(number.adjusted()) <= _MAGNITUDE
        and len(number.as_tuple().digits) <= _MAX_DIGITS
    )


def _without_outliers(tickers: list[Ticker], max_deviation: Decimal) -> tuple[list[Ticker], list[LeftOut]]:
    """Drop those further than `max_deviation` from the median; where they are no minority, nobody can be believed.

    So of three, one liar goes; of two that far apart, or three all apart, there is no telling who lies, and there is no
    price rather than one that nobody has. No z-scores: of three numbers the largest possible z is 1.41, so a one-sigma
    rule always drops one of them.
    """
    if not tickers:
        return [], []
    with localcontext(_EXACT):
        middle = median(ticker.price for ticker in tickers)
        reach = middle * max_deviation
        inside = [ticker for ticker in tickers if abs(ticker.price - middle) <= reach]
        outside = [ticker for ticker in tickers if abs(ticker.price - middle) > reach]
    detail = f"median {middle.normalize(_PRICE)}"
    if len(outside) >= len(inside):
        return [], [_shown(ticker, Reason.DISAGREEMENT, detail) for ticker in tickers]
    return inside, [_shown(ticker, Reason.OUTLIER, detail) for ticker in outside]


def _price(asset: Asset, tickers: list[Ticker], left_out: list[LeftOut], now: float) -> Price:
    with localcontext(_EXACT):
        volume = sum((ticker.volume for ticker in tickers), Decimal())
        turnover = sum((ticker.price * ticker.volume for ticker in tickers), Decimal())
        weights = [(ticker.volume / volume).quantize(_WEIGHT) for ticker in tickers]
    price = _PRICE.divide(turnover, volume)
    prices = [ticker.price for ticker in tickers]
    spread = _PRICE.divide(_EXACT.subtract(max(prices), min(prices)), price)
    return Price(
        asset=asset.symbol,
        price=_plain(price),
        timestamp=max(ticker.timestamp for ticker in tickers),
        tier=asset.tier,
        spread=_plain(spread),
        updated_at=now,
        sources=tuple(
            Source(
                ticker.exchange,
                ticker.price,
                ticker.volume,
                ticker.timestamp,
                weight,
                ticker.clock,
                ticker.converted or msgspec.UNSET,
            )
            for ticker, weight in zip(tickers, weights, strict=True)
        ),
        left_out=tuple(left_out),
    )


def _plain(number: Decimal) -> Decimal:
    """Drop trailing zeros and, at ordinary sizes, the exponent: 80000, not 8E+4."""
    short = number.normalize(_PRICE)
    exponent = short.as_tuple().exponent
    return short.quantize(Decimal(1)) if isinstance(exponent, int) and 0 < exponent <= _PRICE.prec else short


def _shown(ticker: Ticker, reason: Reason, detail: str) -> LeftOut:
    return LeftOut(ticker.exchange, reason, detail, ticker.price, ticker.volume, ticker.timestamp, ticker.converted)
