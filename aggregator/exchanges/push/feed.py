"""One exchange's feed: connects, asks for what is wanted, reads, and begins again when that ends."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from aggregator.errors import ExchangeError, ExchangeTimeout, ExchangeUnreachable, Undecodable
from aggregator.exchanges.push.book import Book
from aggregator.exchanges.push.dialect import News, PushDialect, Shutdown
from aggregator.exchanges.push.socket import Connect, Socket, TooSoon
from aggregator.exchanges.retry_after import Cooldown
from aggregator.models import FUTURE_TOLERANCE, Asset, Ticker
from aggregator.observability.metrics import Metrics
from aggregator.resilience.backoff import Backoff

LONGEST_PAUSE = 30.0  # seconds between two connections; venues ban who comes back without one
_SETTLED = 60.0  # seconds after which a connection was a good one, and the pauses begin again with the short one
_LOOK = 1.0  # seconds between two looks at what is wanted, and at whether it comes
_NOT_YET = "connected, no young ticker yet"
_NO_TICKERS = 30.0  # seconds of beats without a ticker after which a connection is given up
_ASK_AGAIN = 30.0  # seconds after which a pair is asked for anew of which nothing has come


class _Replace(Exception):
    """The exchange wants a new connection in place of this one."""


class Feed:
    """The pushed tickers of what `wanted` returns, the first of them where it is more than one connection takes.

    A ticker is young for half of `interval` seconds, by its own time and by when it came, so that whoever is answered
    with it every `interval` never makes a stale price. Without any for a whole one the feed has fallen back.
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
        self._name = name
        self._url = url.rstrip("/") + dialect.path
        self._dialect = dialect
        self._connect = connect
        self._wanted = wanted
        self._interval = interval
        self._clock = clock
        self._now = now
        self._quiet = Cooldown(clock)
        self._book = Book(name)
        self._outbox: deque[str] = deque()
        self._send_at = self._look_at = 0.0
        self._names: dict[str, str] = {}  # by symbol, of what is asked for
        self._down = "connecting"
        self._young_at = clock()  # when a ticker came that was young; at first, when we began
        self._heard_at = clock()
        self._received: float | None = None
        self._newest: float | None = None
        self._live: bool | None = None
        self._handing_over = False  # from a connection that the exchange wants replaced to the next one
        self._state = metrics.push_state.labels(name)
        self._connections = metrics.push_connections.labels(name)
        self._messages = metrics.push_messages
        self._told_received = metrics.exchange_answered.labels(name)
        self._told_newest = metrics.exchange_newest.labels(name)
        self._state.set(0)
        self._log = structlog.get_logger().bind(exchange=name)

    @property
    def trouble(self) -> str:
        """Why nothing young is pushed; empty while it is, or while there is nothing to push."""
        if not self._names:
            return ""
        if self._down:
            return self._down
        silent = self._clock() - self._young_at
        return f"no young ticker for {silent:.0f} s" if silent > self._interval else ""

    @property
    def idle_seconds(self) -> float | None:
        """How long ago it last pushed a ticker; None when it never has."""
        return None if self._received is None else self._clock() - self._received

    @property
    def newest_ticker(self) -> float | None:
        """The newest time of its tickers that is not of the future, in unix seconds; None when it has pushed none."""
        return self._newest

    def young(self, symbol: str) -> Ticker | None:
        """Return the newest ticker of `symbol` where it is young."""
        name = self._names.get(symbol)
        held = self._book.held(name) if name is not None else None
        if held is None:
            return None
        ticker, received = held
        return ticker if self._clock() - received <= self._interval / 2 and self._is_young(ticker.timestamp) else None

    async def run(self) -> None:
        """Listen, for ever; after each end there is a pause, and a longer one each time until a connection holds.

        A connection that the exchange wants replaced is replaced at once, and what it has pushed is served meanwhile.
        That is done once in `_SETTLED` seconds: an exchange that says so on every connection gets the pauses.
        """
        backoff = Backoff(LONGEST_PAUSE)
        replaced_at = -math.inf
        while True:
            began = self._clock()
            try:
                await self._listen()
            except _Replace:
                if self._clock() - replaced_at > _SETTLED:
                    replaced_at, self._handing_over = self._clock(), True
                    self._log.info("push_replaced", why="the exchange shuts this connection down")
                    continue
                self._end(ExchangeUnreachable("shut down again"))
            except ExchangeError as error:
                self._end(error)
            if self._clock() - began > _SETTLED:
                backoff = Backoff(LONGEST_PAUSE)
            await asyncio.sleep(self._quiet.seconds)
            await backoff.pause()

    async def _listen(self) -> None:
        while not self._sync():  # noqa: ASYNC110  # popularity moves assets without a word
            await asyncio.sleep(_LOOK)
        async with self._connect(self._url) as socket:
            self._connections.inc()
            self._quiet.answered()
            if self._handing_over:
                self._book, self._handing_over = self._book.handed_over(), False
            else:
                self._book, self._down = Book(self._name), _NOT_YET
            self._outbox.clear()
            self._heard_at = self._young_at = self._clock()
            self._look_at = self._send_at = 0.0
            while True:
                await self._step(socket)

    async def _step(self, socket: Socket) -> None:
        """Look whether all is well where that is due, send a message where one waits, and read a frame if one comes."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + _LOOK
            self._look(now)
        if self._outbox and now >= self._send_at:
            self._send_at = now + self._dialect.pause
            await socket.send(self._outbox.popleft())
        frame = await socket.receive(self._dialect.pause if self._outbox else _LOOK / 2)
        if frame is not None:
            self._heard_at = self._clock()
            self._receive(frame)

    def _look(self, now: float) -> None:
        silent, without = now - self._heard_at, now - self._young_at
        if silent > max(self._interval, 2 * _LOOK):
            raise ExchangeTimeout(f"mute for {silent:.0f} s")
        if without > max(self._interval, _NO_TICKERS):
            raise ExchangeTimeout(f"no young ticker for {without:.0f} s")
        self._sync()
        self._report()

    def _sync(self) -> bool:
        """Ask for what is wanted and not asked for yet, and no more for what is not; return whether there is any."""
        dialect = self._dialect
        spelled = {asset.symbol: name for asset in self._wanted() if (name := dialect.spell(asset))}
        self._names = dict(list(spelled.items())[: dialect.most_symbols])
        wanted = set(self._names.values())
        gone = sorted(self._book.names - wanted)
        new = {name: symbol for symbol, name in self._names.items() if name not in self._book.names}
        for name in gone:
            self._book.forget(name)
        now = self._clock()
        new |= self._book.unheard(now - _ASK_AGAIN)
        for name, symbol in new.items():
            self._book.expect(name, symbol, now)
        self._ask(dialect.unsubscribe, gone)
        self._ask(dialect.subscribe, list(new))
        return bool(self._names)

    def _ask(self, message: Callable[[Sequence[str]], str], names: Sequence[str]) -> None:
        most = self._dialect.most_together
        self._outbox.extend(message(names[first : first + most]) for first in range(0, len(names), most))

    def _receive(self, frame: str) -> None:
        try:
            found = self._dialect.read(frame)
        except Undecodable:
            self._count("junk")
            return
        except Exception:  # noqa: BLE001  # whatever a dialect stumbles over, such as RecursionError: the frame's fault
            self._count("junk")
            return
        for news in found:
            self._record(news)

    def _record(self, news: News | Shutdown) -> None:
        if isinstance(news, Shutdown):
            self._count("shutdown")
            raise _Replace
        kind = self._book.update(news, self._clock(), self._now())
        self._count(kind)
        if kind == "ticker":
            self._believe(news.name)
        elif kind == "gap":
            self._log.info("push_gap", pair=news.name)
            self._ask(self._dialect.unsubscribe, [news.name])
            self._ask(self._dialect.subscribe, [news.name])
        elif kind == "refused":
            self._log.info("push_refused", pair=news.name)

    def _believe(self, name: str) -> None:
        held = self._book.held(name)
        if held is None:
            return
        ticker, self._received = held
        self._told_received.set(self._now())
        latest = self._now() + FUTURE_TOLERANCE
        if ticker.timestamp <= latest:
            known = self._newest  # of the future where our clock has been set back
            self._newest = ticker.timestamp if known is None or known > latest else max(known, ticker.timestamp)
            self._told_newest.set(self._newest)
        if self._is_young(ticker.timestamp):
            self._young_at, self._down = self._received, ""
            if not self._live:
                self._report()

    def _is_young(self, timestamp: float) -> bool:
        return -FUTURE_TOLERANCE <= self._now() - timestamp <= self._interval / 2

    def _end(self, error: ExchangeError) -> None:
        self._handing_over = False
        if isinstance(error, TooSoon):
            self._quiet.begin(error.seconds)
        self._book = Book(self._name)
        self._down = f"{error.reason}: {error}"
        self._count("lost")
        self._report()

    def _report(self) -> None:
        """Say so, where the feed has begun to push, or has fallen back."""
        trouble = self.trouble
        live = not trouble and bool(self._names)
        if live == self._live or (self._live is None and self._down == _NOT_YET):
            return
        self._live = live
        self._state.set(int(live))
        if live:
            self._log.info("push_live", pairs=len(self._names))
        elif trouble:
            self._log.warning("push_fallen_back", error=trouble)

    def _count(self, kind: str) -> None:
        self._messages.labels(self._name, kind).inc()
