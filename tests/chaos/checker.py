"""Rules for the record of a chaos run: pure functions that take the record and return violations.

1. A process never shows an older price of an asset after a newer one: `back_in_time`. A price on a stream of that
   process counts as shown. Between processes, older prices are allowed and counted: `cross_process_lag`.
2. Every price that was answered, streamed or published is in history with the same value: `not_in_history`. With
   several refreshers, a different value for the same timestamp is counted, not judged: two refreshers that cannot
   reach each other may compute different prices for one timestamp, and DynamoDB keeps the last.
3. An error status appears only when the documentation allows it for a fault of that time: `bad_replies`. No process
   ends by itself: `ended`.
4. Every price lies within the venues' prices: `untrue`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

import msgspec

from tests.chaos.recorder import EVENT, PUBLISHED, PUSHED, STORED, Fault, Record, Reply, Seen
from tests.chaos.truth import Truth

Key = tuple[str, float]

HTTP_OK, NOT_MODIFIED, TOO_MANY, BAD_GATEWAY, UNAVAILABLE = 200, 304, 429, 502, 503
NO_ANSWER = 0
AFTER = 30.0  # seconds that a fault's effects may outlast it: an open breaker makes no calls for that long
PROCESS_FAULTS = frozenset({"killed", "stopped", "restarted"})
_JUST = 5.0  # seconds
_MOST_SHOWN = 5


class Violation(msgspec.Struct, frozen=True):
    """A broken rule: its name, the time, and a description."""

    rule: str
    at: float
    what: str


class CrossProcessLag(msgspec.Struct, frozen=True):
    """Count of answers that were older than a price another process had already shown; these are allowed."""

    count: int = 0
    seconds: float = 0.0  # how much older the worst answer was
    late: float = 0.0  # how long, at most, after the newer price was shown an older one was still answered

    def __str__(self) -> str:
        return f"{self.count} (at most {self.seconds:.1f} s older, {self.late:.2f} s later)"


def back_in_time(seen: Iterable[Seen]) -> list[Violation]:
    """Return the answers older than a price that the same process or connection had shown before the request.

    Stream events are compared within their connection only: a resumed stream starts with the events it has missed.
    """
    current = [one for one in seen if one.kind not in (PUBLISHED, STORED)]
    by_server = _grouped((one for one in current if one.server), lambda one: (one.server, one.asset))
    overtaken = {
        id(one): _older(one, newer, f"process {one.server}")
        for its in by_server.values()
        for one, newer in _overtaken(its, judged=lambda one: one.kind != EVENT)
    }
    by_connection = _grouped(current, lambda one: (one.connection, one.asset))
    stepped = {
        id(one): _older(one, newer, f"connection {one.connection} to {one.server}")
        for its in by_connection.values()
        for one, newer in _stepped_back(its)
    }
    found = (stepped | overtaken).values()  # a price that breaks both rules is one violation
    return sorted(found, key=lambda one: one.at)


def cross_process_lag(seen: Iterable[Seen]) -> CrossProcessLag:
    """Count the answers older than a price that another process had shown, or Redis published, before the request."""
    by_asset = _grouped((one for one in seen if one.kind != STORED), lambda one: one.asset)
    older = [
        (newer.timestamp - one.timestamp, one.received - newer.received)
        for its in by_asset.values()
        for one, newer in _overtaken(its, judged=lambda one: one.kind not in PUSHED and one.kind != PUBLISHED)
        if newer.server != one.server
    ]
    if not older:
        return CrossProcessLag()
    return CrossProcessLag(len(older), max(seconds for seconds, _ in older), max(late for _, late in older))


def not_in_history(seen: Iterable[Seen], held: Mapping[Key, Decimal]) -> list[Violation]:
    """Return the prices, each once, that are not in history (`lost`) or have another value there (`replaced`)."""
    first: dict[tuple[str, float, Decimal], Seen] = {}
    for one in seen:
        first.setdefault((one.asset, one.timestamp, one.price), one)
    found = []
    for (asset, timestamp, price), one in first.items():
        stored = held.get((asset, timestamp))
        if stored is None:
            found.append(Violation("lost", one.received, f"{_shown(one)} is not in history"))
        elif stored != price:
            found.append(Violation("replaced", one.received, f"{_shown(one)} is {stored} in history"))
    return sorted(found, key=lambda one: one.at)


def bad_replies(replies: Iterable[Reply], faults: Sequence[Fault]) -> list[Violation]:
    """Return the replies with a status that no fault of that time allows."""
    return [
        Violation("status", one.sent, f"{one.status} to {one.request} by {one.server or one.target}: {one.body[:200]}")
        for one in replies
        if not _in_order(one, [fault for fault in faults if fault.overlaps(one.sent, one.received, AFTER)])
    ]


def untrue(seen: Iterable[Seen], truth: Truth, windows: Mapping[str, float]) -> list[Violation]:
    """Return the prices outside the venues' range in the asset's window (seconds) before the price's timestamp."""
    found = []
    for asset, timestamp, price in sorted({(one.asset, one.timestamp, one.price) for one in seen}):
        low, high = truth.bounds(asset, timestamp, windows[asset])
        if not low <= price <= high:
            found.append(Violation("untrue", timestamp, f"{asset} of {timestamp}: {price}, not in {low} to {high}"))
    return found


def ended(record: Record) -> list[Violation]:
    """Return the processes that ended by themselves."""
    return [
        Violation("ended", one.at, f"{one.part} ended by itself with {one.code}: {one.output}") for one in record.ended
    ]


def summed_up(violations: Sequence[Violation], faults: Sequence[Fault] = ()) -> str:
    """Return a summary: violations counted by rule, and the first of each rule with the faults around that time."""
    counts = Counter(one.rule for one in violations)
    lines = []
    for rule, number in counts.items():
        lines.append(f"{rule}: {number}")
        some = [one for one in violations if one.rule == rule][:_MOST_SHOWN]
        lines += [f"  {one.at:.3f} {one.what} [{_around(one.at, faults)}]" for one in some]
    return "\n".join(lines)


def _around(moment: float, faults: Sequence[Fault]) -> str:
    return "; ".join(
        f"{one.part} {one.kind} {one.began - moment:+.1f} to {one.ended - moment:+.1f} s"
        for one in faults
        if one.overlaps(moment, moment, _JUST)
    )


def _in_order(one: Reply, trouble: Sequence[Fault]) -> bool:
    if one.status in (HTTP_OK, NOT_MODIFIED):
        return True
    if one.status == TOO_MANY:
        return one.retry_after and one.request.startswith("POST /refresh/")
    if one.status == BAD_GATEWAY:
        return bool(trouble) and one.request.startswith("POST /refresh/")
    if one.status == UNAVAILABLE:
        return bool(trouble) and one.retry_after
    return one.status == NO_ANSWER and any(
        fault.kind in PROCESS_FAULTS and fault.part.startswith(one.target) for fault in trouble
    )


def _grouped(seen: Iterable[Seen], key: Callable[[Seen], object]) -> dict[object, list[Seen]]:
    groups: dict[object, list[Seen]] = defaultdict(list)
    for one in seen:
        groups[key(one)].append(one)
    return groups


def _overtaken(its: Sequence[Seen], judged: Callable[[Seen], bool]) -> Iterator[tuple[Seen, Seen]]:
    """Yield each price of one asset that is older than the newest one received before its request."""
    received = sorted(its, key=lambda one: one.received)
    newest: Seen | None = None
    known = 0
    for one in sorted(its, key=lambda one: one.sent):
        while received[known].received < one.sent:
            if newest is None or received[known].timestamp > newest.timestamp:
                newest = received[known]
            known += 1
        if newest is not None and one.timestamp < newest.timestamp and judged(one):
            yield one, newest


def _stepped_back(its: Sequence[Seen]) -> Iterator[tuple[Seen, Seen]]:
    """Yield each price that is older than an earlier one on the same connection."""
    newest = its[0]
    for one in its:
        if one.timestamp < newest.timestamp:
            yield one, newest
        elif one.timestamp > newest.timestamp:
            newest = one


def _older(one: Seen, newer: Seen, where: str) -> Violation:
    seconds, late = newer.timestamp - one.timestamp, one.received - newer.received
    what = f"{where}: {_shown(one)}, {seconds:.3f} s older than {_shown(newer)}, {late:.3f} s after it"
    return Violation("back in time", one.received, what)


def _shown(one: Seen) -> str:
    asked = f" asked for at {one.sent:.3f}" if math.isfinite(one.sent) and one.sent != one.received else ""
    how = f"{one.kind} to {one.client}{asked}, there at {one.received:.3f}"
    return f"{one.asset} {one.price} of {one.timestamp:.6f} ({how})"
