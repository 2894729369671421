"""Stores that hand over to the outlets what is written to them, so that no kill loses an event between the two.

| what | order | a kill between the two |
| --- | --- | --- |
| prices | history, then the outbox | the next start reads the newest prices from history, and hands them over |
| trades | store, then the outbox, then the commit | the log, or the client, sends the trades again |
| events of analytics | the outbox, then the store | the outlet gets an event that the store may lack |
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec
import structlog

from aggregator.errors import StoreError
from aggregator.models import Price, Tier, Trade, encode, price_body, trade_key
from aggregator.outlets.ports import Handover, OutletEvent
from aggregator.ports import Sink
from aggregator.prices.tiers import Catalog
from aggregator.trades.ports import EventStore, StoredEvent, TradeStore

PRICES, TRADES, SENTIMENT, ALERTS = "prices", "trades", "sentiment", "alerts"
_AGAIN_SECONDS = 3600.0  # age of a stored trade that comes again, up to which it may not have been handed over


class PriceHandover(Handover, Protocol):
    """Takes events, and counts those that it could not take."""

    def count_lost(self, topic: str, number: int) -> None:
        """Count events that could not be written."""


class PriceEvents:
    """Makes the events of prices: their JSON is that of the streams. `now` is unix seconds."""

    def __init__(self, catalog: Catalog, now: Callable[[], float] = time.time) -> None:
        self._catalog = catalog
        self._now = now

    def of(self, prices: Iterable[Price]) -> list[OutletEvent]:
        """Return the events of listed assets."""
        now, found = self._now(), list[OutletEvent]()
        for price in prices:
            tier = tier_of(self._catalog, price.asset) or price.tier
            body = encode(price_body(price, tier, now, self._catalog.cadence[tier].stale_after))
            key = f"{PRICES} {price.asset} {price.timestamp!r}"
            found.append(OutletEvent(PRICES, price.asset, key, price.timestamp, body, tier.value))
        return found


class HandingPrices:
    """`aggregator.ports.Sink` that hands prices over once history has them.

    Where the outbox fails, the prices are counted as given up: readers must not miss them for that.
    """

    def __init__(self, history: Sink, outlets: PriceHandover, events: PriceEvents) -> None:
        self._history = history
        self._outlets = outlets
        self._events = events
        self._is_failing = False

    async def write(self, prices: Sequence[Price]) -> None:
        """As `Sink.write`."""
        await self._history.write(prices)
        try:
            await self._outlets.hand_over(self._events.of(prices))
        except StoreError as error:
            self._outlets.count_lost(PRICES, len(prices))
            if not self._is_failing:
                structlog.get_logger().error("outlets_outbox_failing", error=str(error))
            self._is_failing = True
        else:
            self._is_failing = False


class HandingTrades:
    """`TradeStore` that hands trades over before they are committed.

    Trades that were stored before are handed over too, if they are of the last hour: the process may have been killed
    between the store and the outbox. The outbox sends each key once in 300 seconds.
    """

    def __init__(
        self, store: TradeStore, outlets: Handover, catalog: Catalog, now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._outlets = outlets
        self._catalog = catalog
        self._now = now
        self._pending: dict[str, OutletEvent] = {}
        self.name = store.name
        self.trades, self.latest = store.trades, store.latest
        self.ping, self.run, self.close = store.ping, store.run, store.close

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """As `TradeStore.add`."""
        new = await self._store.add(trades)
        chosen = new
        if len(new) < len(trades):
            since, keys = self._now() - _AGAIN_SECONDS, {(one.asset, *trade_key(one)) for one in new}
            chosen = [one for one in trades if one.timestamp >= since or (one.asset, *trade_key(one)) in keys]
        # Kept until it is handed over: after an error the caller adds the same trades again, which are not new then.
        self._pending |= {event.key: event for event in (trade_event(self._catalog, one) for one in chosen)}
        await self._outlets.hand_over(list(self._pending.values()))
        self._pending.clear()
        return new


class HandingEvents:
    """`EventStore` that hands events of the topics that outlets want over before they are stored."""

    def __init__(self, store: EventStore, outlets: Handover, catalog: Catalog, wants: Callable[[str], bool]) -> None:
        self._store = store
        self._outlets = outlets
        self._catalog = catalog
        self._wants = wants
        self.name = store.name
        self.events, self.ping, self.run, self.close = store.events, store.ping, store.run, store.close

    async def put(self, topic: str, events: Sequence[StoredEvent]) -> None:
        """As `EventStore.put`."""
        if self._wants(topic):
            await self._outlets.hand_over([self._event(topic, event) for event in events])
        await self._store.put(topic, events)

    def _event(self, topic: str, event: StoredEvent) -> OutletEvent:
        key = f"{topic} {event.asset} {event.timestamp!r} {event.id}"
        if topic == SENTIMENT:  # an article comes again when its strength has risen
            key += f" {_strength(event.body)}"
        tier = tier_of(self._catalog, event.asset)
        return OutletEvent(
            topic,
            event.asset,
            key,
            event.timestamp,
            event.body,
            "" if tier is None else tier.value,
            _outlet(event.body) if topic == ALERTS else "",
        )


class _Addressed(msgspec.Struct):
    outlet: str | None = None


class _Correlated(msgspec.Struct):
    correlation_strength: str = ""


_addressed, _correlated = msgspec.json.Decoder(_Addressed), msgspec.json.Decoder(_Correlated)


def trade_event(catalog: Catalog, trade: Trade) -> OutletEvent:
    """Return the event of a trade."""
    key = f"{TRADES} {trade.asset} {trade.timestamp!r} {trade.venue} {trade.id}"
    tier = tier_of(catalog, trade.asset)
    return OutletEvent(TRADES, trade.asset, key, trade.timestamp, encode(trade), "" if tier is None else tier.value)


def tier_of(catalog: Catalog, symbol: str) -> Tier | None:
    """Return the tier of an asset; None if it is not listed."""
    asset = catalog.find(symbol)
    return None if asset is None else asset.tier


def _outlet(body: bytes) -> str:
    return _addressed.decode(body).outlet or ""


def _strength(body: bytes) -> str:
    return _correlated.decode(body).correlation_strength
