"""One who reads live prices, and what waits for it: everything while it keeps up, else the newest of each asset."""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from aggregator.models import Asset, Price, Tier

_MOST_WAITING = 256  # prices for one reader; of more than that, the newest of each asset


class Event:
    """A new price as it goes out; `number` counts all events of the process, `id` names it among all processes'."""

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
    """Which prices: of these assets, and of whatever is in these tiers."""

    assets: frozenset[str] = frozenset()
    tiers: frozenset[Tier] = frozenset()

    def has(self, event: Event) -> bool:
        """Whether the event is of one of them."""
        return event.tier in self.tiers or event.asset in self.assets

    def __or__(self, other: "Subscription") -> "Subscription":
        return Subscription(self.assets | other.assets, self.tiers | other.tiers)

    def __sub__(self, other: "Subscription") -> "Subscription":
        return Subscription(self.assets - other.assets, self.tiers - other.tiers)


EVERYTHING = Subscription(tiers=frozenset(Tier))


class Batch(msgspec.Struct, frozen=True):
    """What there is for a reader, to be sent in this order."""

    events: Sequence[Event] = ()
    gap: str = ""
    snapshot_due: bool = False
    end: str = ""


class Subscriber:
    """What waits is bounded: first by number, then by there being so many assets."""

    def __init__(self) -> None:
        self.wanted = Subscription()  # for `Fanout` to change
        self._resumed: Sequence[Event] = ()
        self._waiting: dict[int | str, Event] = {}  # by number; by asset once it has fallen behind
        self._behind = False
        self._gap = self._end = ""
        self._snapshot_due = False
        self._news = asyncio.Event()

    @property
    def waiting(self) -> Sequence[Event]:
        """The events that wait, oldest first."""
        return list(self._waiting.values())

    def put(self, event: Event) -> int:
        """Let one more wait; return how many older ones will not be sent, as a newer one of the same asset has come."""
        if not self._behind and len(self._waiting) < _MOST_WAITING:
            self._waiting[event.number] = event
            return 0
        before = len(self._waiting)
        if not self._behind:
            self._fall_behind()
        self._waiting.pop(event.asset, None)  # so that what waits stays in order
        self._waiting[event.asset] = event
        return before + 1 - len(self._waiting)

    def wait_for(self, events: Iterable[Event]) -> None:
        """Let these wait, and no others."""
        self._waiting = {event.number: event for event in sorted(events, key=lambda event: event.number)}
        self._behind = False
        if self._waiting:
            self.wake()

    def resume(self, events: Sequence[Event]) -> None:
        """Send these first, all of them."""
        self._resumed = events
        self.wake()

    def miss(self, why: str) -> None:
        """Say that prices are being missed."""
        self._gap = why
        self.wake()

    def renew(self) -> None:
        """Send a snapshot next."""
        self._snapshot_due = True
        self.wake()

    def end(self, why: str) -> None:
        """Send what there is, say why, and end."""
        self._end = why
        self.wake()

    def wake(self) -> None:
        """Look at what there is."""
        self._news.set()

    async def news(self) -> None:
        """Wait until there is something to take."""
        await self._news.wait()

    def drain(self) -> Batch:
        """Hand over all there is."""
        self._news.clear()
        mail = Batch([*self._resumed, *self._waiting.values()], self._gap, self._snapshot_due, self._end)
        self._resumed, self._gap, self._snapshot_due = (), "", False
        self._waiting, self._behind = {}, False
        return mail

    def _fall_behind(self) -> None:
        newest: dict[int | str, Event] = {}
        for event in self._waiting.values():
            newest.pop(event.asset, None)
            newest[event.asset] = event
        self._waiting = newest
        self._behind = True
