"""The last events of one topic: kept for streams that resume, and for snapshots."""

from collections import deque
from collections.abc import Sequence
from itertools import takewhile

from aggregator.live.subscriber import Event, Slot, Subscription


class Replay:
    """Holds at most `most_events` events and `most_bytes` bytes of them (None: any); the oldest are dropped first."""

    def __init__(self, most_events: int, most_bytes: int | None) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._events: deque[Event] = deque()
        self._newest: dict[Slot, Event] = {}  # of each key, among the events up to number `_indexed`
        self._indexed = 0
        self._bytes = 0
        self._dropped = 0  # number of the last event that is not held any more

    def add(self, events: Sequence[Event]) -> None:
        """Hold events; they are newer than all others."""
        self._events.extend(events)
        if self._most_bytes is not None:
            self._bytes += sum(event.size for event in events)
            while self._bytes > self._most_bytes:
                self._drop_oldest()
        for _ in range(len(self._events) - self._most_events):
            self._drop_oldest()

    def has_all_after(self, number: int) -> bool:
        """Whether every event with a larger number is held."""
        return number >= self._dropped

    def after(self, number: int) -> Sequence[Event]:
        """Return the held events with a larger number, oldest first."""
        return list(takewhile(lambda event: event.number > number, reversed(self._events)))[::-1]

    def newest(self, wanted: Subscription) -> Sequence[Event]:
        """Return the newest held event of each key that the subscription covers, oldest first."""
        for event in self.after(self._indexed):
            self._newest[event.slot] = event
            self._indexed = event.number
        self._newest = {slot: event for slot, event in self._newest.items() if event.number > self._dropped}
        found = [event for event in self._newest.values() if wanted.has(event)]
        return sorted(found, key=lambda event: event.number)

    def clear(self) -> None:
        """Drop all events."""
        while self._events:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        event = self._events.popleft()
        self._dropped = event.number
        if self._most_bytes is not None:
            self._bytes -= event.size
