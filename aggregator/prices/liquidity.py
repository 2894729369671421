"""Which pairs are traded most: turnovers of several exchanges, in US dollars by the exchanges' own prices. Pure.

Base volumes cannot be compared: a million of one asset is not a million of another. So each volume becomes a
turnover: volume x price x what one unit of the quote is worth in dollars. The worths are found from the dollar over
the pairs: BTC by BTC/USD, USDT by USDT/USD, then whatever is quoted in those. They are good for an order of pairs only.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from statistics import median

import msgspec

from aggregator.prices.tiers import is_symbol

# Taken for a dollar where no pair says what they are worth: Binance alone, say, quotes nothing in dollars themselves.
DOLLARS = ("usdt", "usdc", "fdusd", "usd1", "tusd", "usde", "dai", "pyusd", "usdg", "rlusd")
SAME_ASSET = Decimal("0.2")  # part of the median price; further off it is another asset of the same name

_ONE = Decimal(1)
_NOTHING = Decimal(0)
_SHOWN_EXPONENT = 60  # powers of ten; what is beyond is no amount of any market
_STEPS = 4  # from the dollar to what is worth something; more would only add up errors


class Listed(msgspec.Struct, frozen=True):
    """A pair that an exchange trades: 24-hour volume in base units and last price in quote units, where told."""

    exchange: str
    base: str
    quote: str
    volume: Decimal | None = None
    price: Decimal | None = None


class Ranked(msgspec.Struct, frozen=True):
    """A pair, how many exchanges trade it, and its turnover in 24 hours at all of them, in US dollars."""

    symbol: str
    base: str
    quote: str
    exchanges: int
    turnover: Decimal


def rank(listed: Iterable[Listed], least: int) -> list[Ranked]:
    """Return the pairs that at least so many exchanges trade, the most traded first.

    Of pairs with the same symbol, such as a/bc and ab/c, the one that is traded most. Without a turnover that can be
    told, a pair comes after all others.
    """
    usable = [one for one in listed if is_symbol(one.base) and is_symbol(one.quote) and is_symbol(one.base + one.quote)]
    dollars = worths(usable)
    pairs: dict[tuple[str, str], list[Listed]] = {}
    for one in usable:
        pairs.setdefault((one.base, one.quote), []).append(one)
    found: dict[str, Ranked] = {}
    for ranked in (_ranked(_same_asset(group), dollars) for group in pairs.values()):
        known = found.get(ranked.symbol) if ranked is not None else None
        if ranked is not None and ranked.exchanges >= least and (known is None or known.turnover < ranked.turnover):
            found[ranked.symbol] = ranked
    return sorted(found.values(), key=lambda one: (-one.turnover, -one.exchanges, one.symbol))


def worths(listed: Sequence[Listed]) -> dict[str, Decimal]:
    """Return what one unit of each asset is worth in US dollars, of those that can be told.

    Where several pairs could tell, the one of the largest turnover does.
    """
    known = {"usd": _ONE}
    _spread(known, listed)
    for asset in DOLLARS:
        if asset not in known:
            known[asset] = _ONE
            _spread(known, listed)
    return known


def _spread(known: dict[str, Decimal], listed: Sequence[Listed]) -> None:
    """Add what the pairs with one known half tell of the other half, step by step."""
    for _ in range(_STEPS):
        told: dict[str, tuple[Decimal, Decimal]] = {}
        for one in listed:
            price, volume = _amount(one.price), _amount(one.volume)
            if price is None:
                continue
            if one.quote in known and one.base not in known:
                asset, worth = one.base, price * known[one.quote]
                turnover = (volume or _NOTHING) * worth
            elif one.base in known and one.quote not in known:
                asset, worth = one.quote, known[one.base] / price
                turnover = (volume or _NOTHING) * known[one.base]
            else:
                continue
            told[asset] = max(told.get(asset, (-_ONE, worth)), (turnover, worth))
        if not told:
            return
        known |= {asset: worth for asset, (_, worth) in told.items()}


def _same_asset(group: Sequence[Listed]) -> list[Listed]:
    """Return those of one pair's exchanges that mean the same assets by it, as far as prices tell."""
    prices = [price for one in group if (price := _amount(one.price)) is not None]
    if not prices:
        return list(group)
    middle = median(prices)
    return [one for one in group if (price := _amount(one.price)) is None or abs(price - middle) <= SAME_ASSET * middle]


def _ranked(group: Sequence[Listed], dollars: Mapping[str, Decimal]) -> Ranked | None:
    if not group:
        return None
    base, quote = group[0].base, group[0].quote
    turnover = sum((_turnover(one, dollars) for one in group), _NOTHING)
    return Ranked(base + quote, base, quote, len({one.exchange for one in group}), turnover)


def _turnover(one: Listed, dollars: Mapping[str, Decimal]) -> Decimal:
    volume, price = _amount(one.volume), _amount(one.price)
    if volume is None:
        return _NOTHING
    if price is not None and one.quote in dollars:
        return volume * price * dollars[one.quote]
    return volume * dollars.get(one.base, _NOTHING)


def _amount(number: Decimal | None) -> Decimal | None:
    """Return the number if it can be that of a market."""
    if number is None or not number.is_finite() or number <= 0 or abs(number.adjusted()) > _SHOWN_EXPONENT:
        return None
    return number
