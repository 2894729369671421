"""The hand-over of records from the consumer's thread to the event loop."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec
from confluent_kafka import Message

from aggregator.trades.event_log.partition import Assignment

MOST_WAITING = 10_000  # records that the event loop has not taken yet


class HandedOver(msgspec.Struct):
    """Records as they came (`ended` None), or the end of an assignment. `arrived` is in monotonic seconds."""

    messages: Sequence[Message]
    assignments: Mapping[int, Assignment]
    arrived: float
    ended: Assignment | None = None


class HandOver:
    """A bounded queue. The thread puts and waits, the event loop takes; `notify` is called from the thread."""

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._lock = threading.Lock()
        self._waiting: deque[HandedOver] = deque()
        self._size = 0
        self._taken = threading.Event()
        self._wanted = threading.Event()
        self._wanted.set()

    def put(self, one: HandedOver) -> None:
        """Hand over; the queue takes more than its bound. The end of an assignment comes before all records."""
        with self._lock:
            if one.ended is None:
                self._waiting.append(one)
            else:
                self._waiting.appendleft(one)
            self._wanted.clear()
            self._size += len(one.messages)
        self._notify()

    def take(self, most: int) -> list[HandedOver]:
        """Return what was handed over, the oldest first: `most` records at most, or the end of an assignment."""
        with self._lock:
            taken: list[HandedOver] = []
            size = 0
            while self._waiting and (not taken or size + len(self._waiting[0].messages) <= most):
                if taken and self._waiting[0].ended is not None:
                    break
                taken.append(self._waiting.popleft())
                size += len(taken[-1].messages)
                if taken[-1].ended is not None:
                    break
            self._size -= size
            if not taken:
                self._wanted.set()
        self._taken.set()
        return taken

    @property
    def has_waiting(self) -> bool:
        """Whether something was handed over and not taken."""
        return bool(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether no more records may be handed over."""
        return self._size >= MOST_WAITING

    def wait_for_room(self, seconds: float) -> bool:
        """Wait until the event loop has taken something since the last call; return whether it has."""
        is_taken = self._taken.wait(seconds)
        self._taken.clear()
        return is_taken

    def wait_until_wanted(self, seconds: float) -> bool:
        """Wait until the event loop has found nothing to take since the last `put`; return whether it has."""
        return self._wanted.wait(seconds)

    def end_wait(self) -> None:
        """End the wait for room."""
        self._taken.set()
