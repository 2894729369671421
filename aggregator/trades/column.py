"""Decimals as whole multiples of one unit. Sums of them are exact. Pure."""

from array import array
from collections.abc import Sequence
from decimal import Decimal

_FIRST_DECIMALS = 8


class Column:
    """Numbers as whole multiples of 1 / unit: 8 bytes each while they fit 64 bits."""

    def __init__(self) -> None:
        self.unit = int(10**_FIRST_DECIMALS)
        self.values: array[int] | list[int] = array("q")

    def whole(self, number: Decimal) -> int | None:
        """Return the number in units of the column; None if the number has more decimals than the column."""
        numerator, denominator = number.as_integer_ratio()  # half the time of a multiplication and int()
        factor, rest = divmod(self.unit, denominator)
        return None if rest else numerator * factor

    def refine(self, number: Decimal) -> int:
        """Make the unit as fine as the number needs; return the factor by which all values have grown."""
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)  # noqa: S101  # the number is finite
        unit = int(10**-exponent)
        factor = unit // self.unit
        self.unit = unit
        self.replace([value * factor for value in self.values])
        return factor

    def insert(self, index: int, value: int) -> None:
        """Insert a value."""
        try:
            self.values.insert(index, value)
        except OverflowError:
            self.values = [*self.values]
            self.values.insert(index, value)

    def replace(self, values: Sequence[int]) -> None:
        """Replace all values."""
        try:
            self.values = array("q", values)
        except OverflowError:
            self.values = [*values]
