"""Numbers as texts: in the digits 0 to 9. Pure.

`int`, `float` and `Decimal` read `1_000` and the digits of other scripts as well. No other program writes numbers so:
such a text is a mistake, and a reader of another language reads another number, or none.
"""

import math
import re
from collections.abc import Collection
from decimal import Decimal, InvalidOperation

import msgspec

_QUOTE = b'"'
_UNDERSCORE = re.compile(rb'"[ 0-9.eE+-]*_[ 0-9.eE+_-]*"')  # a text of the characters of a number, and no other name
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def is_plain(text: str) -> bool:
    """Whether a text that Python reads as a number is one for other programs, too."""
    return "_" not in text and text.isascii()


def number_of(text: str) -> float:
    """Return the number; NaN for a text that is none."""
    try:
        return float(text) if is_plain(text) else math.nan
    except ValueError:
        return math.nan


def decimal_of(text: str) -> Decimal | None:
    """Return the number with all its digits; None for a text that is none, and for NaN and infinity."""
    try:
        number = Decimal(text) if is_plain(text) else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def counted(number: int, noun: str) -> str:
    """Return a number of things in words: 1 trade, 2,500 trades."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def may_have_others(raw: bytes) -> bool:
    """Whether JSON may have a number as a text that is not plain.

    A quick test for records as they usually are: it is also true of a few texts that are no numbers, such as an id 1_2.
    """
    return not raw.isascii() or b"\\" in raw or (b"_" in raw and _UNDERSCORE.search(raw) is not None)


def other_number(raw: bytes, names: Collection[str]) -> str | None:
    """Return the first field of a JSON object, of these names, whose text is not plain; None if there is none.

    Raises msgspec.MsgspecError where the bytes are no JSON object.
    """
    for name, value in _fields.decode(raw).items():
        if name in names and bytes(value).lstrip().startswith(_QUOTE) and not is_plain(msgspec.json.decode(value)):
            return name
    return None
