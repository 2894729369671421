"""Parsing of Kafka records: one JSON object, a JSON array, or a protobuf update or batch each. Pure.

A record shows by its first byte whether it is JSON: `{` and `[` begin no protobuf message of `proto/market.proto`.
"""

from collections.abc import Callable, Sequence

import msgspec

from aggregator.models import Trade
from aggregator.trades.ingest import Parser, Taken, TooManyRecords
from aggregator.trades.protobuf import MOST_UPDATES
from aggregator.trades.rejection import Rejection

SOURCE = "kafka"
_UPDATES = "application/x-protobuf; messageType=marketdata.MarketUpdates"
_LONGEST = 127  # bytes of an update whose length is one byte of a batch
_OPENING = (b"{", b"[")
_TOO_MANY = f"the record has more than {MOST_UPDATES} trades"


class Records(msgspec.Struct):
    """The trades of some records in order, the rejected ones, whose `index` is the record's, and the empty ones."""

    trades: list[Trade]
    rejected: list[Rejection]
    empty: int = 0


class RecordParser:
    """Parses the values of records in `format`, json or protobuf. `parser` should have the source `kafka`."""

    def __init__(self, parser: Parser, format: str) -> None:  # noqa: A002  # the name of the option
        self._parser = parser
        self._is_protobuf = format == "protobuf"

    def parse(self, values: Sequence[bytes | None], now: float) -> Records:
        """Return the trades of values; `now` is unix seconds. An empty value, as of a tombstone, is none."""
        found = self._all_alike(values, now)
        if found is not None:
            return Records(found.trades, found.rejected)
        records = Records([], [])
        for index, value in enumerate(values):
            if not value:
                records.empty += 1
                continue
            taken = self._one(value, now)
            records.trades += taken.trades
            records.rejected += [msgspec.structs.replace(one, index=index) for one in taken.rejected]
        return records

    def _all_alike(self, values: Sequence[bytes | None], now: float) -> Taken | None:
        """Parse all values at once, at a fraction of the time; None unless all are single trades of one format."""
        if len(values) == 1:
            return None
        if self._is_protobuf:
            if len(values) > MOST_UPDATES:
                return self._in_two(values, now)
            parts = [
                b"\n%c%b" % (len(value), value)
                for value in values
                if value and len(value) <= _LONGEST and value[:1] not in _OPENING
            ]
            if len(parts) < len(values):
                return None
            taken = self._parser.protobuf(b"".join(parts), _UPDATES, now)
            is_complete = len(taken.trades) + len(taken.rejected) == len(values)
            return taken if is_complete and not self._has_batch(values, taken.rejected, now) else None
        lines = [value for value in values if value and value[:1] == b"{" and b"\n" not in value]
        return None if len(lines) < len(values) else self._parser.lines(b"\n".join(lines), now)

    def _has_batch(self, values: Sequence[bytes | None], rejected: Sequence[Rejection], now: float) -> bool:
        """Whether a value that is no update is a batch of updates."""
        return any(self._one(values[one.index] or b"", now).trades for one in rejected)

    def _in_two(self, values: Sequence[bytes | None], now: float) -> Taken | None:
        half = len(values) // 2
        first = self._all_alike(values[:half], now)
        second = None if first is None else self._all_alike(values[half:], now)
        if first is None or second is None:
            return None
        rejected = [msgspec.structs.replace(one, index=one.index + half) for one in second.rejected]
        return Taken([*first.trades, *second.trades], [*first.rejected, *rejected])

    def _one(self, value: bytes, now: float) -> Taken:
        parse: Callable[[], Taken]
        if not self._is_protobuf or value[:1] in _OPENING:
            parse = lambda: self._parser.document(value, now)  # noqa: E731  # one of two
        else:
            parse = lambda: self._parser.protobuf(value, "", now)  # noqa: E731  # one of two
        try:
            return parse()
        except TooManyRecords:
            return Taken([], [Rejection(0, "malformed", _TOO_MANY, value[:4096], SOURCE, now)])
