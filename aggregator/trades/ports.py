"""The ports of the trade stream. Stores, event logs, feeds and routes meet here."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import msgspec

from aggregator.models import Trade, TradeKey
from aggregator.trades.features import Features
from aggregator.trades.rejection import Rejection


class Receipt(msgspec.Struct, frozen=True):
    """The outcome of an append: the number of trades that were stored, and of those that had been stored before."""

    accepted: int
    duplicates: int


class BacklogFull(Exception):
    """The event log holds as many trades as it may. `retry_after` is in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("The backlog of trades is full")
        self.retry_after = retry_after


class NotAppended(TimeoutError):
    """Trades that were appended could not be made durable; they may be appended again."""


class Appended(msgspec.Struct, gc=False):
    """Trades that came together: the source, a label of metrics, and the time of arrival in monotonic seconds."""

    trades: Sequence[Trade]
    source: str
    arrived: float


class EventLog(Protocol):
    """Holds trades, in order, until the processor has them in the store."""

    def append(self, trades: Sequence[Trade], source: str = "ingest") -> asyncio.Future[Receipt]:
        """Append all of `trades`; the future is done once all of them are durable.

        `source` is a label of metrics: `ingest` or the name of a venue. Raises BacklogFull, and appends nothing, while
        there is no room.
        """

    async def room(self) -> None:
        """Wait until there is room for more trades. For sources that can wait, such as a venue's feed."""


class TradeLog(EventLog, Protocol):
    """An event log as its processor reads it. Each batch is processed and committed in the order of reading."""

    async def next_batch(self) -> Sequence[Appended]:
        """Wait for trades; return the oldest ones."""

    def waiting_batch(self) -> Sequence[Appended]:
        """As `next_batch`, but return nothing if no trades wait."""

    async def owned(self, batch: Sequence[Appended]) -> Sequence[Appended]:
        """Return the part of a batch that this process may still publish, before it does."""

    def commit(self, batch: Sequence[Appended], receipts: Sequence[Receipt]) -> None:
        """Acknowledge a batch, one receipt for each element."""

    async def drained(self) -> None:
        """Read no more from outside, and wait until what has been read is committed."""

    @property
    def backlog(self) -> "Backlog":
        """The trades that are not committed yet."""

    @property
    def lags(self) -> Sequence["PartitionLag"]:
        """The lag of each partition that this process reads; none where the log has no partitions."""

    @property
    def trouble(self) -> str:
        """The reason why the log cannot be read at present; empty while it can."""


class TradeReader(Protocol):
    """Reads stored trades."""

    async def trades(
        self, asset: str, start: float, end: float, limit: int, *, newest_first: bool, after: TradeKey | None = None
    ) -> list[Trade]:
        """Return at most `limit` trades of an asset with start <= timestamp <= end, in the order of `trade_key`.

        `after` is the key of the last trade of the page before, in the same direction. Raises StoreError.
        """

    async def latest(self, assets: Sequence[str]) -> dict[str, Trade]:
        """Return the last trade, in the order of `trade_key`, of each asset that has one. Raises StoreError."""


class TradeLines(NamedTuple):
    """Trades as JSON lines, of which each ends with a newline and has numbers as text; and their number.

    `reached` is where the next ones begin, None after the last ones.
    """

    text: bytes
    number: int
    reached: int | None


@runtime_checkable
class LineReader(Protocol):
    """A store that can read trades as JSON lines, without a Trade for each."""

    async def lines(self, asset: str, start: float, end: float, after: int | None = None) -> TradeLines | None:
        """Return some thousand trades of an asset with start <= timestamp <= end, in the order of `trade_key`.

        `after` is `reached` of the lines before. None where the trades of the range must be read as TradeReader does;
        never with an `after`. A trade that is stored meanwhile may be missing. Raises StoreError.
        """


class TradeStore(TradeReader, Protocol):
    """Keeps trades durably for the time of TRADES_RETENTION, each key once."""

    @property
    def name(self) -> str:
        """The name of the store in metrics and logs, such as `sqlite`."""

    async def add(self, trades: Sequence[Trade]) -> Sequence[Trade]:
        """Store all of `trades`; return those whose key was not stored before, in the same order. Raises StoreError.

        Either all are durable when it returns, or it raises, and adding them again does no harm. Of trades with the
        same key the first is kept.
        """

    async def run(self) -> None:
        """Do the background work of the store, such as the deletion of old trades; never return."""

    async def ping(self) -> None:
        """Raise StoreError unless trades can be stored."""

    async def close(self) -> None:
        """Close connections and files."""


class SavedWindows(Protocol):
    """Keeps the windows of partitions for the next owner, for a day."""

    async def save(self, partition: int, offset: int, body: bytes, before: int) -> None:
        """Keep the windows of a partition at an offset; delete those at offsets below `before`. Raises StoreError."""

    async def load(self, partition: int, offset: int) -> bytes | None:
        """Return what is kept of a partition at an offset; None if nothing is. Raises StoreError."""


class DeadLetters(Protocol):
    """Keeps what was sent as a trade and could not be taken."""

    def bury(self, rejections: Sequence[Rejection]) -> None:
        """Count rejections and keep them. Returns at once, never raises: they are written in the background."""


class DurableDeadLetters(DeadLetters, Protocol):
    """Dead letters that tell what has been kept."""

    @property
    def buried(self) -> int:
        """The number of rejections so far."""

    @property
    def kept(self) -> int:
        """The number of them that are durable, or lost for good; they are kept in order."""


class Backlog(msgspec.Struct, frozen=True):
    """The lag of the processor: trades that wait, and for how many seconds the oldest of them has waited."""

    trades: int
    seconds: float


class PartitionLag(msgspec.Struct, frozen=True):
    """The records of a partition that are not processed yet, and the age in seconds of the last one that is."""

    partition: int
    records: int
    seconds: float


class Latencies(msgspec.Struct, frozen=True):
    """Latencies of the last minute, in seconds; None without a trade in it.

    `ingest_…` is the time from a trade's arrival to its being stored and published; `store_…` that of one store write.
    """

    ingest_p50: float | None
    ingest_p99: float | None
    store_p99: float | None


class LastTrades(Protocol):
    """The last trade and the newest features of each asset, as this process knows them."""

    def features(self, asset: str) -> Features | None:
        """Return the features of an asset; None before its first trade that is not late."""

    def quote(self, asset: str) -> Trade | None:
        """Return the last trade of an asset, in the order of `trade_key`; None before the first."""


class LiveTrades(LastTrades, Protocol):
    """The state of the processor of this process now."""

    @property
    def backlog(self) -> Backlog:
        """The lag of the processor."""

    @property
    def lags(self) -> Sequence[PartitionLag]:
        """As `TradeLog.lags`."""

    @property
    def latencies(self) -> Latencies:
        """The latencies of the last minute."""

    @property
    def trouble(self) -> str:
        """The reason why trades are not stored at present; empty while they are."""


class StoredEvent(msgspec.Struct, frozen=True):
    """An event that is kept: asset, unix seconds and id are its key among the events of one topic; `body` is JSON."""

    asset: str
    timestamp: float
    id: str
    body: bytes


class EventReader(Protocol):
    """Reads stored events of topics such as anomalies, signals and sentiment."""

    async def events(
        self,
        topic: str,
        asset: str,
        start: float,
        end: float,
        limit: int,
        *,
        newest_first: bool,
        after: tuple[float, str] | None = None,
    ) -> list[StoredEvent]:
        """Return at most `limit` events with start <= timestamp <= end, ordered by timestamp and id.

        `after` is timestamp and id of the last event of the page before, in the same direction. Raises StoreError.
        """


class EventStore(EventReader, Protocol):
    """Keeps events durably for the time of EVENTS_RETENTION, each key once."""

    @property
    def name(self) -> str:
        """The name of the store in metrics and logs, such as `sqlite`."""

    async def put(self, topic: str, events: Sequence[StoredEvent]) -> None:
        """Store events; one with a key that is stored replaces the stored one. Raises StoreError.

        Either all are durable when it returns, or it raises, and putting them again does no harm.
        """

    async def run(self) -> None:
        """Do the background work of the store, such as the deletion of old events; never return."""

    async def ping(self) -> None:
        """Raise StoreError unless events can be stored."""

    async def close(self) -> None:
        """Close connections and files."""
