"""Cuts a long listing into short ones, so that decoding one blocks the event loop a few milliseconds at most. Pure.

A JSON decoder reads its whole input in one call, which holds the interpreter's lock in a thread too: 16 MiB take up to
half a second. So the text is cut between two markets, and each part becomes a document of its own, with the text before
the first market and after the last one.
"""

import re
from collections.abc import Generator, Iterator
from enum import Enum
from itertools import pairwise

from aggregator.errors import Undecodable

PART = 64 << 10  # bytes of markets in a part; a listing up to this size is not cut
_MOST_AROUND = 16 << 10  # bytes before the first market, and after the last
_WINDOW = 16 << 10  # bytes searched between two pauses: 3 ms if all of them are brackets
_TOKEN = re.compile(rb'["\\{}\[\]]')
_QUOTE, _BACKSLASH = b'"\\'
_OPENING = frozenset(b"{[")
_BETWEEN = b", \t\r\n"


def parts(body: bytes, start: re.Pattern[bytes] | None, size: int = PART) -> Iterator[bytes | None]:
    """Yield documents of about `size` bytes that together list the markets of `body`; a None is a place for a pause.

    `start` matches up to the bracket that opens the list of markets. Raises Undecodable where `body` cannot be cut into
    parts that are short enough.
    """
    if len(body) <= size:
        yield body
        return
    found = None if start is None else start.search(body, 0, _MOST_AROUND)
    if found is None:
        raise Undecodable(f"{len(body)} bytes that are no list of markets")
    cuts = yield from _cut(body, found.end(), size)
    before, after = body[: cuts[0]], body[cuts[-1] :]
    if len(after) > _MOST_AROUND:
        raise Undecodable(f"{len(after)} bytes behind the last market")
    for first, last in pairwise(cuts):
        markets = body[first:last].strip(_BETWEEN)
        if markets:
            yield before + markets + after


def _cut(body: bytes, first: int, size: int) -> Generator[None, None, list[int]]:
    """Return the offset of each part, and of the bracket that closes the list."""
    cuts = [first]
    for at, mark in _marks(body, first):
        if mark is _Mark.LIST:
            return [*cuts, at]
        if mark is _Mark.PAUSE:
            yield None
        elif at - cuts[-1] >= size:
            cuts.append(at)
        if at - cuts[-1] > size + PART:
            raise Undecodable(f"a market of more than {PART} bytes")
    raise Undecodable("a list of markets without an end")


class _Mark(Enum):
    """Mark at an offset: the end of a market, the end of the list, or the end of a window (for a pause)."""

    MARKET = 0
    LIST = 1
    PAUSE = 2


def _marks(body: bytes, first: int) -> Iterator[tuple[int, _Mark]]:
    depth, in_text, escaped = 0, False, -1
    for window in range(first, len(body), _WINDOW):
        for token in _TOKEN.finditer(body, window, window + _WINDOW):
            at = token.start()
            char = body[at]
            if in_text:
                in_text = char != _QUOTE or at == escaped
                escaped = at + 1 if char == _BACKSLASH and at != escaped else -1
            elif char == _QUOTE:
                in_text = True
            elif char in _OPENING:
                depth += 1
            elif depth == 0:
                yield at, _Mark.LIST
            else:
                depth -= 1
                if depth == 0:
                    yield at + 1, _Mark.MARKET
        yield window + _WINDOW, _Mark.PAUSE
