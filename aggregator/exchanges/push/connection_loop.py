"""The part that the feeds of tickers and of trades share: one subscribed connection after the other."""

import asyncio
import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from aggregator.errors import ExchangeError, ExchangeUnreachable
from aggregator.exchanges.dialect import SocketDialect
from aggregator.exchanges.push.socket import Connect, Socket, TooSoon
from aggregator.exchanges.retry_after import Cooldown
from aggregator.models import Asset
from aggregator.observability.bounded_log import BoundedLog
from aggregator.resilience.backoff import Backoff

LONGEST_PAUSE = 30.0  # seconds between two connections; venues ban clients that reconnect without pauses
CHECK_SECONDS = 1.0  # between two checks of the subscriptions and of what has arrived
_SETTLED = 60.0  # seconds that a connection must hold for the pauses to restart with the shortest


class Replace(Exception):
    """The venue asks for a new connection in place of this one."""


class ConnectionLoop(ABC):
    """Keeps one connection subscribed to the assets that `wanted` returns; to the first ones if it takes fewer."""

    def __init__(
        self,
        name: str,
        url: str,
        dialect: SocketDialect,
        connect: Connect,
        wanted: Callable[[], Sequence[Asset]],
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._url = url.rstrip("/") + dialect.path
        self._socket_dialect = dialect
        self._connect = connect
        self._wanted = wanted
        self._clock = clock
        self._cooldown = Cooldown(clock)
        self._outbox: deque[str] = deque()
        self._send_at = self._check_at = self._alive_at = 0.0
        self._names: dict[str, str] = {}  # by symbol, of subscribed pairs
        self._heard_at = clock()
        self._log = structlog.get_logger().bind(exchange=name)
        self._event_log = BoundedLog(clock, exchange=name)

    @abstractmethod
    def _subscribed(self) -> set[str]:
        """Return the venue's names of the pairs that this connection is subscribed to."""

    @abstractmethod
    def _change(self, gone: Iterable[str], new: Mapping[str, str]) -> Iterable[str]:
        """Record that subscriptions end and others begin (symbols by name); return the names to subscribe to."""

    @abstractmethod
    def _begin(self) -> None:
        """Prepare for a new connection."""

    @abstractmethod
    async def _receive(self, frame: str) -> None:
        """Process a frame. Raises Replace."""

    @abstractmethod
    def _check(self, now: float) -> None:
        """Check the connection, once a second. Raises ExchangeError to end it."""

    @abstractmethod
    def _end(self, error: ExchangeError) -> None:
        """Record why the connection has ended."""

    def _replace(self) -> None:  # noqa: B027  # not abstract: a feed may treat it like any new connection
        """Record that the venue wants this connection replaced."""

    @abstractmethod
    def _rest(self) -> None:
        """Record that the connection was closed because no pair is wanted."""

    async def _stop(self) -> None:  # noqa: B027  # not abstract: most feeds have nothing beside the connection
        """Stop what runs beside the connection."""

    async def run(self) -> None:
        """Read from one connection after the other; never returns. Pauses grow until a connection holds.

        A connection that the venue wants replaced is replaced at once. This happens at most once in `_SETTLED` seconds:
        where every connection asks for it, the usual pauses apply.
        """
        backoff = Backoff(LONGEST_PAUSE)
        replaced_at = -math.inf
        while True:
            began = self._clock()
            try:
                await self._listen()
            except Replace:
                if self._clock() - replaced_at > _SETTLED:
                    replaced_at = self._clock()
                    self._replace()
                    self._log.info("push_replaced", why="the exchange shuts this connection down")
                    continue
                self._fail(ExchangeUnreachable("shut down again"))
            except ExchangeError as error:
                self._fail(error)
            if self._clock() - began > _SETTLED:
                backoff = Backoff(LONGEST_PAUSE)
            await asyncio.sleep(self._cooldown.seconds)
            await backoff.pause()

    def _fail(self, error: ExchangeError) -> None:
        if isinstance(error, TooSoon):
            self._cooldown.begin(error.seconds)
        self._end(error)

    async def _listen(self) -> None:
        while not self._update_subscriptions():  # noqa: ASYNC110  # nothing announces that popularity has moved an asset
            await asyncio.sleep(CHECK_SECONDS)
        async with self._connect(self._url) as socket:
            self._cooldown.answered()
            self._outbox.clear()
            self._heard_at = self._clock()
            self._check_at = self._send_at = 0.0
            self._alive_at = self._clock() + self._socket_dialect.keep_alive_seconds
            self._begin()
            reading = asyncio.create_task(self._read(socket))
            try:
                while self._names and not reading.done():
                    await self._tend(socket)
                    pause = self._socket_dialect.pause if self._outbox else CHECK_SECONDS / 2
                    await asyncio.wait([reading], timeout=pause)
                if reading.done():
                    reading.result()  # raises why the connection has ended
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                await self._stop()
        self._rest()

    async def _read(self, socket: Socket) -> None:
        """Read frames; never returns. Without a timeout for each frame, which would cost as much as reading it."""
        while True:
            frame = await socket.receive()
            self._heard_at = self._clock()
            await self._receive(frame)

    async def _tend(self, socket: Socket) -> None:
        """Check the connection if that is due, and send one waiting message if that is due."""
        now, dialect = self._clock(), self._socket_dialect
        if now >= self._check_at:
            self._check_at = now + CHECK_SECONDS
            self._check(now)
        if dialect.keep_alive and now >= self._alive_at:
            self._alive_at = now + dialect.keep_alive_seconds
            self._outbox.appendleft(dialect.keep_alive)
        if self._outbox and now >= self._send_at:
            self._send_at = now + dialect.pause
            await socket.send(self._outbox.popleft())

    def _update_subscriptions(self) -> bool:
        """Subscribe to new wanted pairs, unsubscribe from others; return whether any pair is wanted."""
        dialect = self._socket_dialect
        spelled = {asset.symbol: name for asset in self._wanted() if (name := dialect.spell(asset))}
        self._names = dict(list(spelled.items())[: dialect.most_symbols])
        wanted, subscribed = set(self._names.values()), self._subscribed()
        gone = sorted(subscribed - wanted)
        new = self._change(gone, {name: symbol for symbol, name in self._names.items() if name not in subscribed})
        self._queue(dialect.unsubscribe, gone)
        self._queue(dialect.subscribe, list(new))
        return bool(self._names)

    def _queue(self, message: Callable[[Sequence[str]], str], names: Sequence[str]) -> None:
        most = self._socket_dialect.most_together
        self._outbox.extend(message(names[first : first + most]) for first in range(0, len(names), most))
