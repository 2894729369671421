"""Trades behind an outbox: they are stored once they are in its file, and are sent to the remote table from there."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from aggregator.errors import StoreError, StoreUnavailable
from aggregator.models import Trade, TradeKey, trade_key
from aggregator.observability.metrics import Metrics
from aggregator.stores.outbox_sender import Sender, SenderMetrics
from aggregator.stores.trades.dynamodb_table import TradeTable
from aggregator.stores.trades.recent_keys import RecentKeys
from aggregator.stores.trades.waiting_trades import WaitingTrades


class TradeOutbox:
    """`aggregator.trades.ports.TradeStore` of a file and a table. Reads return the trades of both.

    A key is a duplicate while it waits in the file, and while it is one of the last 300,000 that this process added.
    An older duplicate is returned as new, but overwrites the same item in the table. A full file raises
    StoreUnavailable, so that trades wait in the event log. `retention` is in seconds, by the time of a trade.
    """

    def __init__(
        self,
        path: Path,
        most_bytes: int,
        table: TradeTable,
        retention: float,
        metrics: Metrics,
        now: Callable[[], float],
    ) -> None:
        self.name = table.name
        self._file = WaitingTrades(path, most_bytes)
        self._table = table
        self._retention = retention
        self._now = now
        self._sender = Sender(self._file, table, _sender_metrics(metrics), now)
        self.run, self.drain = self._sender.run, self._sender.drain
        self._recent = RecentKeys()
        self._adding = asyncio.Lock()  # so that of two calls with the same trade one finds that the other added it
        self._error = ""

    async def open(self) -> None:
        """Create the file if it is missing. Raises StoreRefused when the path cannot be used."""
        await self._file.open()

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """As `TradeStore.add`."""
        async with self._adding:
            unknown = self._recent.unknown(trades)
            try:
                added = (await self._file.append(list(unknown.values()))).added if unknown else []
            except StoreUnavailable as error:
                self._error = str(error)
                raise
            self._error = ""
            self._recent.add(unknown)
        self._sender.notify()
        return added

    async def trades(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None = None
    ) -> list[Trade]:
        """As `TradeReader.trades`."""
        start = max(start, self._oldest())
        # The file first: a trade that moves to the table between the two reads is then read twice, not missed.
        waiting = await self._file.trades(asset, start, end, limit, newest_first=newest_first, after=after)
        sent = await self._table.trades(asset, start, end, limit, newest_first=newest_first, after=after)
        both = {trade_key(trade): trade for trade in [*waiting, *sent]}
        return [both[key] for key in sorted(both, reverse=newest_first)[:limit]]

    async def latest(self, assets: Sequence[str]) -> dict[str, Trade]:
        """As `TradeReader.latest`; while the table is away, from the file if it has a trade of every asset."""
        waiting = await self._file.latest(assets, self._oldest())
        try:
            sent = await self._table.latest(assets)
        except StoreError:
            if len(waiting) < len(set(assets)):
                raise
            return waiting
        both = [*sent.values(), *waiting.values()]
        return {trade.asset: trade for trade in sorted(both, key=trade_key)}

    async def ping(self) -> None:
        """Raise StoreUnavailable unless trades can be written to the file; the table may be away."""
        await self._file.ping()
        if self._error:  # an empty transaction succeeds on a full disk, and in a full file
            raise StoreUnavailable(self._error)

    async def close(self) -> None:
        """Close the file and the table."""
        await self._file.close()
        await self._table.close()

    def _oldest(self) -> float:
        return self._now() - self._retention


def _sender_metrics(metrics: Metrics) -> SenderMetrics:
    ours = metrics.trades
    return SenderMetrics(
        rows=ours.outbox_rows,
        bytes=ours.outbox_bytes,
        oldest=ours.outbox_oldest,
        batch=ours.outbox_batch,
        sent=ours.outbox_sent,
        retries=metrics.dynamodb_retries,
        dead=ours.outbox_refused,
        dead_held=ours.outbox_refused_held,
    )
