"""The range of times that a query can read, from the filters in DuckDB's plan of it.

The optimizer folds constants (`now() - INTERVAL 1 DAY`), turns `date_trunc('hour', timestamp) = …` into a range, and
moves filters through views, joins and subqueries to the scan. The plan is that of a table without statistics, so a
scan that is missing in it can have no row. A filter that is not understood bounds nothing.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import Any

import msgspec

_TOKENS = re.compile(
    r"""\s*(?:
        (?P<compare>timestamp\s*(?P<operator>>=|<=|=|>|<)\s*'(?P<time>[^']*)'::TIMESTAMP\ WITH\ TIME\ ZONE)
      | (?P<text>'(?:[^']|'')*')
      | (?P<name>"(?:[^"]|"")*")
      | (?P<open>\()
      | (?P<close>\))
      | (?P<word>[A-Za-z_]\w*)
      | (?P<other>.)
    )""",
    re.VERBOSE | re.DOTALL,
)
_FILTER = "FILTER"
_OPTIONAL = "optional: "
_MICROSECOND = 1e-6  # the resolution of times
_OTHER_WORDS = frozenset({"NOT", "CASE", "WHEN", "BETWEEN"})
_WORDS = frozenset({"AND", "OR"}) | _OTHER_WORDS


class Span(msgspec.Struct, frozen=True):
    """Unix seconds, both inclusive; infinite where there is no bound. Empty if `start` is after `end`."""

    start: float = -math.inf
    end: float = math.inf

    def intersection(self, other: "Span") -> "Span":
        """Return the times in both."""
        return Span(max(self.start, other.start), min(self.end, other.end))

    def hull(self, other: "Span") -> "Span":
        """Return the shortest span that has the times of each."""
        if self.start > self.end:
            return other
        if other.start > other.end:
            return self
        return Span(min(self.start, other.start), max(self.end, other.end))


EVER = Span()
NEVER = Span(math.inf, -math.inf)


def spans_of(plan: Sequence[Mapping[str, Any]], tables: Mapping[str, str]) -> dict[str, Span]:
    """Return the times that a plan reads of each table that it scans.

    `plan` is that of `EXPLAIN (FORMAT json)`; `tables` has names by the names in the plan, such as `memory.main.t`.
    """
    found: dict[str, Span] = {}
    for table, span in _scans(plan, EVER):
        if table in tables:
            name = tables[table]
            found[name] = found.get(name, NEVER).hull(span)
    return found


def _scans(nodes: Sequence[Mapping[str, Any]], above: Span) -> Iterator[tuple[str, Span]]:
    """Yield table and span of each scan; `above` is that of the filter directly above `nodes`."""
    for node in nodes:
        info = node.get("extra_info", {})
        if "Table" in info:
            yield str(info["Table"]), above.intersection(_span_of_all(info.get("Filters")))
        own = _span_of_all(info.get("Expression")) if str(node.get("name", "")).strip() == _FILTER else EVER
        yield from _scans(node.get("children", ()), own)


def _span_of_all(filters: object) -> Span:
    """Return the span of a filter, or of a list of filters that all hold."""
    if isinstance(filters, str):
        return span_of(filters)
    span = EVER
    for one in filters if isinstance(filters, list) else ():
        span = span.intersection(span_of(str(one)))
    return span


def span_of(text: str) -> Span:
    """Return the span of a filter as a plan writes it, such as `((timestamp >= '…'::…) AND (venue = 'x'))`."""
    try:
        return _span(list(_TOKENS.finditer(text.removeprefix(_OPTIONAL))))
    except RecursionError:
        return EVER


def _span(tokens: Sequence[re.Match[str]]) -> Span:
    """Return the span of a comparison of `timestamp`, or of such joined by AND or OR; EVER for anything else."""
    while _is_bracketed(tokens):
        tokens = tokens[1:-1]
    if len(tokens) == 1 and tokens[0]["compare"]:
        return _comparison(tokens[0])
    parts, words = _split(tokens)
    if len(parts) == 1 or len(words) > 1 or words & _OTHER_WORDS:
        return EVER
    spans = [_span(part) for part in parts]
    return reduce(Span.hull if words == {"OR"} else Span.intersection, spans)


def _is_bracketed(tokens: Sequence[re.Match[str]]) -> bool:
    """Whether the first bracket is closed by the last token."""
    depth = 0
    for place, token in enumerate(tokens):
        depth += _depth_of(token)
        if depth == 0:
            return place > 0 and place == len(tokens) - 1
    return False


def _split(tokens: Sequence[re.Match[str]]) -> tuple[list[Sequence[re.Match[str]]], set[str]]:
    """Return the parts between words of logic outside of brackets, and these words."""
    parts, words, start, depth = list[Sequence[re.Match[str]]](), set[str](), 0, 0
    for place, token in enumerate(tokens):
        depth += _depth_of(token)
        if depth == 0 and token["word"] in _WORDS:
            parts.append(tokens[start:place])
            words.add(token["word"])
            start = place + 1
    return [*parts, tokens[start:]], words


def _depth_of(token: re.Match[str]) -> int:
    return 1 if token["open"] else -1 if token["close"] else 0


def _comparison(match: re.Match[str]) -> Span:
    try:
        seconds = datetime.fromisoformat(match["time"]).timestamp()
    except ValueError:  # infinity, or a year that datetime has not
        return EVER
    operator = match["operator"]
    start = {">=": seconds, "=": seconds, ">": seconds + _MICROSECOND}.get(operator, -math.inf)
    end = {"<=": seconds, "=": seconds, "<": seconds - _MICROSECOND}.get(operator, math.inf)
    return Span(start, end)
