"""The version that is installed."""

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of

DISTRIBUTION = "rt-price-aggregator"  # as `pip list` shows it; the command and the package are called aggregator


@cache  # a look at the files of the installation takes 3 ms
def version() -> str:
    """Return the installed version, or a text that says there is none, as in a clone without an installation."""
    try:
        return version_of(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown: it is not installed"
