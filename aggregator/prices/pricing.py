"""Makes a Price of tickers, or says why there is none. Pure: `now` is an argument, and nothing is logged.

usable tickers -> without outliers -> weights by volume, none above a cap -> price = sum(p * w)
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from statistics import median

import msgspec

from aggregator.models import FUTURE_TOLERANCE, Asset, LeftOut, NoPrice, Price, Reason, Source, Ticker

# Wide enough that every sum of products is exact before the single rounding at the end: a price, a volume and a cap
# with at most six decimal places span about 10^62 down to 10^-140.
_EXACT = Context(prec=250, rounding=ROUND_HALF_EVEN)
_PRICE = Context(prec=10, rounding=ROUND_HALF_EVEN)
_SHARE = Context(prec=28, rounding=ROUND_HALF_EVEN)
_WEIGHT = Decimal("0.000001")
_ONE = Decimal(1)

# No market has a price or volume beyond 10^30 or below 10^-30; DynamoDB stores 38 digits.
_MAGNITUDE = 30
_MAX_DIGITS = 38

_A_PAIR = 2
_STEP = 0.001  # seconds between the times of two prices that would share one


class Rules(msgspec.Struct, frozen=True):
    """Bounds on tickers: at most `max_age` seconds old, within `max_deviation` (a fraction) of the median.

    A price needs `min_sources` tickers. No ticker has a weight above `max_weight` (a fraction with at most six decimal
    places), or above an equal share if that is more. So one wrong ticker moves a price of n >= 2 tickers beyond the
    range of the others by at most max_deviation x max(max_weight, 1 / n) of the price.
    """

    max_age: float
    max_deviation: Decimal
    min_sources: int
    max_weight: Decimal


def aggregate(asset: Asset, answers: Sequence[Ticker | LeftOut], rules: Rules, now: float) -> Price | NoPrice:
    """Return the price that the exchanges' answers make, or why there is none; their order is irrelevant."""
    usable, left_out = _sort_out(asset, answers, rules, now)
    agreeing, disagreeing = _without_outliers(usable, rules.max_deviation)
    left_out += disagreeing
    if len(agreeing) < max(1, rules.min_sources):
        left_out += _too_few(agreeing, rules.min_sources)
        agreeing = []
    left_out.sort(key=lambda one: one.exchange)
    if not agreeing:
        return NoPrice(asset.symbol, tuple(left_out))
    agreeing.sort(key=lambda ticker: ticker.exchange)
    return _price(asset, agreeing, left_out, rules.max_weight, now)


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
    """Return why `ticker` cannot count, or None. Its numbers are included only if they are safe to store."""
    if ticker.symbol != asset.symbol:
        return LeftOut(ticker.exchange, Reason.WRONG_SYMBOL, f"answered for {ticker.symbol[:32]!r}")
    for reason, number in ((Reason.BAD_PRICE, ticker.price), (Reason.BAD_VOLUME, ticker.volume)):
        if not is_quantity(number):
            return LeftOut(ticker.exchange, reason, f"{number!s:.32}")
    age = now - ticker.timestamp
    if not age <= max_age:  # true for a NaN time as well
        return _shown(ticker, Reason.TOO_OLD, f"{age:.3f} s old, at most {max_age:g} s")
    if age < -FUTURE_TOLERANCE:
        return _shown(ticker, Reason.FROM_THE_FUTURE, f"{-age:.3f} s ahead, at most {FUTURE_TOLERANCE:g} s")
    return None


def is_quantity(number: Decimal) -> bool:
    """Whether a price or volume is finite, above zero and of a magnitude that a market can have."""
    return (
        number.is_finite()
        and number > 0
        and abs(number.adjusted()) <= _MAGNITUDE
        and len(number.as_tuple().digits) <= _MAX_DIGITS
    )


def _without_outliers(tickers: list[Ticker], max_deviation: Decimal) -> tuple[list[Ticker], list[LeftOut]]:
    """Split tickers into those within `max_deviation` of the median and those beyond it.

    There are three cases:

    - All are within: none is dropped.
    - A minority is beyond: these are outliers.
    - Half or more are beyond, as with two tickers far apart: it is unknown which are right, and all are dropped.

    Z-scores are no alternative: of three numbers the largest possible z is 1.41, so a one-sigma rule always drops one.
    """
    if not tickers:
        return [], []
    with localcontext(_EXACT):
        middle = _reference([ticker.price for ticker in tickers])
        most = middle * max_deviation
        inside = [ticker for ticker in tickers if abs(ticker.price - middle) <= most]
    if len(inside) == len(tickers):
        return inside, []
    detail = f"{'lower price' if len(tickers) == _A_PAIR else 'median'} {_plain(middle)}"
    outside = [ticker for ticker in tickers if ticker not in inside]
    if len(outside) >= len(inside):
        return [], [_shown(ticker, Reason.DISAGREEMENT, detail) for ticker in tickers]
    return inside, [_shown(ticker, Reason.OUTLIER, detail) for ticker in outside]


def _reference(prices: Sequence[Decimal]) -> Decimal:
    """Return the price that all are compared with: the median, or the lower one of two.

    The midpoint of two would let them be twice the deviation apart, as a wrong price moves the midpoint towards itself.
    """
    return min(prices) if len(prices) == _A_PAIR else median(prices)


def _too_few(agreeing: Sequence[Ticker], min_sources: int) -> list[LeftOut]:
    detail = f"{len(agreeing)} of at least {min_sources} that agree"
    return [_shown(ticker, Reason.TOO_FEW, detail) for ticker in agreeing]


def _price(asset: Asset, tickers: list[Ticker], left_out: list[LeftOut], max_weight: Decimal, now: float) -> Price:
    with localcontext(_EXACT):
        volumes, volume = counted_volumes([ticker.volume for ticker in tickers], max_weight)
        turnover = sum((ticker.price * counts for ticker, counts in zip(tickers, volumes, strict=True)), Decimal())
    price = _PRICE.divide(turnover, volume)
    prices = [ticker.price for ticker in tickers]
    spread = _PRICE.divide(_EXACT.subtract(max(prices), min(prices)), price)
    return Price(
        asset=asset.symbol,
        price=_plain(price),
        # A ticker from a clock that is ahead must not make this price look newer than later ones.
        timestamp=min(now, max(ticker.timestamp for ticker in tickers)),
        tier=asset.tier,
        spread=_plain(spread),
        updated_at=now,
        sources=tuple(
            Source(
                ticker.exchange,
                ticker.price,
                ticker.volume,
                ticker.timestamp,
                _SHARE.divide(counts, volume).quantize(_WEIGHT),
                ticker.clock,
                ticker.converted or msgspec.UNSET,
            )
            for ticker, counts in zip(tickers, volumes, strict=True)
        ),
        left_out=tuple(left_out),
    )


def following(known: Price | None, price: Price) -> Price:
    """Return `price` with a time after that of `known`, where it is of other tickers: two prices never share a time.

    The newest ticker of an exchange whose clock is behind changes the price, but not the newest time of its sources. A
    price of the same tickers keeps its time, so that prices do not look fresher than the exchanges' clocks.
    """
    if known is None or price.timestamp > known.timestamp or price.sources == known.sources:
        return price
    return msgspec.structs.replace(price, timestamp=min(price.updated_at, known.timestamp + _STEP))


def counted_volumes(volumes: Sequence[Decimal], most: Decimal) -> tuple[Sequence[Decimal], Decimal]:
    """Return the volumes after the cap, on a common scale, and their sum: volume / sum is the weight of a ticker.

    No weight is above `most` (a fraction), or above an equal share if that is more. A volume with a larger share counts
    as exactly that share, and the rest is divided among the others by volume, so several may be capped. `volumes` must
    not be empty, and each must be above zero. Exact in a wide enough decimal context: there is no division.
    """
    if most * len(volumes) <= 1:
        return [_ONE] * len(volumes), Decimal(len(volumes))
    total = sum(volumes)
    if max(volumes) <= most * total:
        return volumes, Decimal(total)
    rest, free = _uncapped(volumes, Decimal(total), most)
    capped = most * rest
    return [min(volume * free, capped) for volume in volumes], rest


def _uncapped(volumes: Sequence[Decimal], total: Decimal, most: Decimal) -> tuple[Decimal, Decimal]:
    """Return the sum of the volumes below the cap, and the weight left for them.

    From the largest volume on, each whose share of what is left exceeds `most` gets `most`; the shares of the others
    grow by that. `most` is above an equal share, so at least one volume, and some weight, remains.
    """
    rest, free = total, _ONE
    for volume in sorted(volumes, reverse=True):
        if volume * free <= most * rest:
            break
        rest -= volume
        free -= most
    return rest, free


def _plain(number: Decimal) -> Decimal:
    """Return the number without trailing zeros and, up to ten digits, without an exponent: 80000, not 8E+4."""
    short = number.normalize(_PRICE)
    exponent = short.as_tuple().exponent
    return short.quantize(Decimal(1)) if isinstance(exponent, int) and 0 < exponent <= _PRICE.prec else short


def _shown(ticker: Ticker, reason: Reason, detail: str) -> LeftOut:
    return LeftOut(ticker.exchange, reason, detail, ticker.price, ticker.volume, ticker.timestamp, ticker.converted)
