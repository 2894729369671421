"""A topic of Kafka as an outlet, through the producer of the trades' log: acks of all replicas, keyed by asset."""

import asyncio
from collections.abc import Sequence

from aggregator.outlets.ports import DELIVERED, Answer, OutletAway, OutletEvent, Verdict
from aggregator.trades.event_log.kafka.address import KafkaAddress, KafkaSecurity
from aggregator.trades.event_log.kafka.client import KafkaClients
from aggregator.trades.event_log.kafka.producer import KafkaProducer, Record
from aggregator.trades.ports import BacklogFull, NotAppended

_LARGEST = 900_000  # bytes; a broker takes 1 MiB with its own headers
_LANES = 4
_MOST_EVENTS = 1000
_MOST_WAITING = 4 * _LANES * _MOST_EVENTS


class KafkaTopic:
    """`aggregator.outlets.ports.Outlet` of a topic.

    A record has the event's JSON as its value, the asset as its key, and topic and key of the event as headers.
    """

    most_events = _MOST_EVENTS
    most_bytes = 4 << 20
    lanes = _LANES
    is_atomic = True

    def __init__(self, address: KafkaAddress, security: KafkaSecurity) -> None:
        self._clients = KafkaClients(address, security)
        self._producer: KafkaProducer | None = None

    async def open(self) -> None:
        """Create the producer; it connects in the background. Raises StoreRefused."""
        self._producer = KafkaProducer(self._clients, _MOST_WAITING, "outlet_events")
        self._producer.start()

    async def send(self, events: Sequence[OutletEvent]) -> Sequence[Answer]:
        """As `Outlet.send`."""
        assert self._producer is not None  # noqa: S101  # `open` has made it
        fitting = [event for event in events if len(event.body) <= _LARGEST]
        try:
            await self._producer.append_records([_record(event) for event in fitting])
        except BacklogFull as error:
            raise OutletAway(str(error)) from error
        except NotAppended as error:
            raise OutletAway(f"Kafka: {error}", is_unsure=True) from error
        refused = Answer(Verdict.REFUSED, f"larger than {_LARGEST} bytes")
        return [DELIVERED if len(event.body) <= _LARGEST else refused for event in events]

    async def close(self) -> None:
        """Deliver what is under way for a few seconds, and end the producer."""
        if self._producer is not None:
            await asyncio.to_thread(self._producer.stop)


def _record(event: OutletEvent) -> Record:
    return Record(event.body, event.asset, [("topic", event.topic.encode()), ("key", event.key.encode())])
