"""The last events of one topic: kept for streams that resume, and for snapshots."""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import NamedTuple

from aggregator.live.subscriber import Event, Slot, Subscription


class _Unmade(NamedTuple):
    """Values without events so far: their number, the number of the last event, and the function that makes them."""

    size: int
    last: int
    make: Callable[[], Sequence[Event]]


class Replay:
    """Holds at most `most_events` events and `most_bytes` bytes of them (None: any); the oldest are dropped first."""

    def __init__(self, most_events: int, most_bytes: int | None) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._events: deque[Event] = deque(maxlen=most_events if most_bytes is None else None)
        self._unmade: deque[_Unmade] = deque()  # newer than all events
        self._unmade_size = 0
        self._newest: dict[Slot, Event] = {}  # of each key, among the events up to number `_indexed`
        self._indexed = 0
        self._bytes = 0
        self._dropped = 0  # number of the last event that is not held any more

    @property
    def takes_unmade(self) -> bool:
        """Whether `add_unmade` may be called: the number of bytes is not bounded."""
        return self._most_bytes is None

    def add(self, events: Sequence[Event]) -> None:
        """Hold events; they are newer than all others."""
        self._make()
        self._hold(events)

    def add_unmade(self, size: int, last: int, make: Callable[[], Sequence[Event]]) -> None:
        """Hold at most `size` events, of which the last has at most the number `last`; `make` returns them if needed.

        Most events of a topic without subscribers are dropped before anybody asks for them.
        """
        self._unmade.append(_Unmade(size, last, make))
        self._unmade_size += size
        while self._unmade and self._unmade_size - self._unmade[0].size >= self._most_events:
            oldest = self._unmade.popleft()
            self._unmade_size -= oldest.size
            self._events.clear()
            self._dropped = oldest.last

    def has_all_after(self, number: int) -> bool:
        """Whether every event with a larger number is held."""
        self._make()
        return number >= self._dropped

    def after(self, number: int) -> Sequence[Event]:
        """Return the held events with a larger number, oldest first."""
        self._make()
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
        if self._unmade:
            self._dropped = self._unmade[-1].last
            self._unmade.clear()
            self._unmade_size = 0

    def _make(self) -> None:
        """Make the events that are not made yet."""
        unmade, self._unmade, self._unmade_size = self._unmade, deque(), 0
        for one in unmade:
            self._hold(one.make())

    def _hold(self, events: Sequence[Event]) -> None:
        held = self._events
        if self._most_bytes is None:
            gone = len(held) + len(events) - self._most_events
            if gone > 0:
                self._dropped = (held[gone - 1] if gone <= len(held) else events[gone - len(held) - 1]).number
            held.extend(events)  # it drops as many of the oldest
            return
        held.extend(events)
        self._bytes += sum(event.size for event in events)
        while self._bytes > self._most_bytes or len(held) > self._most_events:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        event = self._events.popleft()
        self._dropped = event.number
        if self._most_bytes is not None:
            self._bytes -= event.size
