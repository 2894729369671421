"""The rules that every trade must meet, and the values that are made of what was sent. Pure."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Clamped, Context, Decimal, InvalidOperation, Overflow, Rounded
from hashlib import blake2b

from aggregator.models import FUTURE_TOLERANCE, Asset, Side, Trade
from aggregator.numerals import is_plain

FindAsset = Callable[[str], Asset | None]

MOST_DIGITS = 38  # significant digits of a price or volume: what DynamoDB and Parquet keep
MOST_EXPONENT = 30  # decimals, and digits before the point
MOST_ID = 128  # characters
MOST_VENUE = 32
LEAST_TIME, _MOST_TIME = 1e9, 1e11  # seconds between which a number is taken for seconds
_UNITS = (1.0, 1e3, 1e6, 1e9)  # of numbers for time in a second
_SIDES = {"buy": Side.BUY, "b": Side.BUY, "bid": Side.BUY, "sell": Side.SELL, "s": Side.SELL, "ask": Side.SELL}
_LARGEST_SEQUENCE = 2**63 - 1
MOST_EXACT = 4e9  # seconds up to which floats are less than half a microsecond apart
_ZERO, _TOO_LARGE = Decimal(0), Decimal(10) ** MOST_EXPONENT
# Returns a number below 10**MOST_EXPONENT that has at most MOST_EXPONENT decimals and as many digits and one. Raises an
# ArithmeticError for most others; some of those have up to MOST_DIGITS digits, and are looked at by `_check_numbers`.
_plain = Context(
    prec=MOST_EXPONENT + 1, Emin=0, Emax=MOST_EXPONENT - 1, traps=[Clamped, InvalidOperation, Overflow, Rounded]
).plus


class InvalidTrade(ValueError):
    """A record that is no trade. `code` is one of `rejection.REJECTION_CODES`; the message is the reason in words."""

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
    asset = find(symbol)
    if asset is None:
        raise InvalidTrade("asset", f"the asset {symbol[:40]!r} is not listed")
    if not are_plain(price, volume):
        _check_numbers(price, volume)
        if volume is not None and not volume:
            volume = _ZERO  # a 0 may have any exponent; stores refuse one with thousands of decimals
    if not LEAST_TIME <= timestamp <= now + FUTURE_TOLERANCE:
        if timestamp > now:
            raise InvalidTrade("future", f"the timestamp is more than {FUTURE_TOLERANCE:g} s ahead of our clock")
        raise InvalidTrade("timestamp", "the timestamp must be a time after September 2001")
    if not 0 < len(id) <= MOST_ID or not id.isprintable():
        raise InvalidTrade("id", f"the id must have 1 to {MOST_ID} printable characters")
    if not 0 < len(venue) <= MOST_VENUE or not venue.isprintable():
        raise InvalidTrade("venue", f"the venue must have 1 to {MOST_VENUE} printable characters")
    if sequence is not None and not 0 <= sequence <= _LARGEST_SEQUENCE:
        raise InvalidTrade("sequence", "the sequence must be a whole number of 0 or more, below 2^63")
    return Trade(asset.symbol, price, volume, timestamp, venue, id, side, sequence)  # trades share the asset's string


def are_plain(price: Decimal, volume: Decimal | None) -> bool:
    """Whether a price and a volume are allowed and have few digits. If not, `_check_numbers` has the rules."""
    try:
        return _ZERO < _plain(price) < _TOO_LARGE and (volume is None or _ZERO <= _plain(volume) < _TOO_LARGE)
    except ArithmeticError:
        return False


def _check_numbers(price: Decimal, volume: Decimal | None) -> None:
    """Raise InvalidTrade for a price or volume that is not allowed."""
    if not (price.is_finite() and 0 < price < _TOO_LARGE and _is_bounded(price)):
        raise InvalidTrade("price", "the price must be a positive number of at most 38 digits, 30 of them decimals")
    if volume is not None and not (volume.is_finite() and 0 <= volume < _TOO_LARGE and _is_bounded(volume)):
        raise InvalidTrade("volume", "the volume must be 0 or more, of at most 38 digits, 30 of them decimals")


def seconds_of(sent: float | str | None) -> float:
    """Return unix seconds, to the microsecond, of RFC 3339 or a number of s, ms, us or ns. Raises InvalidTrade."""
    if sent.__class__ is float and LEAST_TIME <= sent < _MOST_TIME:
        return int(sent * 1e6 + 0.5) / 1e6  # a third of the time of round()
    if sent is None:
        raise InvalidTrade("timestamp", "the record has no timestamp")
    if isinstance(sent, str):
        try:
            is_number = is_plain(sent) and sent[:1].isdigit() and "-" not in sent and ":" not in sent
            sent = float(sent) if is_number else _moment(sent)
        except ValueError as error:
            raise InvalidTrade("timestamp", "the timestamp is neither RFC 3339 nor a number") from error
    for unit in _UNITS:
        if LEAST_TIME * unit <= sent < _MOST_TIME * unit:
            return int(sent * (1e6 / unit) + 0.5) / 1e6
    raise InvalidTrade("timestamp", "the timestamp must be seconds, ms, us or ns since 1970, after September 2001")


def side_of(text: str) -> Side:
    """Return the taker's side. Raises InvalidTrade."""
    side = _SIDES.get(text) or _SIDES.get(text.lower())
    if side is None:
        raise InvalidTrade("side", "the side must be buy or sell")
    return side


def hashed_id(
    symbol: str,
    price: Decimal,
    volume: Decimal | None,
    timestamp: float,
    venue: str,
    side: str | None,
    sequence: int | None,
) -> str:
    """Return the id of a trade that came without one: the same for the same fields, in every process."""
    text = f"{symbol}\x1f{price!s}\x1f{volume!s}\x1f{_text_of(timestamp)}\x1f{venue}\x1f{side}\x1f{sequence}"
    return blake2b(text.encode(), digest_size=12).hexdigest()


def _text_of(timestamp: float) -> str:
    """Return `repr(timestamp)`, of a time in whole microseconds in a third of its time."""
    if not LEAST_TIME <= timestamp <= MOST_EXACT:
        return repr(timestamp)
    microseconds = int(timestamp * 1e6 + 0.5)
    if microseconds / 1e6 != timestamp:
        return repr(timestamp)
    digits = str(microseconds)  # 16; the shortest text of a float below 2**32 is that of its microseconds
    return f"{digits[:10]}.{digits[10:].rstrip('0') or '0'}"


def _is_bounded(number: Decimal) -> bool:
    """Whether a number below 10**30 has at most MOST_DIGITS digits, and at most MOST_EXPONENT decimals."""
    if not number:
        return True
    _, digits, exponent = number.as_tuple()
    return len(digits) <= MOST_DIGITS and isinstance(exponent, int) and exponent >= -MOST_EXPONENT


def _moment(text: str) -> float:
    """Return the unix seconds of RFC 3339; a time without a zone is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text.upper())  # RFC 3339 allows t and z
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
