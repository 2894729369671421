"""Fan-out of live prices: encodes each new price once, queues it for every subscriber, keeps it for resumed streams."""

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
OVER = "The seconds that were asked for are over"
TOO_MANY = "Too many streams are open"

_WAKE_BATCH = 50  # subscribers woken up before the event loop serves other tasks
_ID = re.compile(r"([0-9a-f]{8})-([0-9]{1,18})", re.ASCII)


class Fanout:
    """Listens to the bus and serves the subscribers. An event id is `epoch-number`.

    The last `kept` events are kept for resumed streams; a new epoch begins, without events, when prices may have been
    missed. There may be `most` subscribers at a time. A stream ends after `seconds`, or never (None). `current` says
    whether all new prices arrive from the start.
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
        self._subscribers: set[Subscriber] = set()
        self._by_tier: dict[Tier, set[Subscriber]] = {tier: set() for tier in Tier}
        self._by_asset: dict[str, set[Subscriber]] = {}
        self._to_wake: dict[Subscriber, None] = {}
        self._waking = False

    @property
    def refusal(self) -> str:
        """Why a new subscriber is refused now; empty if it is not."""
        if self._stopping:
            return STOPPING
        return TOO_MANY if len(self._subscribers) >= self._most else ""

    @property
    def last_id(self) -> str:
        """The id of the last event."""
        return f"{self._epoch}-{self._number}"

    @contextmanager
    def new_subscriber(self, kind: Kind, seconds: float | None = None) -> Iterator[Subscriber]:
        """Yield a new subscriber without a subscription; it is removed at the end of the block.

        Its stream ends after the `seconds` that the client has asked for, if any.
        """
        subscriber = Subscriber()
        timers: list[asyncio.TimerHandle] = []
        later = asyncio.get_running_loop().call_later
        if self._seconds is not None:
            timers.append(later(self._seconds, self._end, subscriber, "expired", EXPIRED))
        if seconds is not None:
            timers.append(later(seconds, subscriber.end, OVER))
        if not self._current:
            subscriber.miss(CUT_OFF)
        self._subscribers.add(subscriber)
        self._metrics.stream_subscribers.labels(kind).inc()
        try:
            yield subscriber
        finally:
            self._metrics.stream_subscribers.labels(kind).dec()
            for timer in timers:
                timer.cancel()
            self._subscribe(subscriber, Subscription())
            self._subscribers.discard(subscriber)
            self._to_wake.pop(subscriber, None)

    def resume(self, subscriber: Subscriber, wanted: Subscription, last_id: str) -> bool:
        """Continue the stream after event `last_id`; return False, and send the gap, if later events are not kept."""
        since = self.since(last_id)
        if since is None:
            subscriber.miss(NOT_KEPT)
            return False
        self._subscribe(subscriber, wanted)
        subscriber.resume([event for event in since if wanted.has(event)])
        return True

    def follow(self, subscriber: Subscriber, wanted: Subscription, last_id: str, shown: Mapping[str, float]) -> None:
        """Add `wanted` to the subscription, from event `last_id` on; skip prices no newer than `shown` (by asset)."""
        self._subscribe(subscriber, subscriber.wanted | wanted)
        since = self.since(last_id)
        if since is None:  # too many events since, or the feed was cut off
            subscriber.miss(NOT_KEPT)
            subscriber.renew()
            return
        kept = [event for event in subscriber.waiting if not wanted.has(event)]
        new = [event for event in since if wanted.has(event) and event.timestamp > shown.get(event.asset, 0.0)]
        subscriber.wait_for([*kept, *new])

    def drop(self, subscriber: Subscriber, wanted: Subscription) -> None:
        """Remove `wanted` from the subscription."""
        self._subscribe(subscriber, subscriber.wanted - wanted)
        subscriber.wait_for([event for event in subscriber.waiting if subscriber.wanted.has(event)])

    def since(self, last_id: str) -> Sequence[Event] | None:
        """Return the events after `last_id`, oldest first; None if not all of them are kept."""
        match = _ID.fullmatch(last_id)
        missing = self._number - int(match[2]) if match and match[1] == self._epoch else -1
        if not 0 <= missing <= len(self._kept):
            return None
        return list(islice(reversed(self._kept), missing))[::-1]

    def receive(self, prices: Sequence[Price]) -> None:
        """Queue new prices of listed assets for their subscribers.

        A price is skipped in two cases: this process has sent it before (an emptied cache was filled again from
        history), or has seen a newer one, which the client of a subscriber may have read elsewhere.
        """
        now = self._now()
        for price in prices:
            asset = self._catalog.find(price.asset)
            self._prices.at_least(price)
            newest = self._prices.known(price.asset)
            if asset is None or newest is None or newest.timestamp != price.timestamp or self._has_sent(newest):
                continue
            self._sent[newest.asset] = newest.timestamp
            self._queue(self._event(asset, newest, now))
        if self._to_wake and not self._waking:
            self._wake()

    def connected(self) -> None:
        """Send every subscriber a snapshot, as no price is missed from now on."""
        if not self._current:
            self._current = True
            self._begin_epoch()
            for subscriber in self._subscribers:
                subscriber.renew()

    def disconnected(self) -> None:
        """Send every subscriber a gap, as prices may be missed from now on."""
        if self._current:
            self._current = False
            self._begin_epoch()
            for subscriber in self._subscribers:
                subscriber.miss(CUT_OFF)

    async def end_on(self, stop: asyncio.Event) -> None:
        """Wait for `stop`, then end every stream with a reason."""
        await stop.wait()
        self._stopping = True
        for subscriber in self._subscribers:
            self._end(subscriber, "stopping", STOPPING)

    def count_dropped(self, reason: str) -> None:
        """Count a stream that the service has ended, by reason."""
        self._metrics.stream_dropped.labels(reason).inc()

    def _end(self, subscriber: Subscriber, reason: str, why: str) -> None:
        self.count_dropped(reason)
        subscriber.end(why)

    def _begin_epoch(self) -> None:
        """Drop the kept events. The numbers continue, so that queued events stay in order."""
        self._epoch = secrets.token_hex(4)
        self._kept.clear()

    def _subscribe(self, subscriber: Subscriber, wanted: Subscription) -> None:
        """Replace the subscription by `wanted`."""
        for tier in subscriber.wanted.tiers - wanted.tiers:
            self._by_tier[tier].discard(subscriber)
        for tier in wanted.tiers - subscriber.wanted.tiers:
            self._by_tier[tier].add(subscriber)
        for asset in subscriber.wanted.assets - wanted.assets:
            self._by_asset[asset].discard(subscriber)
            if not self._by_asset[asset]:
                del self._by_asset[asset]
        for asset in wanted.assets - subscriber.wanted.assets:
            self._by_asset.setdefault(asset, set()).add(subscriber)
        subscriber.wanted = wanted

    def _has_sent(self, price: Price) -> bool:
        return self._sent.get(price.asset) == price.timestamp

    def _event(self, asset: Asset, price: Price, now: float) -> Event:
        stale_after = self._catalog.cadence[asset.tier].stale_after
        self._number += 1
        event = Event(self._epoch, self._number, asset, price, encode(price_body(price, asset.tier, now, stale_after)))
        self._kept.append(event)
        return event

    def _queue(self, event: Event) -> None:
        subscribers = self._by_tier[event.tier] | self._by_asset.get(event.asset, set())
        conflated = sum([subscriber.put(event) for subscriber in subscribers])
        if conflated:
            self._metrics.stream_conflated.inc(conflated)
        self._to_wake.update(dict.fromkeys(subscribers))

    def _wake(self) -> None:
        """Wake up some of the subscribers with new events, and the rest after the event loop has served other tasks."""
        for subscriber in list(islice(self._to_wake, _WAKE_BATCH)):
            del self._to_wake[subscriber]
            subscriber.wake()
        self._waking = bool(self._to_wake)
        if self._waking:
            asyncio.get_running_loop().call_soon(self._wake)
