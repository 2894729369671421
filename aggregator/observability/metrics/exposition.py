"""The text that a scrape returns: the metrics of this process, or of all processes that serve one port."""

import asyncio
from collections.abc import Callable

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from aggregator.observability.metrics.ending_gauge import WithoutEnded
from aggregator.observability.metrics.machine import Build, Machine, Processes


class Exposition:
    """Writes the metrics of `registry`, or if `is_shared` those of all processes, in Prometheus' text format."""

    def __init__(self, registry: CollectorRegistry, *, is_shared: bool) -> None:
        self._registry = registry
        machine = Machine()
        self.watch_disks = machine.watch_disks
        self._flushes: list[Callable[[], None]] = [machine.measure]
        self._writing = asyncio.Lock()
        if is_shared:
            self._registry = CollectorRegistry()
            self._registry.register(WithoutEnded(MultiProcessCollector(None)))  # type: ignore[no-untyped-call]  # it has no types
            self._registry.register(Processes())
        else:
            ProcessCollector(registry=registry)
        self._registry.register(machine)
        self._registry.register(Build())

    def before_text(self, flush: Callable[[], None]) -> None:
        """Call `flush` before each text is written, for counts that are buffered elsewhere."""
        self._flushes.append(flush)

    async def scrape(self) -> bytes:
        """Return the text. A thread writes it, which takes some 30 ms, while the event loop serves others.

        The thread writes one text at a time: many scrapes at once must leave the other threads to the stores.
        """
        async with self._writing:
            for flush in self._flushes:
                flush()
            return await asyncio.to_thread(generate_latest, self._registry)
