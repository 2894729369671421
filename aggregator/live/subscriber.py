"""The queue of one subscriber to live prices: every event while it keeps up, else the newest of each asset."""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from aggregator.models import Asset, Price, Tier

_MAX_QUEUE = 256  # events; beyond it, the queue is conflated to the newest event of each asset


class Event:
    """A new price, encoded for sending. `number` counts the events of this process; `id` is unique across processes."""

    __slots__ = ("asset", "id", "message", "number", "sse", "tier", "timestamp")

    def __init__(self, epoch: str, number: int, asset: Asset, price: Price, body: bytes) -> None:
        self.number = number
        self.id = f"{epoch}-{number}"
        self.asset = asset.symbol
        self.tier = asset.tier
        self.timestamp = price.timestamp
        self.sse = b"id: %b\nevent: price\ndata: %b\n\n" % (self.id.encode(), body)
        self.message = (b'{"type":"price","price":%b}' % body).decode()


class Subscription(msgspec.Struct, frozen=True):
    """The prices that a subscriber wants: of these assets, and of all assets in these tiers."""

    assets: frozenset[str] = frozenset()
    tiers: frozenset[Tier] = frozenset()

    def has(self, event: Event) -> bool:
        """Whether the subscription covers the event."""
        return event.tier in self.tiers or event.asset in self.assets

    def __or__(self, other: "Subscription") -> "Subscription":
        return Subscription(self.assets | other.assets, self.tiers | other.tiers)

    def __sub__(self, other: "Subscription") -> "Subscription":
        return Subscription(self.assets - other.assets, self.tiers - other.tiers)


EVERYTHING = Subscription(tiers=frozenset(Tier))


class Batch(msgspec.Struct, frozen=True):
    """All that is to be sent to a subscriber now, in the order of the fields. `gap` and `end` are reasons in words."""

    events: Sequence[Event] = ()
    gap: str = ""
    snapshot_due: bool = False
    end: str = ""


class Subscriber:
    """Holds the events for one connection. The queue is bounded by _MAX_QUEUE events, then by one event per asset."""

    def __init__(self) -> None:
        self.wanted = Subscription()  # changed by `Fanout` only
        self._resumed: Sequence[Event] = ()
        self._waiting: dict[int | str, Event] = {}  # by number; by asset once it is conflated
        self._conflated = False
        self._gap = self._end = ""
        self._snapshot_due = False
        self._news = asyncio.Event()

    @property
    def waiting(self) -> Sequence[Event]:
        """The queued events, oldest first."""
        return list(self._waiting.values())

    def put(self, event: Event) -> int:
        """Queue an event; return how many older events it replaces (conflation)."""
        if not self._conflated and len(self._waiting) < _MAX_QUEUE:
            self._waiting[event.number] = event
            return 0
        before = len(self._waiting)
        if not self._conflated:
            self._conflate()
        self._waiting.pop(event.asset, None)  # so that the queue stays in order
        self._waiting[event.asset] = event
        return before + 1 - len(self._waiting)

    def wait_for(self, events: Iterable[Event]) -> None:
        """Replace the queue by these events."""
        self._waiting = {event.number: event for event in sorted(events, key=lambda event: event.number)}
        self._conflated = False
        if self._waiting:
            self.wake()

    def resume(self, events: Sequence[Event]) -> None:
        """Send all of these events before the queue: the subscriber has resumed its stream."""
        self._resumed = events
        self.wake()

    def miss(self, why: str) -> None:
        """Send the reason why prices are being missed."""
        self._gap = why
        self.wake()

    def renew(self) -> None:
        """Request a snapshot of current prices."""
        self._snapshot_due = True
        self.wake()

    def end(self, why: str) -> None:
        """Send what is queued and the reason, then end the stream."""
        self._end = why
        self.wake()

    def wake(self) -> None:
        """Wake up the task that waits in `news`."""
        self._news.set()

    async def news(self) -> None:
        """Wait until there is something to send."""
        await self._news.wait()

    def drain(self) -> Batch:
        """Return all that is to be sent, and empty the queue."""
        self._news.clear()
        batch = Batch([*self._resumed, *self._waiting.values()], self._gap, self._snapshot_due, self._end)
        self._resumed, self._gap, self._snapshot_due = (), "", False
        self._waiting, self._conflated = {}, False
        return batch

    def _conflate(self) -> None:
        newest: dict[int | str, Event] = {}
        for event in self._waiting.values():
            newest.pop(event.asset, None)
            newest[event.asset] = event
        self._waiting = newest
        self._conflated = True
