"""The order of sending: batches of events that wait, with no asset in two batches under way. Pure.

add -> a queue for each asset -> take: a batch -> settle: what is to be sent again, in front of its queue
"""

from collections import OrderedDict, deque
from collections.abc import Container, Sequence

from aggregator.outlets.outbox.queue_file import Queued
from aggregator.stores.waiting_file import Row

Waiting = Row[Queued]


class Lanes:
    """The rows of one outlet that wait in memory.

    A batch has at most `most_events` and, unless it is a single event, `most_bytes` of bodies. Unless `is_atomic`, a
    batch has one event of an asset. Assets take turns.

    The rows of a batch that the outlet has refused as a whole are in smaller and smaller batches from then on, until
    the row that is the reason is alone.
    """

    def __init__(self, most_events: int, most_bytes: int, *, is_atomic: bool) -> None:
        self._most_events = most_events
        self._most_bytes = most_bytes
        self._is_atomic = is_atomic
        self._queues: dict[str, deque[Waiting]] = {}
        self._ready: OrderedDict[str, None] = OrderedDict()  # assets with rows and none under way, the next one first
        self._under_way: dict[str, None] = {}
        self._ids: set[int] = set()
        self._bounds: dict[int, int] = {}  # by id, the largest batch of a row whose batch was refused
        self._done: set[int] = set()  # since the last `begin_read`

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def ids(self) -> Container[int]:
        """The ids of the rows that are here."""
        return self._ids

    def begin_read(self) -> None:
        """Note the beginning of a read of rows to add: what is done meanwhile may still be among them."""
        self._done.clear()

    def add(self, rows: Sequence[Waiting]) -> None:
        """Add rows, oldest first; those that are here already, or were done since `begin_read`, are ignored."""
        for row in rows:
            if row.id in self._ids or row.id in self._done:
                continue
            self._ids.add(row.id)
            asset = row.record.asset
            self._queues.setdefault(asset, deque()).append(row)
            if asset not in self._under_way:
                self._ready[asset] = None

    def take(self) -> list[Waiting]:
        """Return the next batch, whose assets are under way until `settle`; nothing if none is ready."""
        batch: list[Waiting] = []
        size, most = 0, self._most_events
        while self._ready and len(batch) < most:
            asset, _ = self._ready.popitem(last=False)
            queue = self._queues[asset]
            before = len(batch)
            for _ in range(len(queue) if self._is_atomic else 1):
                row = queue[0]
                size += len(memoryview(row.record.body))
                bound = min(most, self._bounds.get(row.id, most)) if self._bounds else most
                if batch and (len(batch) >= bound or size > self._most_bytes):
                    break
                most = bound
                batch.append(queue.popleft())
            if len(batch) == before:  # the next event does not go with this batch
                self._ready[asset] = None
                self._ready.move_to_end(asset, last=False)
                break
            self._under_way[asset] = None
        return batch

    def halve(self, batch: Sequence[Waiting]) -> None:
        """Bound the batches that the rows of a refused batch go with next; `settle` it afterwards."""
        self._bounds |= dict.fromkeys((row.id for row in batch), max(1, len(batch) // 2))

    def settle(self, batch: Sequence[Waiting], again: Sequence[Waiting]) -> None:
        """Mark a batch as done, but for the rows in `again`, which are the next ones of their assets."""
        left = {row.id for row in again}
        done = [row.id for row in batch if row.id not in left]
        self._ids.difference_update(done)
        self._done.update(done)
        for row_id in done if self._bounds else ():
            self._bounds.pop(row_id, None)
        for row in reversed(batch):
            if row.id in left:
                self._queues[row.record.asset].appendleft(row)
        for asset in dict.fromkeys(row.record.asset for row in batch):
            self._under_way.pop(asset, None)
            if self._queues[asset]:
                self._ready[asset] = None
            else:
                del self._queues[asset]

    def clear(self) -> None:
        """Forget the rows that are not under way."""
        gone = [row for queue in self._queues.values() for row in queue]
        self._ids.difference_update(row.id for row in gone)
        for row in gone if self._bounds else ():
            self._bounds.pop(row.id, None)
        for asset in list(self._queues):
            if asset in self._under_way:
                self._queues[asset].clear()
            else:
                del self._queues[asset]
        self._ready.clear()
