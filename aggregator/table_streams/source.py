"""Reads the stream of a table, and hands its prices and trades over to the outlets.

    shards (kinesis/consumer.py) -> page_queue.py -> items.py -> outbox of the outlets -> checkpoint

A checkpoint is written once the outbox has the events, and the file of dead letters the invalid items, so that a kill
loses none. The events of a shard since its last checkpoint may be handed over twice if another process takes it over.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from aggregator.errors import StoreError
from aggregator.models import Price, Trade
from aggregator.observability.metrics import Metrics
from aggregator.outlets.ports import Handover, OutletEvent
from aggregator.outlets.sources import PriceEvents, trade_event
from aggregator.prices.tiers import Catalog
from aggregator.resilience.backoff import Backoff
from aggregator.table_streams.items import InvalidItem, value_of
from aggregator.trades.event_log.held_commits import HeldCommits
from aggregator.trades.event_log.kinesis.address import LATEST
from aggregator.trades.event_log.kinesis.client import Record
from aggregator.trades.event_log.kinesis.consumer import KinesisConsumer
from aggregator.trades.event_log.kinesis.page_queue import HandedOver, PageQueue
from aggregator.trades.event_log.kinesis.shard_assignment import ShardAssignment, lag_of
from aggregator.trades.event_log.kinesis.table_stream import TableStreamClients
from aggregator.trades.event_log.partition import Done
from aggregator.trades.features import Features
from aggregator.trades.ports import Backlog, DurableDeadLetters, Latencies, PartitionLag
from aggregator.trades.rejection import Rejection

_BATCH = 500  # records handed over at a time
_DRAINED_SECONDS = 0.01
_NO_SPAN = 0.0  # no windows to rebuild
_SOURCE = "table_stream"
_UNLISTED = "asset"  # the code of items of assets that are not listed


class TableStream:
    """The stream of one table. `now` is unix seconds, `clock` monotonic ones.

    It has the attributes of `aggregator.trades.ports.LiveTrades` for /ready and /health.
    """

    latencies = Latencies(None, None, None)

    def __init__(
        self,
        clients: TableStreamClients,
        outlets: Handover,
        catalog: Catalog,
        dead_letters: DurableDeadLetters,
        metrics: Metrics,
        now: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clients = clients
        self._outlets = outlets
        self._catalog = catalog
        self._prices = PriceEvents(catalog, now)
        self._dead_letters = dead_letters
        self._held = HeldCommits(dead_letters)
        self._count = metrics.table_streams.records.labels
        self._now = now
        self._arrived = asyncio.Event()
        self._pages = PageQueue(self._arrived.set, clock)
        start = f"{now():.3f}" if clients.address.start == LATEST else str(clients.address.start)
        self._consumer = KinesisConsumer(clients, _NO_SPAN, start, metrics.trades, self._pages, clock)
        self._trouble = ""
        self._is_busy = False

    async def open(self) -> None:
        """See that the stream is there; create the table of leases if it is not.

        Raises StoreUnavailable and StoreRefused.
        """
        await self._clients.open()
        await self._consumer.open()

    async def run(self) -> None:
        """Read and hand over; never returns. Raises what ended the reading."""
        self._consumer.start()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            if self._consumer.error is not None:
                raise self._consumer.error
            self._is_busy = True
            while self._pages:
                for one in self._pages.take(_BATCH):
                    await self._take(one)
            self._is_busy = False

    async def drain(self, patience: float) -> None:
        """Read no more, and wait at most `patience` seconds until what was read is handed over."""
        self._pages.is_closed = True
        deadline = time.monotonic() + patience
        while (self._pages or self._is_busy or self._held) and time.monotonic() < deadline:  # noqa: ASYNC110  # a rare look at a stop
            await asyncio.sleep(_DRAINED_SECONDS)

    async def close(self) -> None:
        """Write the checkpoints, give the leases back, and close the connections."""
        await self._consumer.stop()
        await self._clients.close()

    @property
    def trouble(self) -> str:
        """The reason why events are not handed over at present; empty while they are."""
        found = self._trouble or self._consumer.trouble
        return f"the stream of {self._clients.address.stream}: {found}" if found else ""

    @property
    def lags(self) -> list[PartitionLag]:
        """The lag of each shard of this process, by its number."""
        now, found = self._now(), self._consumer.assignments.values()
        return sorted((lag_of(one, now) for one in found), key=lambda lag: lag.partition)

    @property
    def backlog(self) -> Backlog:
        """The records that were read and not handed over."""
        lags = self.lags
        return Backlog(sum(one.records for one in lags), max((one.seconds for one in lags), default=0.0))

    def features(self, _: str) -> Features | None:
        """Return None: there are no windows here."""

    def quote(self, _: str) -> Trade | None:
        """Return None: no trade is kept here."""

    async def _take(self, one: HandedOver) -> None:
        """Hand a page over, then let its checkpoint be written once its dead letters are kept."""
        assignment = one.assignment
        if one.ends:
            self._held.hold(self._dead_letters.buried, {(assignment, True): None})
            return
        if assignment.is_lost:
            return
        await self._held.room()
        events = self._events(one.records, assignment)
        await self._hand_over(events)
        last = one.records[-1]
        done = Done(int(last.sequence_number) + 1, "", last.approximate_arrival_timestamp)
        self._held.hold(self._dead_letters.buried, {(assignment, False): done})
        self._count("handed_over").inc(len(events))

    def _events(self, records: Sequence[Record], assignment: ShardAssignment) -> list[OutletEvent]:
        since = 0.0 if assignment.start == "TRIM_HORIZON" else float(assignment.start)
        found: list[OutletEvent] = []
        for record in records:
            if not record.data:
                self._count("deleted").inc()
            elif record.approximate_arrival_timestamp < int(since):  # whole seconds
                self._count("too_old").inc()
            else:
                try:
                    found += self._of(value_of(record.data, self._catalog, self._now()))
                except InvalidItem as error:
                    self._refuse(record, error, assignment)
        return found

    def _of(self, value: Price | Trade) -> Sequence[OutletEvent]:
        return self._prices.of([value]) if isinstance(value, Price) else [trade_event(self._catalog, value)]

    def _refuse(self, record: Record, error: InvalidItem, assignment: ShardAssignment) -> None:
        """Keep an invalid item as a dead letter. Others of the table's assets may be many, and are only counted."""
        if error.code == _UNLISTED:
            self._count("unlisted").inc()
            return
        self._count("invalid").inc()
        place = f"{self._clients.address.stream}/{assignment.shard}/{record.sequence_number}"
        self._dead_letters.bury([Rejection(0, error.code, str(error), record.data, _SOURCE, self._now(), place)])

    async def _hand_over(self, events: Sequence[OutletEvent]) -> None:
        """Hand events over, however long the outbox cannot take them."""
        backoff = Backoff()
        while True:
            try:
                await self._outlets.hand_over(events)
            except StoreError as error:
                self._trouble = str(error)
                await backoff.pause()
            else:
                self._trouble = ""
                return
