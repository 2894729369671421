"""The rows that a query needs of the hot stores: those in the times that no file of the archive covers.

A file has all rows of its times, so each row comes from one side only.
"""

import math
from collections.abc import AsyncIterator, Iterable, Sequence

from aggregator.archive.bounds import Span
from aggregator.archive.errors import QueryRefused
from aggregator.archive.sources import Source

MOST_ROWS = 2_000_000
_PART = 10_000  # rows that are handed over together


def gaps(span: Span, covered: Iterable[Span]) -> list[Span]:
    """Return the parts of a span that none of the covered ones has. A covered span ends before its `end`."""
    found, start = list[Span](), span.start
    for one in sorted(covered, key=lambda one: one.start):
        if one.end <= start or one.start > span.end:
            continue
        if one.start > start:
            found.append(Span(start, math.nextafter(one.start, -math.inf)))
        start = one.end
    return [*found, Span(start, span.end)] if start <= span.end else found


async def hot_rows(source: Source, assets: Sequence[str], spans: Sequence[Span]) -> AsyncIterator[bytes]:
    """Yield JSON lines of the rows of all assets in the spans, some thousand together.

    Raises StoreError, and QueryRefused.
    """
    total, waiting, number = 0, list[bytes](), 0
    for asset in assets:
        for span in spans:
            async for page in source.pages(asset, span.start, math.nextafter(span.end, math.inf)):
                total += len(page)
                if total > MOST_ROWS:
                    raise QueryRefused(
                        f"more than {MOST_ROWS:,} rows of the time that it reads are not archived",
                        "read a shorter time, such as WHERE timestamp >= now() - INTERVAL 10 MINUTE",
                    )
                waiting.append(source.lines(page))
                number += len(page)
                if number >= _PART:
                    yield b"".join(waiting)
                    waiting, number = [], 0
    if waiting:
        yield b"".join(waiting)
