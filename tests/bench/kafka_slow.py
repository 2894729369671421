"""A processor with a slow operator: each measured trade takes it 100 us, in which it needs no CPU.

`python -m tests.bench.kafka_slow <kafka url> <file>` processes a topic into SQLite until it is ended. It prints the
number of its partitions whenever that changes.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry

from aggregator.live.topics import Bus
from aggregator.models import Asset, Tier
from aggregator.observability.metrics import Metrics
from aggregator.prices.tiers import Catalog
from aggregator.stores.trades.sqlite import SqliteTrades
from aggregator.trades.analytic import Measured
from aggregator.trades.event_log.kafka.address import KafkaSecurity, parse_kafka_url
from aggregator.trades.event_log.kafka.client import KafkaClients
from aggregator.trades.event_log.kafka.log import KafkaLog
from aggregator.trades.event_log.records import SOURCE, RecordParser
from aggregator.trades.ingest import Parser
from aggregator.trades.processor import Processor
from aggregator.trades.topics import FEATURES, TRADES
from tests.bench.trade_generator import assets
from tests.parts.examples import CADENCE
from tests.parts.processing import LATENESS, Buried

_SECONDS = 1e-4  # of a trade
_LOOK_SECONDS = 0.05
_MOST = 10_000
_LONGEST_RUN = 600.0


class SlowAnalytic:
    """`aggregator.trades.analytic.Analytic` that waits."""

    @property
    def is_settled(self) -> bool:
        """As `Analytic.is_settled`."""
        return True

    async def load(self, assets: Sequence[str]) -> None:
        """Do nothing."""

    def take(self, measured: Sequence[Measured]) -> None:
        """Wait as long as these trades take."""
        time.sleep(_SECONDS * len(measured))

    def forget(self, asset: str) -> None:
        """Do nothing."""


async def run(url: str, path: str) -> None:
    """Process the topic."""
    catalog = Catalog({name: Asset(name, "", "", Tier.COLD, rank) for rank, name in enumerate(assets(), 1)}, CADENCE)
    metrics, address = Metrics(CollectorRegistry()).trades, parse_kafka_url(url)
    store = SqliteTrades(Path(path), 1e12)
    await store.open()
    parser = RecordParser(Parser(catalog.find, SOURCE), address.format)
    clients = KafkaClients(address, KafkaSecurity())
    log = KafkaLog(clients, _MOST, parser, Buried(), metrics, LATENESS, time.time)
    await log.open()
    bus, analytics = Bus([TRADES, FEATURES]), [SlowAnalytic()]
    processor = Processor(log, store, [], bus, metrics, LATENESS, _MOST, analytics=analytics)
    async with asyncio.timeout(_LONGEST_RUN), asyncio.TaskGroup() as group:
        group.create_task(processor.run())
        group.create_task(_tell(log))


async def _tell(log: KafkaLog) -> None:
    told = 0
    while True:
        if (number := len(log.lags)) != told:
            told = number
            sys.stdout.write(f"partitions: {number}\n")
            sys.stdout.flush()
        await asyncio.sleep(_LOOK_SECONDS)


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
