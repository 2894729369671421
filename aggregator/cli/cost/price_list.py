"""The prices of AWS' units: the list of the package, or a file of the same form.

The list is of us-east-1, without free tiers, discounts and tax. It was written on `AS_OF` and must be checked against
the pages that it names: prices differ between regions and change.
"""

import csv
import math
from collections.abc import Iterable, Mapping
from importlib.resources import files

from aggregator.numerals import number_of

AS_OF = "2026-11-30"
_COLUMNS = ["name", "dollars", "unit", "source"]


def read_prices(lines: Iterable[str] | None = None) -> Mapping[str, float]:
    """Return dollars by the name of a unit, from lines of CSV; None stands for the list of the package.

    Names that the lines lack have the price of the package. Raises ValueError that names the line and what is wrong.
    """
    own = _parsed(files("aggregator.cli.cost").joinpath("prices.csv").read_text("utf-8").splitlines())
    if lines is None:
        return own
    given = _parsed(lines)
    unknown = given.keys() - own.keys()
    if unknown:
        raise ValueError(f"{min(unknown)!r} is no name of a price; these are: {', '.join(own)}")
    return {**own, **given}


def _parsed(lines: Iterable[str]) -> dict[str, float]:
    rows = csv.DictReader(lines)
    if rows.fieldnames is None or list(rows.fieldnames[:2]) != _COLUMNS[:2]:
        raise ValueError(f"the first line must be {','.join(_COLUMNS)}")
    prices: dict[str, float] = {}
    for row in rows:
        name, text = row["name"], row["dollars"]
        dollars = number_of(text or "")
        if not 0 <= dollars < math.inf:
            raise ValueError(f"line {rows.line_num}: {text!r} is no price in dollars")
        prices[name] = dollars
    return prices
