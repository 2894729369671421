"""The producer of a Kafka topic: trades as JSON, keyed by asset, durable once every replica in sync has them.

event loop: append -> library's queue -> brokers -> thread: delivery reports -> event loop: receipts, in batches
"""

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from aggregator.errors import printable
from aggregator.models import Trade, encode
from aggregator.observability.trouble_log import TroubleLog
from aggregator.trades.event_log.kafka.client import KafkaClients, reason_of
from aggregator.trades.ports import BacklogFull, NotAppended, Receipt

_POLL_SECONDS = 0.1
_FLUSH_SECONDS = 5.0
_RETRY_AFTER = 1  # seconds


class Record(NamedTuple):
    """A record of a topic."""

    value: bytes
    key: str
    headers: Sequence[tuple[str, bytes]] = ()


class _Appending:
    """One append, and the reports of its deliveries; the library's thread and the event loop both report."""

    def __init__(self, trades: int, done: asyncio.Future[Receipt]) -> None:
        self.trades = trades
        self.done = done
        self.error = ""
        self._reports = itertools.count(1)  # its steps are atomic

    def is_last(self, error: str) -> bool:
        """Take the report of one trade, with why it failed or nothing; return whether all are reported."""
        if error:
            self.error = error
        return next(self._reports) == self.trades


class KafkaProducer:
    """Appends records to the topic. `most` bounds those that are not delivered, `kind` names them in logs."""

    def __init__(self, clients: KafkaClients, most: int, kind: str = "trades") -> None:
        self._topic = clients.address.topic
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._producer: Producer = clients.producer(2 * most)  # an append may be larger than the room
        self._thread = threading.Thread(target=self._run, name="kafka-producer", daemon=True)
        self._is_stopping = False
        self._size = 0
        self._freed = asyncio.Event()
        self._reported: list[_Appending] = []
        self._lock = threading.Lock()
        self._trouble = TroubleLog(f"{kind}_not_delivered", f"{kind}_delivered_again", topic=self._topic)

    def start(self) -> None:
        """Begin to report deliveries, unless that is done."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Deliver what was appended, for a few seconds. Blocks."""
        self._producer.flush(_FLUSH_SECONDS)
        self._is_stopping = True
        if self._thread.is_alive():
            self._thread.join(_FLUSH_SECONDS)

    def append(self, trades: Sequence[Trade]) -> asyncio.Future[Receipt]:
        """As `EventLog.append`. The future raises NotAppended for trades that could not be delivered."""
        return self._append((Record(encode(trade), trade.asset) for trade in trades), len(trades))

    def append_records(self, records: Sequence[Record]) -> asyncio.Future[Receipt]:
        """As `append`, of any records."""
        return self._append(records, len(records))

    async def room(self) -> None:
        """As `EventLog.room`."""
        while self._size >= self._most:
            self._freed.clear()
            await self._freed.wait()

    def _append(self, records: Iterable[Record], number: int) -> asyncio.Future[Receipt]:
        if self._size >= self._most:
            raise BacklogFull(_RETRY_AFTER)
        done = self._loop.create_future()
        if not number:
            done.set_result(Receipt(0, 0))
            return done
        self._size += number
        appending = _Appending(number, done)
        report = self._reporter(appending)
        for value, key, headers in records:
            try:
                self._producer.produce(self._topic, value, key, on_delivery=report, headers=list(headers))
            except (BufferError, KafkaException) as error:  # more bytes than the library holds, or a broker takes
                self._report(appending, printable(str(error)))
        return done

    def _reporter(self, appending: _Appending) -> Callable[[KafkaError | None, Message], None]:
        """Return the function that takes the reports of an append's trades, in the thread."""

        def report(error: KafkaError | None, _: Message) -> None:
            self._report(appending, reason_of(error))

        return report

    def _report(self, appending: _Appending, error: str) -> None:
        if not appending.is_last(error):
            return
        with self._lock:
            self._reported.append(appending)
            is_first = len(self._reported) == 1
        if is_first:
            self._loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        """Resolve the futures of all reported appends."""
        with self._lock:
            reported, self._reported = self._reported, []
        for one in reported:
            self._size -= one.trades
            self._trouble.report(one.error)
            if one.done.done():  # the caller may have gone
                continue
            if one.error:
                one.done.set_exception(NotAppended(one.error))
                one.done.exception()  # the caller may go now: no warning then
            else:
                one.done.set_result(Receipt(one.trades, 0))
        self._freed.set()

    def _run(self) -> None:
        while not self._is_stopping:
            self._producer.poll(_POLL_SECONDS)
