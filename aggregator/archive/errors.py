"""The errors of a query: those of DuckDB in the words of a user, or as errors of a store."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aggregator.archive.duck import library
from aggregator.errors import StoreRefused, StoreUnavailable, printable

_MOST_TEXT = 500  # characters of an error of DuckDB


class QueryRefused(Exception):
    """The query is not run, or was stopped; the text is a sentence for the user, `remedy` what to do instead."""

    def __init__(self, text: str, remedy: str = "") -> None:
        super().__init__(text)
        self.remedy = remedy


class Interrupted(Exception):
    """The connection was interrupted."""


@contextmanager
def refusals(interrupted: Callable[[], QueryRefused]) -> Iterator[None]:
    """Raise DuckDB's errors as QueryRefused; that of an interrupt is made by `interrupted`."""
    duckdb = library()
    try:
        yield
    except (duckdb.InterruptException, Interrupted) as error:
        raise interrupted() from error
    except duckdb.OutOfMemoryException as error:
        what = f"the query needs more memory or disk than it may: {message_of(error)}"
        raise QueryRefused(what, "read less, or aggregate") from error
    except duckdb.PermissionException as error:
        raise QueryRefused(f"a query may only read the archive: {message_of(error)}") from error
    except duckdb.Error as error:
        raise QueryRefused(message_of(error)) from error


@contextmanager
def reading() -> Iterator[None]:
    """Raise DuckDB's errors as errors of a store; that of an interrupt as Interrupted."""
    duckdb = library()
    try:
        yield
    except duckdb.InterruptException as error:
        raise Interrupted from error
    except (duckdb.PermissionException, duckdb.InvalidInputException) as error:
        raise StoreRefused(f"the archive: {message_of(error)}") from error
    except duckdb.Error as error:
        raise StoreUnavailable(f"the archive: {message_of(error)}") from error


def message_of(error: Exception) -> str:
    """Return the first paragraph of an error of DuckDB in one line, without the name of its kind."""
    text = re.sub(r"\s+", " ", str(error).split("\n\n")[0]).strip()
    return printable(re.sub(r"^[A-Z][A-Za-z ]{1,30} Error: ", "", text), _MOST_TEXT)
