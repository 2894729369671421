"""Decimals as whole multiples of one unit. Sums of them are exact. Pure."""

from decimal import Decimal
from functools import lru_cache


class Unit:
    """The unit 1 / `parts`, a power of ten. Operators share it, so that it stays in the CPU's cache: see `unit_of`."""

    __slots__ = ("_factors", "parts")

    def __init__(self, parts: int) -> None:
        self.parts = parts
        self._factors: dict[int, int] = {}  # by denominator: the divisors of `parts` that have been met

    def whole(self, number: Decimal) -> int | None:
        """Return the number as a multiple of the unit; None if the number has more decimals than the unit."""
        numerator, denominator = number.as_integer_ratio()  # half the time of a multiplication and int()
        factor = self._factors.get(denominator)
        if factor is None:
            factor, rest = divmod(self.parts, denominator)
            if rest:
                return None
            self._factors[denominator] = factor
        return numerator * factor

    def exactly(self, number: Decimal) -> int:
        """Return the number as a multiple of the unit, which is fine enough for it."""
        numerator, denominator = number.as_integer_ratio()
        return numerator * self.parts // denominator

    def finer(self, number: Decimal) -> "Unit":
        """Return the unit with as many decimals as the number, which has more than this unit."""
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)  # noqa: S101  # the number is finite
        return unit_of(int(10**-exponent))


@lru_cache(256)
def unit_of(parts: int) -> Unit:
    """Return the unit 1 / parts."""
    return Unit(parts)
