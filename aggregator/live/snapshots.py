"""Snapshots at the beginning of a stream and after a gap: the current values of the topics that a subscriber wants."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from aggregator.live.fanout import Fanout
from aggregator.live.subscriber import Subscriber, Subscription, Wanted

_MOST_IN_PART = 1000  # values


class SnapshotSource(Protocol):
    """Has the current values of one topic."""

    async def read(self, subscription: Subscription) -> Callable[[], Sequence[bytes]]:
        """Read what a snapshot needs. The returned function returns JSON arrays that are current when it is called.

        There is at least one array, and none has more than a thousand values.
        """


class Snapshot(msgspec.Struct, frozen=True):
    """JSON arrays with the names of their topics, in the order of the topics; and the last event that they include."""

    parts: Sequence[tuple[str, bytes]]
    last_id: str


class Snapshots:
    """Makes snapshots. A topic without a source in `sources` (by name) shows the newest kept event of each key."""

    def __init__(self, fanout: Fanout, sources: Mapping[str, SnapshotSource]) -> None:
        self._fanout = fanout
        self._sources = sources

    async def begin(self, subscriber: Subscriber, wanted: Wanted) -> Snapshot:
        """Add `wanted` to the subscription and return its snapshot. Send it before anything else."""
        readers = [(topic, await self._source(topic).read(some)) for topic, some in wanted.items()]
        # No await from here on: the snapshot has all events up to `last_id`, and the subscriber gets all later ones.
        parts = [(topic, part) for topic, reader in readers for part in reader()]
        return Snapshot(parts, self._fanout.follow(subscriber, wanted))

    def _source(self, topic: str) -> SnapshotSource:
        return self._sources.get(topic) or _KeptEvents(self._fanout, topic)


class _KeptEvents:
    """The snapshot source of a topic whose current values are the newest events."""

    def __init__(self, fanout: Fanout, topic: str) -> None:
        self._fanout = fanout
        self._topic = topic

    async def read(self, subscription: Subscription) -> Callable[[], Sequence[bytes]]:
        """Return the function; there is nothing to read."""
        return lambda: self._arrays(subscription)

    def _arrays(self, subscription: Subscription) -> Sequence[bytes]:
        bodies = [event.body for event in self._fanout.newest(self._topic, subscription)]
        firsts = range(0, max(1, len(bodies)), _MOST_IN_PART)
        return [b"[%b]" % b",".join(bodies[first : first + _MOST_IN_PART]) for first in firsts]
