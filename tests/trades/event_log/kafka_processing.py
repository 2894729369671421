"""A processor on a Kafka topic, in this process, with a store of its own."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aggregator.trades.event_log.kafka.address import KafkaSecurity, parse_kafka_url
from aggregator.trades.event_log.kafka.client import KafkaClients
from aggregator.trades.event_log.kafka.log import KafkaLog
from aggregator.trades.event_log.records import SOURCE, RecordParser
from aggregator.trades.ingest import Parser
from aggregator.trades.ports import SavedWindows, TradeStore
from tests.parts.processing import CATALOG, LATENESS, Processing, running


class KafkaProcessing(Processing):
    """A running processor, its log, and all that it has published and buried."""

    def __init__(
        self, url: str, store: TradeStore, now: Callable[[], float], most: int, saved: SavedWindows | None
    ) -> None:
        super().__init__()
        address = parse_kafka_url(url)
        parser = RecordParser(Parser(CATALOG.find, SOURCE), address.format)
        clients = KafkaClients(address, KafkaSecurity())
        self.log = KafkaLog(clients, most, parser, self.buried, self.metrics.trades, LATENESS, now)
        self.begin(self.log, store, now, saved)


@asynccontextmanager
async def processing(
    url: str,
    store: TradeStore,
    now: Callable[[], float] = time.time,
    most: int = 200_000,
    saved: SavedWindows | None = None,
) -> AsyncIterator[KafkaProcessing]:
    """Run a processor on the topic; at the end it commits and leaves the group."""
    one = KafkaProcessing(url, store, now, most, saved)
    await one.log.open()
    try:
        async with running(one):
            yield one
    finally:
        await one.log.close()
