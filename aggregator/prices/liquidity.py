"""Ranks pairs by their 24-hour turnover at several exchanges, in US dollars by the exchanges' own prices. Pure.

Volumes in base units cannot be compared between assets, so each becomes a turnover: volume x price x value of one unit
of the quote in dollars. These values are derived along the pairs, starting from the dollar: BTC by BTC/USD, USDT by
USDT/USD, then every asset quoted in those. They are precise enough for a ranking only.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from statistics import median

import msgspec

from aggregator.prices.tiers import is_symbol

# Valued at one dollar if no pair gives their value: Binance, for example, has no pair quoted in dollars.
DOLLARS = ("usdt", "usdc", "fdusd", "usd1", "tusd", "usde", "dai", "pyusd", "usdg", "rlusd")
SAME_ASSET = Decimal("0.2")  # fraction of the median price; beyond it, another asset uses the same name

_ONE = Decimal(1)
_NOTHING = Decimal(0)
_MAX_EXPONENT = 60  # powers of ten; no market has amounts beyond
_STEPS = 4  # pairs between an asset and the dollar; more would add up errors


class Listed(msgspec.Struct, frozen=True):
    """A pair that an exchange trades: 24-hour volume in base units and last price in quote units, if known."""

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
    """Return the pairs that at least `least` exchanges trade, by turnover, the largest first.

    Of pairs with the same symbol, such as a/bc and ab/c, only the one with the largest turnover is returned. Pairs
    without a known turnover come last.
    """
    usable = [one for one in listed if is_symbol(one.base) and is_symbol(one.quote) and is_symbol(one.base + one.quote)]
    dollars = dollar_values(usable)
    pairs: dict[tuple[str, str], list[Listed]] = {}
    for one in usable:
        pairs.setdefault((one.base, one.quote), []).append(one)
    found: dict[str, Ranked] = {}
    for ranked in (_ranked(_same_asset(group), dollars) for group in pairs.values()):
        known = found.get(ranked.symbol) if ranked is not None else None
        if ranked is not None and ranked.exchanges >= least and (known is None or known.turnover < ranked.turnover):
            found[ranked.symbol] = ranked
    return sorted(found.values(), key=lambda one: (-one.turnover, -one.exchanges, one.symbol))


def dollar_values(listed: Sequence[Listed]) -> dict[str, Decimal]:
    """Return the value of one unit of each asset in US dollars, for assets whose value can be derived.

    If several pairs give a value, the one with the largest turnover counts.
    """
    known = {"usd": _ONE}
    _spread(known, listed)
    for asset in DOLLARS:
        if asset not in known:
            known[asset] = _ONE
            _spread(known, listed)
    return known


def _spread(known: dict[str, Decimal], listed: Sequence[Listed]) -> None:
    """Add values to `known`, step by step: a pair with one known asset gives the value of the other."""
    for _ in range(_STEPS):
        derived: dict[str, tuple[Decimal, Decimal]] = {}
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
            derived[asset] = max(derived.get(asset, (-_ONE, worth)), (turnover, worth))
        if not derived:
            return
        known |= {asset: worth for asset, (_, worth) in derived.items()}


def _same_asset(group: Sequence[Listed]) -> list[Listed]:
    """Return the entries of a pair whose price is near the median: the others mean another asset of the same name."""
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
    """Return the number if it is a positive amount that a market can have, else None."""
    if number is None or not number.is_finite() or number <= 0 or abs(number.adjusted()) > _MAX_EXPONENT:
        return None
    return number
