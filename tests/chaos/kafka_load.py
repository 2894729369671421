"""A load of numbered trades on a Kafka topic, from a thread, with a record of what the broker has acknowledged.

A number gives the whole trade, so the record needs a byte a trade, and whoever sees a trade can check it.
"""

import threading
import time
from decimal import Decimal
from functools import partial

from confluent_kafka import KafkaError, Message, Producer

from aggregator.models import Trade
from tests.parts.processing import ASSETS

_LATE_EVERY = 97
_LATE_SECONDS = 20
_EARLIER = 7200.0  # seconds of event time before now at which the trades begin
_STEP_SECONDS = 0.01
_FLUSH_SECONDS = 120.0
_DELIVERY_MS = 100_000  # longer than the broker is away
POISON = (b"{", b"\xff\xfe", b'{"asset": "nothing", "price": 1, "timestamp": 1}', b'{"asset": "asset1", "price": -1}')


class Numbered:
    """The trades by number. `step` is the event time, in microseconds, from one to the next.

    The times of an asset rise, except that one trade in 97 comes 20 s too late.
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self.start = int((time.time() - _EARLIER) * 1e6)

    @staticmethod
    def is_late(number: int) -> bool:
        """Whether a trade comes too late for the windows."""
        return number % _LATE_EVERY == _LATE_EVERY - 1

    def time(self, number: int) -> int:
        """Return the event time of a trade in microseconds."""
        return self.start + number * self.step - (_LATE_SECONDS * 1_000_000 if self.is_late(number) else 0)

    @staticmethod
    def cents(number: int) -> int:
        """Return the price of a trade in hundredths."""
        return 9000 + number * 7919 % 2000

    @staticmethod
    def volume(number: int) -> int:
        """Return the volume of a trade."""
        return 1 + number * 31 % 50

    def trade(self, number: int) -> Trade:
        """Return a trade as it must be stored and published."""
        return Trade(
            ASSETS[number % len(ASSETS)],
            Decimal(self.cents(number)) / 100,
            Decimal(self.volume(number)),
            self.time(number) / 1e6,
            "venue",
            str(number),
            late=self.is_late(number),
        )

    def record(self, number: int) -> bytes:
        """Return a trade as JSON."""
        cents, seconds = self.cents(number), self.time(number) / 1e6
        return (
            b'{"asset":"%b","price":%d.%02d,"volume":%d,"timestamp":%.6f,"venue":"venue","id":"%d"}'
            % (_ASSETS[number % len(_ASSETS)], cents // 100, cents % 100, self.volume(number), seconds, number)
        )  # fmt: skip


_ASSETS = [asset.encode() for asset in ASSETS]


class Load:
    """Sends trades of `numbered` to the topic at `rate` a second; `poison` is the share of records that are none."""

    def __init__(self, bootstrap: str, topic: str, numbered: Numbered, rate: int, poison: float = 0.0) -> None:
        self.numbered = numbered
        self.acknowledged = bytearray()
        self.failures: list[str] = []
        self.poisoned: list[tuple[int, int]] = []  # partition and offset
        self.ends: dict[int, int] = {}  # of the partitions, by the delivery reports
        self.seconds = 0.0
        self._topic = topic
        self._rate = rate
        self._poison_every = round(1 / poison) if poison else 0
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 100,  # a fetch of the mock returns a batch, so small ones make it slow
                "compression.type": "zstd",  # the mock keeps 5 MB a partition
                "delivery.timeout.ms": _DELIVERY_MS,
                "queue.buffering.max.messages": 2_000_000,
                "log_level": 0,
            }
        )
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def sent(self) -> int:
        """The number of trades that were handed to the library."""
        return len(self.acknowledged)

    def begin(self) -> None:
        """Send until `end`."""
        self._thread.start()

    def end(self) -> None:
        """Send no more, and wait until the broker has acknowledged all of it."""
        self._is_ending.set()
        self._thread.join(_FLUSH_SECONDS)
        assert not self._thread.is_alive(), "the producer does not end"
        assert self._producer.flush(_FLUSH_SECONDS) == 0

    def abandon(self) -> None:
        """Send no more, and wait for nothing."""
        self._is_ending.set()

    def _run(self) -> None:
        begun = time.monotonic()
        while not self._is_ending.is_set():
            self.seconds = time.monotonic() - begun
            for _ in range(int(self.seconds * self._rate) - self.sent):
                self._send(self.sent)
            self._producer.poll(0)
            time.sleep(max(0.0, begun + self.seconds + _STEP_SECONDS - time.monotonic()))

    def _send(self, number: int) -> None:
        key = _ASSETS[number % len(_ASSETS)]
        self.acknowledged.append(0)
        self._producer.produce(
            self._topic, self.numbered.record(number), key, on_delivery=partial(self._delivered, number)
        )
        if self._poison_every and number % self._poison_every == 0:
            value = POISON[number // self._poison_every % len(POISON)]
            self._producer.produce(self._topic, value, key, on_delivery=partial(self._delivered, None))

    def _delivered(self, number: int | None, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.failures.append(error.str())
            return
        partition, offset = message.partition(), message.offset()
        assert partition is not None
        assert offset is not None
        if number is None:
            self.poisoned.append((partition, offset))
        else:
            self.acknowledged[number] = 1
        self.ends[partition] = max(self.ends.get(partition, 0), offset + 1)
