"""State that all parts of one process share, and the structs in which its parts are passed on to each other."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from aggregator.alerts.topic import ALERTS
from aggregator.anomalies.event import ANOMALIES
from aggregator.clock import SteadyClock
from aggregator.errors import CannotGoOn
from aggregator.live.price_topic import PRICES
from aggregator.live.topics import AnyTopic, Bus
from aggregator.news.topic import SENTIMENT
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import Tracer
from aggregator.ports import ExchangeStatus, History, LocalCache, Refresh
from aggregator.prices.freshness import Freshness, VenueCoverage
from aggregator.prices.rejections import Rejections, window_seconds
from aggregator.prices.tiers import Catalog
from aggregator.resilience.group_commit import GroupCommit
from aggregator.runtime.data_folder import folders_of_files
from aggregator.settings import Settings
from aggregator.settings.loader import SettingsError
from aggregator.stores.redis.client import RedisClient
from aggregator.strategy.signals import SIGNALS
from aggregator.trades.topics import FEATURES, TRADES

if TYPE_CHECKING:
    from aggregator.api.server.direct_write import Handler, Respond
    from aggregator.outlets.outbox.outbox import OutletOutbox
    from aggregator.runtime.archiving import Archiving

STREAM_TOPICS: tuple[AnyTopic, ...] = (TRADES, FEATURES, ANOMALIES, SIGNALS, SENTIMENT)
"""The topics that a process publishes which processes trades."""

_REFRESH_OVERHEAD = 2.0  # seconds that a refresh may take beyond the exchange timeout: a free slot, then the stores


class Stores(msgspec.Struct, frozen=True):
    """The opened stores. `redis` is None where the cache is in memory and the process runs alone."""

    redis: RedisClient | None
    cache: LocalCache
    history: History


class RefreshPath(msgspec.Struct, frozen=True):
    """The refresh path of this process: its own refresher, or requests to another process through Redis."""

    refresh: Refresh
    exchanges: ExchangeStatus
    """The state of the exchanges, for /ready."""

    sinks: Sequence[GroupCommit] = ()
    """The writers into history and cache; none where another process writes."""


class BackgroundPart(Protocol):
    """A part with a loop of its own."""

    async def run(self) -> None:
        """Do the work of the part; never return."""


class Process:
    """The settings of one process, what its parts share, and the exit stack that closes them in reverse order.

    `stop` is set when the process is told to stop.
    """

    def __init__(
        self, settings: Settings, catalog: Catalog, tracer: Tracer, stack: AsyncExitStack, stop: asyncio.Event
    ) -> None:
        self.settings = settings
        self.catalog = catalog
        self.tracer = tracer
        self.stack = stack
        self.stop = stop
        self.metrics = Metrics()
        self.bus = Bus([PRICES, *STREAM_TOPICS, ALERTS])
        self.coverage = VenueCoverage()
        self.clock = SteadyClock()
        self.freshness = Freshness(catalog, self.metrics, self.coverage, self.clock.now)
        self.rejections = Rejections(window_seconds(min(one.interval for one in catalog.cadence.values())))
        self.beside_server: list[Coroutine[Any, Any, None]] = []
        """Coroutines to run in the task group of the server: a crash of one ends the server, and the other way round.

        They start once every part is open, and are cancelled before any part is closed.
        """

        stack.callback(self._close_unstarted)

        self.outlets: OutletOutbox | None = None
        """The outbox of outlets; None where there are none, and in processes that only serve the API."""
        self.archive: Archiving | None = None
        """The archive of what this process stores."""

        self.handler: Handler | None = None
        """Serves single trades without a task."""
        self.respond: Respond | None = None
        """Serves hot reads without a task."""

        self.longest_refresh = settings.exchange_timeout + _REFRESH_OVERHEAD
        """Seconds."""

        self.name = f"{socket.gethostname()}-{os.getpid()}"
        """Unique among the processes that share a Redis."""

        self.metrics.processes.labels(settings.role).set(1)
        self.metrics.watch_disks(folders_of_files(settings))
        self.metrics.before_text(lambda: self.freshness.report(self.clock.now()))

    async def keep_running(self, part: BackgroundPart) -> None:
        """Run a part from now on until the exit stack closes it."""
        await self.stack.enter_async_context(running(part))

    def _close_unstarted(self) -> None:
        """Close the coroutines of a process that ends before it serves; Python would print a warning for each."""
        for one in self.beside_server:
            one.close()


@asynccontextmanager
async def running(part: BackgroundPart) -> AsyncIterator[None]:
    """Run a part while the block runs."""
    refused: CannotGoOn | SettingsError | None = None
    async with asyncio.TaskGroup() as group:
        task = group.create_task(part.run())
        try:
            yield
        except (CannotGoOn, SettingsError) as error:  # out of the task group it would come as an exception group
            refused = error
        task.cancel()
    if refused is not None:
        raise refused
