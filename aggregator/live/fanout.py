"""Live prices: each new one is made ready to be sent once, handed to all who want it, and kept for who comes back."""

import asyncio
import re
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Literal

from aggregator.live.subscriber import Event, Subscriber, Subscription
from aggregator.models import Asset, Price, Tier, encode, price_body
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from aggregator.prices.tiers import Catalog

Kind = Literal["sse", "websocket"]

CUT_OFF = "Cut off from the other processes: prices are being missed until the next snapshot"
NOT_KEPT = "What came after that event is not kept: prices have been missed until the next snapshot"
STOPPING = "The service is stopping"
EXPIRED = "Streams may last no longer than this; come again"
TOO_MANY = "Too many streams are open"

_WOKEN_AT_ONCE = 50  # readers, before others in the process have their turn
_ID = re.compile(r"([0-9a-f]{8})-([0-9]{1,18})", re.ASCII)


class Fanout:
    """Listens to the hub. The last events are kept, all of one epoch; it ends where some may have been missed.

    `most` readers at a time, `kept` events, and `seconds` after which a reader has to come again, or None.
    """

    def __init__(
        self,
        catalog: Catalog,
        metrics: Metrics,
        newest: NewestPrices,
        most: int,
        kept: int,
        seconds: float | None = None,
        *,
        current: bool,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._catalog = catalog
        self._metrics = metrics
        self._prices = newest
        self._most = most
        self._seconds = seconds
        self._now = now
        self._current = current
        self._stopping = False
        self._epoch = secrets.token_hex(4)
        self._number = 0
        self._kept: deque[Event] = deque(maxlen=kept)
        self._sent: dict[str, float] = {}  # timestamp of each asset's last event
        self._readers: set[Subscriber] = set()
        self._by_tier: dict[Tier, set[Subscriber]] = {tier: set() for tier in Tier}
        self._by_asset: dict[str, set[Subscriber]] = {}
        self._to_wake: dict[Subscriber, None] = {}
        self._waking = False

    @property
    def refusal(self) -> str:
        """Why there can be no more readers now, or nothing."""
        if self._stopping:
            return STOPPING
        return TOO_MANY if len(self._readers) >= self._most else ""

    @property
    def last_id(self) -> str:
        """The id of the last event."""
        return f"{self._epoch}-{self._number}"

    @contextmanager
    def reading(self, kind: Kind) -> Iterator[Subscriber]:
        """Let someone read as long as the block lasts; it wants nothing yet."""
        reader = Subscriber()
        expiry = None
        if self._seconds is not None:
            expiry = asyncio.get_running_loop().call_later(self._seconds, self._end, reader, "expired", EXPIRED)
        if not self._current:
            reader.miss(CUT_OFF)
        self._readers.add(reader)
        self._metrics.stream_subscribers.labels(kind).inc()
        try:
            yield reader
        finally:
            self._metrics.stream_subscribers.labels(kind).dec()
            if expiry is not None:
                expiry.cancel()
            self._want(reader, Subscription())
            self._readers.discard(reader)
            self._to_wake.pop(reader, None)

    def resume(self, reader: Subscriber, wanted: Subscription, last_id: str) -> bool:
        """Let it go on behind that event; return False, with the gap said, where what came since is not kept."""
        since = self.since(last_id)
        if since is None:
            reader.miss(NOT_KEPT)
            return False
        self._want(reader, wanted)
        reader.resume([event for event in since if wanted.has(event)])
        return True

    def follow(self, reader: Subscriber, wanted: Subscription, last_id: str, shown: Mapping[str, float]) -> None:
        """Let it have the prices of `wanted` too: those behind that event and newer than what it is `shown`."""
        self._want(reader, reader.wanted | wanted)
        since = self.since(last_id)
        if since is None:  # so much has come while it was put together, or we are cut off
            reader.miss(NOT_KEPT)
            reader.renew()
            return
        kept = [event for event in reader.waiting if not wanted.has(event)]
        new = [event for event in since if wanted.has(event) and event.timestamp > shown.get(event.asset, 0.0)]
        reader.wait_for([*kept, *new])

    def drop(self, reader: Subscriber, wanted: Subscription) -> None:
        """Let it have no more prices of these."""
        self._want(reader, reader.wanted - wanted)
        reader.wait_for([event for event in reader.waiting if reader.wanted.has(event)])

    def since(self, last_id: str) -> Sequence[Event] | None:
        """Return the events behind that one, oldest first; None where they are not all kept."""
        match = _ID.fullmatch(last_id)
        missing = self._number - int(match[2]) if match and match[1] == self._epoch else -1
        if not 0 <= missing <= len(self._kept):
            return None
        return list(islice(reversed(self._kept), missing))[::-1]

    def receive(self, prices: Sequence[Price]) -> None:
        """Hand on new prices of listed assets.

        A price is passed over when this process has sent it before (the cache was emptied and got it again from
        history), or has seen a newer one, which a reader may have got by another way.
        """
        now = self._now()
        for price in prices:
            asset = self._catalog.find(price.asset)
            self._prices.at_least(price)
            newest = self._prices.known(price.asset)
            if asset is None or newest is None or newest.timestamp != price.timestamp or self._has_sent(newest):
                continue
            self._sent[newest.asset] = newest.timestamp
            self._hand_on(self._event(asset, newest, now))
        if self._to_wake and not self._waking:
            self._wake()

    def connected(self) -> None:
        """Show everyone how things stand, now that nothing is missed any more."""
        if not self._current:
            self._current = True
            self._begin_epoch()
            for reader in self._readers:
                reader.renew()

    def disconnected(self) -> None:
        """Tell everyone that prices are being missed."""
        if self._current:
            self._current = False
            self._begin_epoch()
            for reader in self._readers:
                reader.miss(CUT_OFF)

    async def end_on(self, stop: asyncio.Event) -> None:
        """Wait for `stop`, and end all streams with a word."""
        await stop.wait()
        self._stopping = True
        for reader in self._readers:
            self._end(reader, "stopping", STOPPING)

    def count_dropped(self, reason: str) -> None:
        """Count a stream that we have ended."""
        self._metrics.stream_dropped.labels(reason).inc()

    def _end(self, reader: Subscriber, reason: str, why: str) -> None:
        self.count_dropped(reason)
        reader.end(why)

    def _begin_epoch(self) -> None:
        """Keep nothing of before; the numbers go on, so that what waits for a reader stays in order."""
        self._epoch = secrets.token_hex(4)
        self._kept.clear()

    def _want(self, reader: Subscriber, wanted: Subscription) -> None:
        """Hand the reader what is `wanted` from now on, and nothing else."""
        for tier in reader.wanted.tiers - wanted.tiers:
            self._by_tier[tier].discard(reader)
        for tier in wanted.tiers - reader.wanted.tiers:
            self._by_tier[tier].add(reader)
        for asset in reader.wanted.assets - wanted.assets:
            self._by_asset[asset].discard(reader)
            if not self._by_asset[asset]:
                del self._by_asset[asset]
        for asset in wanted.assets - reader.wanted.assets:
            self._by_asset.setdefault(asset, set()).add(reader)
        reader.wanted = wanted

    def _has_sent(self, price: Price) -> bool:
        return self._sent.get(price.asset) == price.timestamp

    def _event(self, asset: Asset, price: Price, now: float) -> Event:
        stale_after = self._catalog.cadence[asset.tier].stale_after
        self._number += 1
        event = Event(self._epoch, self._number, asset, price, encode(price_body(price, asset.tier, now, stale_after)))
        self._kept.append(event)
        return event

    def _hand_on(self, event: Event) -> None:
        readers = self._by_tier[event.tier] | self._by_asset.get(event.asset, set())
        conflated = sum([reader.put(event) for reader in readers])
        if conflated:
            self._metrics.stream_conflated.inc(conflated)
        self._to_wake.update(dict.fromkeys(readers))

    def _wake(self) -> None:
        """Wake some of those who have something to read, and the rest after whatever else wants to be done."""
        for reader in list(islice(self._to_wake, _WOKEN_AT_ONCE)):
            del self._to_wake[reader]
            reader.wake()
        self._waking = bool(self._to_wake)
        if self._waking:
            asyncio.get_running_loop().call_soon(self._wake)
