"""A long listing as several short ones, so that decoding each takes the event loop a few milliseconds at most. Pure.

A decoder works through its whole input in one call that holds the interpreter's lock, in a thread as well: 16 MiB take
up to half a second. So the JSON text is cut between two markets, and each part is made a document of its own, with what
comes before the first market and after the last.
"""

import re
from collections.abc import Generator, Iterator
from enum import Enum
from itertools import pairwise

from aggregator.errors import Undecodable

PART = 64 << 10  # bytes of markets in a part; a shorter listing is not cut
_MOST_AROUND = 16 << 10  # bytes before the first market, and after the last
_WINDOW = 16 << 10  # bytes looked through between two pauses: 3 ms where all of them are brackets
_TOKEN = re.compile(rb'["\\{}\[\]]')
_QUOTE, _BACKSLASH = b'"\\'
_OPENING = frozenset(b"{[")
_BETWEEN = b", \t\r\n"


def parts(body: bytes, start: re.Pattern[bytes] | None, size: int = PART) -> Iterator[bytes | None]:
    """Yield documents that together list what `body` does, of some `size` bytes each; None is a pause in the work.

    `start` matches up to the bracket behind which the markets are. Raises Undecodable for what cannot be cut into parts
    that are short enough.
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
    """Return where the parts begin, and the closing bracket of the list."""
    cuts = [first]
    for at, what in _marks(body, first):
        if what is _Mark.LIST:
            return [*cuts, at]
        if what is _Mark.PAUSE:
            yield None
        elif at - cuts[-1] >= size:
            cuts.append(at)
        if at - cuts[-1] > size + PART:
            raise Undecodable(f"a market of more than {PART} bytes")
    raise Undecodable("a list of markets without an end")


class _Mark(Enum):
    """What is at a place: the end of a market, the bracket behind all of them, or nothing, after a window."""

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
