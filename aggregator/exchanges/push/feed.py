"""One venue's feed of tickers: reads them, and falls back to polling while they are not young."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from aggregator.errors import ExchangeError, ExchangeTimeout
from aggregator.exchanges.dialect import News, PushDialect, Shutdown
from aggregator.exchanges.push.book import KINDS, Book
from aggregator.exchanges.push.connection_loop import CHECK_SECONDS, ConnectionLoop, Replace
from aggregator.exchanges.push.socket import Connect
from aggregator.models import FUTURE_TOLERANCE, Asset, Ticker
from aggregator.observability.metrics import Metrics

_NOT_YET = "connected, no young ticker yet"
_NO_TICKERS = 30.0  # seconds of heartbeats without a ticker after which the connection is closed
_ASK_AGAIN = 30.0  # seconds without any news of a pair after which it is subscribed to again


class Feed(ConnectionLoop):
    """The pushed tickers of the assets that `wanted` returns, of the first ones if one connection takes fewer.

    A ticker is young for half of `interval` seconds, by its own time and by its arrival, so that a price made every
    `interval` is never stale. After a whole interval without a young ticker the feed has fallen back to polling. The
    tickers of a connection that the venue wants replaced stay in use until the next one has newer ones.
    """

    def __init__(
        self,
        name: str,
        url: str,
        dialect: PushDialect,
        connect: Connect,
        wanted: Callable[[], Sequence[Asset]],
        interval: float,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(name, url, dialect, connect, wanted, clock)
        self._dialect = dialect
        self._interval = interval
        self._now = now
        self._book = Book(name)
        self._down = "connecting"  # why nothing is pushed; empty while tickers come
        self._young_at = clock()  # arrival of the last young ticker; at first, the start
        self._received: float | None = None
        self._answered: float | None = None  # unix seconds of the last ticker's arrival
        self._newest: float | None = None
        self._live: bool | None = None
        self._listener: Callable[[str], None] = lambda _: None
        self._keeps_tickers = False  # whether the next connection begins with the tickers of this one
        self._state = metrics.push_state.labels(name)
        self._connections = metrics.push_connections.labels(name)
        self._counts = {kind: metrics.push_messages.labels(name, kind) for kind in (*KINDS, "shutdown", "lost")}
        self._answered_gauge = metrics.exchange_answered.labels(name)
        self._newest_gauge = metrics.exchange_newest.labels(name)
        self._state.set(math.nan)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the symbol of each young ticker that arrives."""
        self._listener = listener

    @property
    def trouble(self) -> str:
        """The reason why no young tickers are pushed; empty while they are, and while no assets are wanted."""
        if not self._names:
            return ""
        if self._down:
            return self._down
        silent = self._clock() - self._young_at
        return f"no young ticker for {silent:.0f} s" if silent > self._interval else ""

    @property
    def idle_seconds(self) -> float | None:
        """Seconds since the last pushed ticker; None before the first one."""
        return None if self._received is None else self._clock() - self._received

    @property
    def newest_ticker(self) -> float | None:
        """The newest timestamp of a ticker, in unix seconds, without the future; None before the first one."""
        return self._newest

    def young(self, symbol: str) -> Ticker | None:
        """Return the newest ticker of `symbol` if it is young."""
        name = self._names.get(symbol)
        held = self._book.held(name) if name is not None else None
        if held is None:
            return None
        ticker, received = held
        is_young = self._clock() - received <= self._interval / 2 and self._is_young(ticker.timestamp, self._now())
        return ticker if is_young else None

    def _begin(self) -> None:
        self._connections.inc()
        if self._keeps_tickers:
            self._book, self._keeps_tickers = self._book.handed_over(), False
        else:
            self._book, self._down = Book(self._name), _NOT_YET
        self._young_at = self._heard_at

    def _replace(self) -> None:
        self._keeps_tickers = True

    def _rest(self) -> None:
        self._report()

    def _check(self, now: float) -> None:
        silent, without = now - self._heard_at, now - self._young_at
        if silent > max(self._interval, 2 * CHECK_SECONDS):
            raise ExchangeTimeout(f"no message for {silent:.0f} s")
        if without > max(self._interval, _NO_TICKERS):
            raise ExchangeTimeout(f"no young ticker for {without:.0f} s")
        self._update_subscriptions()
        self._show_times()
        self._report()

    def _subscribed(self) -> set[str]:
        return self._book.names

    def _change(self, gone: Iterable[str], new: Mapping[str, str]) -> Iterable[str]:
        for name in gone:
            self._book.forget(name)
        now = self._clock()
        expected = {**new, **self._book.unheard(now - _ASK_AGAIN)}
        for name, symbol in expected.items():
            self._book.expect(name, symbol, now)
        return expected

    async def _receive(self, frame: str) -> None:
        try:
            found = self._dialect.read(frame)
        except Exception:  # noqa: BLE001  # Undecodable, or an exception in the dialect: the frame is wrong either way
            self._count("junk")
            return
        for news in found:
            self._record(news)

    def _record(self, news: News | Shutdown) -> None:
        if isinstance(news, Shutdown):
            self._count("shutdown")
            raise Replace
        wall = self._now()
        kind = self._book.update(news, self._clock(), wall)
        self._count(kind)
        if kind == "ticker":
            self._record_ticker(news.name, wall)
        elif kind == "gap":
            self._event_log.info("push_gap", pair=news.name)
            self._queue(self._dialect.unsubscribe, [news.name])
            self._queue(self._dialect.subscribe, [news.name])
        elif kind == "refused":
            self._event_log.info("push_refused", pair=news.name)

    def _record_ticker(self, name: str, wall: float) -> None:
        held = self._book.held(name)
        if held is None:
            return
        ticker, self._received = held
        self._answered = wall
        latest = wall + FUTURE_TOLERANCE
        if ticker.timestamp <= latest:
            known = self._newest  # in the future if our clock has been set back
            self._newest = ticker.timestamp if known is None or known > latest else max(known, ticker.timestamp)
        if self._is_young(ticker.timestamp, wall):
            self._young_at, self._down = self._received, ""
            if not self._live:
                self._report()
            self._listener(ticker.symbol)

    def _is_young(self, timestamp: float, wall: float) -> bool:
        return -FUTURE_TOLERANCE <= wall - timestamp <= self._interval / 2

    def _show_times(self) -> None:
        """Set the gauges of the last and of the newest ticker, once a second instead of with each ticker."""
        if self._answered is not None:
            self._answered_gauge.set(self._answered)
        if self._newest is not None:
            self._newest_gauge.set(self._newest)

    def _end(self, error: ExchangeError) -> None:
        self._keeps_tickers = False
        self._book = Book(self._name)
        self._down = f"{error.reason}: {error}"
        self._count("lost")
        self._report()

    def _report(self) -> None:
        """Log and show that the feed has begun to push, or has fallen back."""
        trouble = self.trouble
        live = None if not self._names else not trouble
        if live == self._live or (self._live is None and self._down == _NOT_YET):
            return
        self._live = live
        self._state.set(math.nan if live is None else int(live))
        if live:
            self._log.info("push_live", pairs=len(self._names))
        elif trouble:
            self._log.warning("push_fallen_back", error=trouble)

    def _count(self, kind: str) -> None:
        self._counts[kind].inc()
