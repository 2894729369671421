"""The load: trades go to the producer at the pace, and the reports of the brokers are waited for at the end."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from aggregator.cli.produce.deliveries import Deliveries
from aggregator.cli.produce.market import MadeTrade, Market
from aggregator.cli.produce.pace import Pace
from aggregator.cli.produce.records import Encode, Times

_STEP = 500  # trades between two looks at the reports and at the signal to stop
_PAUSE = 0.001  # seconds between two steps
_SHOW_SECONDS = 0.25
_REPORT_SECONDS = 35.0  # the library gives a record up after 30
_STOP_SECONDS = 10.0  # the same after a signal to stop, whose sender waits

Show = Callable[[int, str], None]
"""Takes how many trades were sent, and a text."""


class Producer(Protocol):
    """`aggregator.trades.event_log.kafka.reports.ReportingProducer`."""

    @property
    def trouble(self) -> str:
        """The last error of a connection; empty before one."""

    @property
    def waiting(self) -> int:
        """The number of records without a report."""

    def send(self, key: bytes, value: bytes) -> bool:
        """Hand a record over; return False if the buffer is full. Raises StoreRefused."""

    def poll(self, seconds: float = 0.0) -> None:
        """Have the reports counted that are there."""

    def give_up(self) -> None:
        """Have a failure counted for each record that waits."""


class Load:
    """Makes trades and hands them to the producer, each stamped with the time at which it is handed over."""

    def __init__(self, producer: Producer, market: Market, encode: Encode, prefix: str, deliveries: Deliveries) -> None:
        self.deliveries = deliveries
        self._producer = producer
        self._market = market
        self._encode = encode
        self._prefix = prefix
        self._times = Times()
        self._unsent: MadeTrade | None = None
        self._began = time.monotonic()
        self._shown = self._began
        self.seconds = 0.0
        """Seconds from the start to the last confirmation, or to the last trade where that was later."""

    async def run(self, pace: Pace, stop: asyncio.Event, show: Show) -> None:
        """Send everything that is due, until it is over or `stop` is set; then wait for the reports.

        Raises StoreRefused where the producer cannot go on. Each trade has a report at the end, also then.
        """
        self._began = time.monotonic()
        try:
            await self._send(pace, stop, show)
        finally:
            await self._finish(stop, show)

    async def _send(self, pace: Pace, stop: asyncio.Event, show: Show) -> None:
        is_over = False
        while not is_over and not stop.is_set():
            elapsed = time.monotonic() - self._began
            due = pace.due(elapsed, self.deliveries.sent, _STEP)
            has_room = self._hand_over(due)
            self.seconds = time.monotonic() - self._began
            is_over = pace.is_over(elapsed, self.deliveries.sent)
            self._count(show)
            await asyncio.sleep(0 if has_room and due == _STEP else _PAUSE)

    def _hand_over(self, number: int) -> bool:
        """Send trades; return False if the buffer is full."""
        for _ in range(number):
            trade = self._unsent or self._market.trade()
            identity = f"{self._prefix}-{self.deliveries.sent}"
            value = self._encode(trade, self._times.next(time.time_ns()), identity)
            if not self._producer.send(trade.asset.encode(), value):
                self._unsent = trade
                return False
            self._unsent = None
            self.deliveries.sent += 1
        return True

    def _count(self, show: Show) -> None:
        """Have the reports counted, and show the progress now and then."""
        delivered = self.deliveries.delivered
        self._producer.poll()
        now = time.monotonic()
        if self.deliveries.delivered > delivered:
            self.seconds = now - self._began
        if now - self._shown >= _SHOW_SECONDS:
            self._shown = now
            show(self.deliveries.sent, self._progress(now - self._began))

    async def _finish(self, stop: asyncio.Event, show: Show) -> None:
        """Wait for the reports, and give up the trades that have none by then."""
        began = time.monotonic()
        while self._producer.waiting:
            limit = _STOP_SECONDS if stop.is_set() else _REPORT_SECONDS
            if time.monotonic() - began > limit:
                self._producer.give_up()
                break
            self._count(show)
            await asyncio.sleep(_PAUSE)
        self._count(show)

    def _progress(self, elapsed: float) -> str:
        counts = self.deliveries
        text = f"{counts.sent:,} sent, {counts.delivered:,} delivered, {counts.failed:,} failed"
        trouble = f"; {self._producer.trouble}" if self._producer.trouble and counts.unreported else ""
        return f"{text}, {counts.delivered / max(elapsed, 1e-6):,.0f} a second{trouble}"
