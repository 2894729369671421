"""One venue's feed of trades: appends them to the event log, and asks the venue for those that it has missed."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

import msgspec

from aggregator.errors import ExchangeError, ExchangeTimeout, NotListed
from aggregator.exchanges.dialect import Beat, Execution, Executions, Refused, Shutdown, TradeDialect, Unreadable
from aggregator.exchanges.push.connection_loop import CHECK_SECONDS, ConnectionLoop, Replace
from aggregator.exchanges.push.socket import Connect
from aggregator.exchanges.push.trade_gaps import Gaps
from aggregator.models import Asset, Trade
from aggregator.observability.metrics.trades import TradeMetrics
from aggregator.resilience.backoff import Backoff
from aggregator.trades.ports import BacklogFull, DeadLetters, EventLog, Receipt
from aggregator.trades.rejection import Rejection
from aggregator.trades.validation import FindAsset, InvalidTrade, checked_trade

MOST_BYTES = 256 << 10  # of a message: Bybit sends up to 1,024 trades in one
_MOST_FAILED = 100_000  # trades that the log has failed and that are kept to be appended again
_MOST_RAW = 4096  # bytes of a rejected record that are kept
_BATCH = 500  # trades; less than the smallest backlog, as a batch is appended as a whole
_PART = 200  # recent trades that are checked before other tasks run
_FULL_SECONDS = 0.01  # after a wait for room that another source has used up
_ATTEMPTS = 4  # to fill a gap
_FIRST_RETRY, _LONGEST_RETRY = 2.0, 30.0  # seconds
_ASK_AGAIN = 30.0  # seconds after a refusal that names no pair, such as one for too many messages
_LOG_SECONDS = 60.0  # between two log lines about trades that could not be stored


class TradeSinks(msgspec.Struct, frozen=True):
    """The event log for trades, and the dead letters for records that are none."""

    log: EventLog
    dead_letters: DeadLetters


class TradeFeed(ConnectionLoop):
    """The trades of the assets that `wanted` returns, of the first ones if one connection takes fewer.

    `recent` asks the venue for an asset's recent trades, which fill the gaps that interruptions leave. While the log is
    full the feed reads nothing more: no trade that was read is dropped.
    """

    def __init__(
        self,
        name: str,
        url: str,
        dialect: TradeDialect,
        connect: Connect,
        wanted: Callable[[], Sequence[Asset]],
        find: FindAsset,
        recent: Callable[[Asset], Awaitable[Executions]],
        sinks: TradeSinks,
        metrics: TradeMetrics,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name, url, dialect, connect, wanted, clock)
        self._dialect = dialect
        self._find = find
        self._recent = recent
        self._sinks = sinks
        self._metrics = metrics
        self._now = now
        self._gaps = Gaps()
        self._symbols: dict[str, str] = {}  # by the venue's name, of all pairs that this connection was subscribed to
        self._subscriptions: set[str] = set()
        self._is_connected = self._is_lost = False  # neither before the first connection
        self._pending: list[Trade] = []  # checked, and not yet in the log
        self._not_appended: list[Trade] = []  # the log has failed them: a broker was away too long
        self._lost = 0  # of these, as they were too many
        self._waiting = 0  # tasks that wait for room in the log
        self._filling: asyncio.Task[None] | None = None
        self._fill_at = self._log_failure_at = 0.0
        self._ask_again_at = math.inf
        self._newest: float | None = None  # arrival of the last trade, in unix seconds
        self._state = metrics.feed_state.labels(name)
        self._newest_gauge = metrics.feed_newest.labels(name)
        self._filled = metrics.feed_gaps.labels(name, "filled")
        self._not_filled = metrics.feed_gaps.labels(name, "not_filled")
        self._state.set(math.nan)

    def _subscribed(self) -> set[str]:
        return self._subscriptions

    def _change(self, gone: Iterable[str], new: Mapping[str, str]) -> Iterable[str]:
        for name in gone:
            self._subscriptions.discard(name)
            self._gaps.forget(self._symbols[name])
        if self._is_connected:
            self._subscriptions.update(new)
            self._symbols.update(new)
            for symbol in new.values():
                self._gaps.begin(symbol, self._now())
        return new

    def _begin(self) -> None:
        self._gaps.interrupt()
        self._symbols, self._subscriptions, self._ask_again_at = {}, set(), math.inf
        self._is_connected, self._is_lost = True, False
        self._state.set(1)
        self._log.info("trade_feed_connected", pairs=len(self._names))

    def _end(self, error: ExchangeError) -> None:
        self._is_connected = False
        self._state.set(0)
        if not self._is_lost:  # else it is another failed attempt to connect
            self._is_lost = True
            self._log.warning("trade_feed_lost", error=f"{error.reason}: {error}")

    def _replace(self) -> None:
        self._is_connected = False

    def _rest(self) -> None:
        self._is_connected = False
        self._state.set(math.nan)

    async def _stop(self) -> None:
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
            self._filling = None

    def _check(self, now: float) -> None:
        silent = now - self._heard_at
        if silent > self._dialect.silence and not self._waiting:
            raise ExchangeTimeout(f"no message for {silent:.0f} s")
        self._update_subscriptions()
        self._ask_again(now)
        self._pending[:0], self._not_appended = self._not_appended, []  # not sooner: the log may fail each at once
        if self._newest is not None:
            self._newest_gauge.set(self._newest)
        self._fill_gaps(now)

    def _fill_gaps(self, now: float) -> None:
        """Begin to fill gaps a second after the last subscription was sent: it may take the venue so long."""
        if self._filling is not None and self._filling.done():
            self._filling.result()
            self._filling = None
        if self._outbox:
            self._fill_at = now + CHECK_SECONDS
        elif self._gaps.open and self._filling is None and now >= self._fill_at:
            self._filling = asyncio.create_task(self._fill())

    def _ask_again(self, now: float) -> None:
        """Subscribe anew to the pairs without a trade, some time after a refusal that may have been of any of them."""
        if now >= self._ask_again_at:
            self._ask_again_at = math.inf
            silent = [name for name in self._subscriptions if not self._gaps.has_trade(self._symbols[name])]
            self._queue(self._dialect.subscribe, sorted(silent))

    async def _receive(self, frame: str) -> None:
        await self._flush()
        try:
            found = self._dialect.read(frame)
        except Exception as error:  # noqa: BLE001  # Undecodable, or an exception in the dialect: the frame is wrong either way
            found = (Unreadable(frame[:_MOST_RAW].encode(errors="replace"), str(error) or type(error).__name__),)
        records: list[Execution | Unreadable] = []
        for one in found:
            if isinstance(one, Execution | Unreadable):
                records.append(one)
            else:
                self._receive_other(one)
        if records:
            self._take(records, self._symbols.get)
            await self._flush()

    def _receive_other(self, news: Beat | Refused | Shutdown) -> None:
        if isinstance(news, Shutdown):
            raise Replace
        if isinstance(news, Refused):
            self._event_log.info("trade_feed_refused", pair=news.name, why=news.why)
            if not news.name:
                self._ask_again_at = min(self._ask_again_at, self._clock() + _ASK_AGAIN)
        elif (symbol := self._symbols.get(news.name)) is not None:
            self._gaps.announce(symbol, news.trade)

    def _take(self, records: Executions, symbol_of: Callable[[str], str | None]) -> None:
        """Check records: trades become pending, the rest goes to the dead letters."""
        now = self._now()
        rejections: list[Rejection] = []
        for index, record in enumerate(records):
            try:
                self._pending.append(self._checked(record, symbol_of, now))
            except InvalidTrade as error:
                raw = _raw(record, symbol_of, self._name)
                rejections.append(Rejection(index, error.code, str(error), raw, self._name, now))
        if len(rejections) < len(records):
            self._newest = now
        if rejections:
            self._sinks.dead_letters.bury(rejections)

    def _checked(self, one: Execution | Unreadable, symbol_of: Callable[[str], str | None], now: float) -> Trade:
        if isinstance(one, Unreadable):
            raise InvalidTrade("malformed", one.why)
        symbol = symbol_of(one.name)
        if symbol is None:
            raise InvalidTrade("asset", f"the pair {one.name[:40]!r} is not subscribed to")
        timestamp = self._gaps.first_time(symbol, one.id, one.timestamp)
        return checked_trade(
            self._find, symbol, one.price, one.volume, timestamp, self._name, one.id, one.side, one.sequence, now
        )

    async def _flush(self) -> None:
        """Append the pending trades. What is left when this is cancelled is appended with the next frame."""
        while self._pending:
            batch = self._pending[:_BATCH]
            try:
                future = self._sinks.log.append(batch, self._name)
            except BacklogFull:
                await self._wait_for_room()
                continue
            future.add_done_callback(partial(self._appended, batch))
            del self._pending[: len(batch)]
            for trade in batch:
                self._gaps.add(trade)

    async def _wait_for_room(self) -> None:
        self._waiting += 1
        try:
            await self._sinks.log.room()
            await asyncio.sleep(_FULL_SECONDS)
        finally:
            self._waiting -= 1
            self._heard_at = self._clock()  # the connection was not read meanwhile

    def _appended(self, batch: Sequence[Trade], future: asyncio.Future[Receipt]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is None:
            return
        self._not_appended += batch
        too_many = max(0, len(self._not_appended) - _MOST_FAILED)
        del self._not_appended[:too_many]
        self._lost += too_many
        if self._clock() >= self._log_failure_at:
            self._log_failure_at = self._clock() + _LOG_SECONDS
            self._log.warning("trades_not_appended", error=str(error), lost=self._lost)

    async def _fill(self) -> None:
        """Fill every gap from the venue's recent trades, and count the interruption as filled or not."""
        backoff, complete, pairs = Backoff(_LONGEST_RETRY, _FIRST_RETRY), True, len(self._gaps.open)
        for attempt in range(_ATTEMPTS):
            if attempt:
                await backoff.pause()
            for symbol in self._gaps.open:
                complete &= await self._fill_gap(symbol)
            if not self._gaps.open:
                break
        for symbol in self._gaps.open:
            self._gaps.close(symbol)
            complete = False
        (self._filled if complete else self._not_filled).inc()
        self._log.info("trade_gap", pairs=pairs, filled=complete)

    async def _fill_gap(self, symbol: str) -> bool:
        """Return whether the gap of an asset was filled, as far as is known: one that got no answer stays open."""
        asset = self._find(symbol)
        if asset is None:
            self._gaps.forget(symbol)
            return True
        try:
            answer = await self._recent(asset)
        except NotListed:
            self._gaps.close(symbol)
            return True
        except ExchangeError as error:
            self._log.debug("trade_gap_unanswered", pair=symbol, error=f"{error.reason}: {error}")
            return True
        if symbol not in self._gaps.open:  # it is no longer wanted
            return True
        missing = self._gaps.missing(symbol, answer, self._dialect.most_recent)
        for first in range(0, len(missing.records), _PART):
            self._take(missing.records[first : first + _PART], lambda _: symbol)
            await self._flush()
            await asyncio.sleep(0)
        self._gaps.close(symbol)
        return missing.complete


def _raw(record: Execution | Unreadable, symbol_of: Callable[[str], str | None], venue: str) -> bytes:
    """Return the bytes of a record; those of a known pair as `POST /ingest` takes them, so that they can be retried."""
    if isinstance(record, Unreadable):
        return record.raw[:_MOST_RAW]
    symbol, one = symbol_of(record.name), record
    if symbol is None:
        return msgspec.json.encode(one)[:_MOST_RAW]
    trade = Trade(symbol, one.price, one.volume, one.timestamp, venue, one.id, one.side, one.sequence)
    return msgspec.json.encode(trade)[:_MOST_RAW]
