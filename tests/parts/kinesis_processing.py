"""A processor on a Kinesis stream, in this process, with a store of its own."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aggregator.trades.event_log.kinesis.address import parse_kinesis_url
from aggregator.trades.event_log.kinesis.client import KinesisClients
from aggregator.trades.event_log.kinesis.log import SOURCE, KinesisLog
from aggregator.trades.event_log.records import RecordParser
from aggregator.trades.ingest import Parser
from aggregator.trades.ports import SavedWindows, TradeStore
from tests.parts.processing import CATALOG, LATENESS, Processing, running


class KinesisProcessing(Processing):
    """A running processor, its log, and all that it has published and buried."""

    def __init__(
        self, url: str, store: TradeStore, now: Callable[[], float], most: int, saved: SavedWindows | None = None
    ) -> None:
        super().__init__()
        address = parse_kinesis_url(url)
        parser = RecordParser(Parser(CATALOG.find, SOURCE), address.format)
        self.log = KinesisLog(KinesisClients(address), most, parser, self.buried, self.metrics.trades, LATENESS, now)
        self.begin(self.log, store, now, saved)
        self.is_killed = False

    @property
    def shards(self) -> int:
        """The number of shards that it reads."""
        return len(self.log.lags)

    def throttled(self, operation: str) -> float:
        """Return a count of the metrics."""
        found = self.metrics.registry.get_sample_value("trades_log_throttled_total", {"operation": operation})
        return found or 0.0


@asynccontextmanager
async def processing(
    url: str,
    store: TradeStore,
    now: Callable[[], float] = time.time,
    most: int = 200_000,
    saved: SavedWindows | None = None,
) -> AsyncIterator[KinesisProcessing]:
    """Run a processor on the stream; at the end it gives its leases back, unless it is killed."""
    one = KinesisProcessing(url, store, now, most, saved)
    try:
        await one.log.open()
        async with running(one, lambda: one.is_killed):
            yield one
    finally:
        if one.is_killed and one.log._consumer._task is not None:  # as a process that dies, without a goodbye
            one.log._consumer._task.cancel()
        await one.log.close()
