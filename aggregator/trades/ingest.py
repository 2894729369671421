"""What may be a trade: parsing and validation of records, whoever sends them. Pure."""

from collections.abc import Callable
from decimal import Decimal

from aggregator.models import FUTURE_TOLERANCE, Asset, Side, Trade

FindAsset = Callable[[str], Asset | None]

MOST_DIGITS = 38  # significant digits of a price or volume: what DynamoDB and Parquet keep
MOST_EXPONENT = 30  # decimals, and digits before the point
MOST_ID = 128  # characters
MOST_VENUE = 32
_OLDEST = 0.0


class InvalidTrade(ValueError):
    """A record that is no trade. `code` is one of `ports.REJECTION_CODES`; the message is the reason in words."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def checked_trade(
    find: FindAsset,
    symbol: str,
    price: Decimal,
    volume: Decimal | None,
    timestamp: float,
    venue: str,
    id: str,  # noqa: A002  # the name of the field
    side: Side | None,
    sequence: int | None,
    now: float,
) -> Trade:
    """Return a valid trade; `symbol` is the asset's in lower case, `timestamp` and `now` are unix seconds.

    Raises InvalidTrade.
    """
    if find(symbol) is None:
        raise InvalidTrade("asset", f"the asset {symbol[:40]!r} is not listed")
    if not (price.is_finite() and price > 0 and is_bounded(price)):
        raise InvalidTrade("price", "the price must be a positive number of at most 38 digits")
    if volume is not None and not (volume.is_finite() and volume >= 0 and is_bounded(volume)):
        raise InvalidTrade("volume", "the volume must be a number of at most 38 digits, 0 or more")
    if not timestamp > _OLDEST:
        raise InvalidTrade("timestamp", "the timestamp must be a time after 1970")
    if timestamp > now + FUTURE_TOLERANCE:
        raise InvalidTrade("future", f"the timestamp is more than {FUTURE_TOLERANCE:g} s ahead of our clock")
    return Trade(symbol, price, volume, round(timestamp, 6), venue, id, side, sequence)


def is_bounded(number: Decimal) -> bool:
    """Whether a finite number has at most MOST_DIGITS digits, and at most MOST_EXPONENT before and after the point."""
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)  # noqa: S101  # it is finite
    return len(digits) <= MOST_DIGITS and exponent >= -MOST_EXPONENT and len(digits) + exponent <= MOST_EXPONENT
