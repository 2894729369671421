"""Stores that record their reads as spans. The refresher records the writes to cache and history."""

from collections.abc import Sequence

from aggregator.models import Price
from aggregator.observability.tracing import Tracer
from aggregator.ports import Cache, History, SummarizingHistory, Table
from aggregator.prices.bars import BarSource, MinuteSource, PointSource


class TracedCache:
    """`aggregator.ports.Cache` around another one."""

    def __init__(self, cache: Cache, tracer: Tracer) -> None:
        self._cache = cache
        self._tracer = tracer
        self.write = cache.write
        self.ping = cache.ping
        self.close = cache.close

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """As `Store.latest`, in a span."""
        with self._tracer.span("cache read", {"aggregator.assets": len(symbols)}, "client") as span:
            found = await self._cache.latest(symbols)
            span.record("aggregator.prices", len(found))
            return found


class TracedHistory:
    """`aggregator.ports.History` around another one."""

    def __init__(self, history: History, tracer: Tracer) -> None:
        self._history = history
        self._tracer = tracer
        self.write = history.write
        self.ping = history.ping
        self.run = history.run
        self.drain = history.drain
        self.close = history.close
        if isinstance(history, BarSource):
            self.bars = history.bars
        if isinstance(history, PointSource):
            self.points = history.points
        if isinstance(history, MinuteSource):
            self.minutes = history.minutes
        if isinstance(history, SummarizingHistory):
            self.summaries = history.summaries  # without a span: no request waits for this read

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """As `Store.latest`, in a span."""
        with self._tracer.span("history read", {"aggregator.assets": len(symbols)}) as span:
            found = await self._history.latest(symbols)
            span.record("aggregator.prices", len(found))
            return found

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """As `History.between`, in a span."""
        with self._tracer.span("history read", {"aggregator.asset": symbol}) as span:
            found = await self._history.between(symbol, start, end, limit, newest_first=newest_first)
            span.record("aggregator.prices", len(found))
            return found


class TracedTable:
    """`aggregator.ports.Table` around another one; its writes are recorded, too."""

    def __init__(self, table: Table, tracer: Tracer) -> None:
        self._table = table
        self._tracer = tracer
        self.name = table.name
        self.batch = table.batch
        self.close = table.close
        if isinstance(table, PointSource):
            self.points = table.points
        if isinstance(table, MinuteSource):
            self.minutes = table.minutes

    async def put(self, prices: Sequence[Price]) -> list[Price]:
        """As `Table.put`, in a span."""
        with self._tracer.span(f"{self.name} write", {"aggregator.prices": len(prices)}, "client") as span:
            left = await self._table.put(prices)
            span.record("aggregator.not_taken", len(left))
            return left

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """As `Table.latest`, in a span."""
        with self._tracer.span(f"{self.name} read", {"aggregator.assets": len(symbols)}, "client"):
            return await self._table.latest(symbols)

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """As `Table.between`, in a span."""
        with self._tracer.span(f"{self.name} read", {"aggregator.asset": symbol}, "client"):
            return await self._table.between(symbol, start, end, limit, newest_first=newest_first)
