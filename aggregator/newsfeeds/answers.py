"""Reads JSON answers of sources of news."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TypeVar

import msgspec

from aggregator.news.articles import MOST_ID
from aggregator.news.ports import SourceError

T = TypeVar("T")

MOST_BYTES = 4 << 20  # of an answer
MOST_ARTICLES = 500  # of an answer; the rest is left out


def decoded(body: bytes | None, answer: type[T]) -> T:
    """Return the decoded answer. Raises SourceError for anything else."""
    try:
        return msgspec.json.decode(body or b"", type=answer, strict=False)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise SourceError("undecodable", str(error)) from error


def each(raw: Sequence[msgspec.Raw], form: type[T]) -> Iterator[T]:
    """Return the articles that have the form. Raises SourceError if there are some and none has it."""
    found = False
    last = ""
    for one in raw[:MOST_ARTICLES]:
        try:
            article = msgspec.json.decode(one, type=form, strict=False)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            last = str(error)
            continue
        found = True
        yield article
    if last and not found:
        raise SourceError("undecodable", last)


def id_of(source: str, id: str) -> str:  # noqa: A002  # the name of the field
    """Return an id that is unique among all sources, of bounded length; empty without an id."""
    whole = f"{source}:{id}"
    if not id or (len(whole) <= MOST_ID and whole.isprintable()):
        return whole if id else ""
    digest = blake2b(id.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    return f"{source[: MOST_ID // 2]}:{digest}"
