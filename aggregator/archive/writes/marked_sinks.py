"""Prices and events on their way to their stores: their ranges are marked for the archive."""

from collections.abc import Mapping, Sequence

from aggregator.archive.writes.marker import Marker
from aggregator.models import Price
from aggregator.ports import Sink
from aggregator.trades.ports import EventStore, StoredEvent


class MarkedPrices:
    """`aggregator.ports.Sink` in front of a history."""

    def __init__(self, history: Sink, marker: Marker) -> None:
        self._history = history
        self._marker = marker

    async def write(self, prices: Sequence[Price]) -> None:
        """As `Sink.write`."""
        starts = {self._marker.start_of(price.timestamp) for price in prices}
        async with self._marker.storing(starts, {price.asset for price in prices}):
            await self._history.write(prices)


class MarkedEvents:
    """`aggregator.trades.ports.EventStore` in front of another one; topics without a marker are not archived."""

    def __init__(self, store: EventStore, markers: Mapping[str, Marker]) -> None:
        self._store = store
        self._markers = markers
        self.name = store.name
        self.events = store.events
        self.ping, self.run, self.close = store.ping, store.run, store.close

    async def put(self, topic: str, events: Sequence[StoredEvent]) -> None:
        """As `EventStore.put`."""
        marker = self._markers.get(topic)
        if marker is None:
            await self._store.put(topic, events)
            return
        starts = {marker.start_of(one.timestamp) for one in events}
        async with marker.storing(starts, {one.asset for one in events}):
            await self._store.put(topic, events)
