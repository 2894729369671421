"""The check of a query: one SELECT, by DuckDB's own parser. The database itself refuses what a SELECT may not reach."""

from typing import Any

from aggregator.archive.duck import library
from aggregator.archive.errors import QueryRefused, message_of

MOST_CHARACTERS = 100_000


def checked(text: str) -> str:
    """Return the one SELECT of a text without the semicolon behind it. Raises QueryRefused.

    DESCRIBE, SUMMARIZE, SHOW, VALUES and FROM … are SELECT for the parser, too.
    """
    duckdb = library()
    if len(text) > MOST_CHARACTERS:
        raise QueryRefused(f"the query has more than {MOST_CHARACTERS:,} characters")
    if "\0" in text:
        raise QueryRefused("the query has a character of code 0")
    try:
        text.encode()
        statements: list[Any] = duckdb.extract_statements(text)
    except UnicodeError as error:
        raise QueryRefused("the query is not UTF-8 text") from error
    except duckdb.Error as error:
        raise QueryRefused(message_of(error)) from error
    if len(statements) != 1:
        pivot = "in a PIVOT, name the columns: ON venue IN ('coinbase', 'kraken')" if "pivot" in text.lower() else ""
        raise QueryRefused(f"give one SELECT; this is {len(statements)} statements", pivot)
    kind = statements[0].type.name
    if kind != "SELECT":
        raise QueryRefused(f"only SELECT is allowed; this is {_article(kind)} {kind.replace('_', ' ')} statement")
    query: str = statements[0].query
    return query.strip().rstrip(";")


def _article(word: str) -> str:
    return "an" if word[0] in "AEIOU" else "a"
