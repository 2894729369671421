"""The shards of a Kinesis stream that get leases, and the leases that a process takes. Pure; `now`: monotonic seconds.

A lease is an item of the table, in the form of Amazon's Kinesis Client Library (KCL): who reads a shard, and how far
it has been processed. Each process keeps about as many leases as every other.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

TRIM_HORIZON, AT_TIMESTAMP, SHARD_END = "TRIM_HORIZON", "AT_TIMESTAMP", "SHARD_END"


class Shard(NamedTuple):
    """A shard of the stream; `parents` are the shards that were split or merged into it."""

    id: str
    parents: tuple[str, ...] = ()


class Lease(msgspec.Struct, frozen=True):
    """The lease of a shard.

    `owner` is empty while no process reads the shard; `counter` rises with every write of the owner. `checkpoint` is
    the sequence number of the last processed record, SHARD_END after all of them, and TRIM_HORIZON or AT_TIMESTAMP
    before the first. `start` is TRIM_HORIZON or unix seconds: where reading began. `windows` is the text of
    window_start.py. `wanted_by` is the process that the owner shall pass the lease to.
    """

    shard: str
    owner: str = ""
    counter: int = 0
    checkpoint: str = TRIM_HORIZON
    start: str = TRIM_HORIZON
    windows: str = ""
    parents: tuple[str, ...] = ()
    wanted_by: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether the shard is processed to its end."""
        return self.checkpoint == SHARD_END


class LeasePlan(NamedTuple):
    """The leases to take now, and the one to ask its owner for."""

    take: Sequence[Lease]
    ask: Lease | None


def new_leases(shards: Sequence[Shard], leases: Mapping[str, Lease], start: str) -> list[Lease]:
    """Return leases for the shards that have none and can be read: all their parents are processed.

    `start` is TRIM_HORIZON or unix seconds. A child begins where its parents did, so that it misses nothing.
    """
    listed = {shard.id for shard in shards}
    found = []
    for shard in shards:
        parents = [leases.get(parent) for parent in shard.parents if parent in listed]
        if shard.id in leases or not all(parent is not None and parent.has_ended for parent in parents):
            continue
        starts = [parent.start for parent in parents if parent is not None] or [start]
        begins = TRIM_HORIZON if TRIM_HORIZON in starts else min(starts, key=float)
        checkpoint = TRIM_HORIZON if begins == TRIM_HORIZON else AT_TIMESTAMP
        found.append(Lease(shard.id, checkpoint=checkpoint, start=begins, parents=shard.parents))
    return found


def old_leases(shards: Sequence[Shard], leases: Iterable[Lease], expired: Collection[str]) -> list[Lease]:
    """Return the leases of shards that the stream has no records of any more, and that no process reads."""
    listed = {shard.id for shard in shards}
    unlisted = [lease for lease in leases if lease.shard not in listed]
    return [lease for lease in unlisted if lease.has_ended or not lease.owner or lease.shard in expired]


class LeaseWatch:
    """Sees which owners do not renew. `seconds` is the time after which a lease may be taken."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: dict[str, tuple[str, int, float]] = {}

    def expired(self, leases: Iterable[Lease], now: float) -> set[str]:
        """Take the leases as they were read before `now`; return the shards whose lease has not changed for long."""
        before, self._seen = self._seen, {}
        for lease in leases:
            known = before.get(lease.shard)
            is_same = known is not None and known[:2] == (lease.owner, lease.counter)
            self._seen[lease.shard] = known if known is not None and is_same else (lease.owner, lease.counter, now)
        return {shard for shard, (_, _, since) in self._seen.items() if now - since >= self._seconds}


def plan(leases: Iterable[Lease], expired: Collection[str], me: str) -> LeasePlan:
    """Return what the process `me` does to have its share of the leases."""
    living = [lease for lease in leases if not lease.has_ended]
    free = [one for one in living if one.owner != me and (not one.owner or one.shard in expired)]
    taken = [one for one in living if one.owner == me or (one.owner and one.shard not in expired)]
    held = Counter(one.owner for one in taken)
    held.setdefault(me, 0)
    share = math.ceil(len(living) / len(held))
    take = free[: max(0, share - held[me])]
    busiest, most = held.most_common(1)[0]
    is_even = most < held[me] + 2
    if free or is_even or any(one.wanted_by == me for one in taken):
        return LeasePlan(take, None)
    return LeasePlan(take, next((one for one in taken if one.owner == busiest and not one.wanted_by), None))
