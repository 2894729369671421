"""An exchange that records its answers, and one that answers from a recording, in the recording's time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from aggregator.errors import ExchangeError, ExchangeTimeout, ExchangeUnreachable, Undecodable
from aggregator.exchanges.dialect import Dialect, Market, Request, Tickers
from aggregator.exchanges.http import HttpExchange, Reply, Session
from aggregator.exchanges.push.socket import Connect, Socket
from aggregator.exchanges.recording import Headers, Record, Recording, RecordingFile, body_fields, kept, record_of
from aggregator.models import Reason, Ticker
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.resilience.circuit_breaker import BreakerGroup

_ERRORS: Mapping[Reason, type[ExchangeError]] = {
    one.reason: one for one in (ExchangeTimeout, ExchangeUnreachable, Undecodable)
}


class NothingRecorded(ExchangeError):
    """At this time the recording has no answer about the pair yet: no failure of the venue."""

    reason = Reason.UNREACHABLE
    counts = False


class NeverRecorded(ExchangeError):
    """The recording has no answer about the pair at any time: none was requested, so the venue has not refused it."""

    reason = Reason.NOT_LISTED
    counts = False


class RecordedExchange(HttpExchange):
    """An HttpExchange that records each answer byte for byte before the dialect reads it."""

    def __init__(
        self,
        name: str,
        base_url: str,
        dialect: Dialect,
        http: Session,
        metrics: Metrics,
        concurrency: int,
        batch: int,
        file: RecordingFile,
    ) -> None:
        super().__init__(name, base_url, dialect, http, metrics, concurrency, batch)
        self._file = file

    async def _send(self, request: Request, most: int, seconds: float | None, markets: Sequence[Market]) -> Reply:
        try:
            reply = await super()._send(request, most, seconds, markets)
        except ExchangeError as error:
            record = record_of(request, markets, self._now())
            self._file.add(msgspec.structs.replace(record, error=error.reason, detail=str(error)))
            raise
        record = record_of(request, markets, reply.received)
        body = body_fields(reply.body)
        self._file.add(msgspec.structs.replace(record, status=reply.status, headers=kept(reply.headers), **body))
        return reply


def recorded(connect: Connect, file: RecordingFile, now: Callable[[], float], *, trades: bool = False) -> Connect:
    """Return a `Connect` that connects through `connect` and records every frame that arrives, marked if `trades`."""

    @asynccontextmanager
    async def connect_and_record(url: str) -> AsyncIterator[Socket]:
        async with connect(url) as socket:
            yield _RecordedSocket(socket, file, now, trades)

    return connect_and_record


class _RecordedSocket:
    """A `Socket` that records the frames."""

    def __init__(self, socket: Socket, file: RecordingFile, now: Callable[[], float], trades: bool) -> None:  # noqa: FBT001  # passed on
        self._socket = socket
        self._file = file
        self._now = now
        self._trades = trades

    async def send(self, text: str) -> None:
        """Send a message."""
        await self._socket.send(text)

    async def receive(self) -> str:
        """Return the next frame, and record it; also the error that ends the connection."""
        try:
            frame = await self._socket.receive()
        except ExchangeError as error:
            self._file.add(Record(self._now(), frame="", error=error.reason, detail=str(error), trades=self._trades))
            raise
        self._file.add(Record(self._now(), frame=frame, trades=self._trades))
        return frame


class ReplayedExchange(HttpExchange):
    """Answers each asset from the newest recorded answer about it at `now`, which the dialect reads again."""

    def __init__(
        self,
        name: str,
        dialect: Dialect,
        recording: Recording,
        http: Session,
        metrics: Metrics,
        concurrency: int,
        batch: int,
        breaker_group: BreakerGroup | None,
        now: Callable[[], float],
        tracer: Tracer = UNTRACED,
    ) -> None:
        super().__init__(name, "", dialect, http, metrics, concurrency, batch, breaker_group, now=now, tracer=tracer)
        self._recording = recording

    async def _ask(self, markets: Sequence[Market]) -> Tickers:
        """Answer each market from the newest call about it, whichever other markets that call was for."""
        now = self._now()
        newest = {market.symbol: self._recording.newest(market.symbol, now) for market in markets}
        calls = {id(record): record for record in newest.values() if record is not None}
        if len(calls) == 1 and None not in newest.values():  # one recorded call: it fails as a whole if it failed then
            return self._replay(next(iter(calls.values())))
        found = {key: self._replay_or_error(record) for key, record in calls.items()}
        answers: dict[str, Ticker | ExchangeError] = {}
        for symbol, record in newest.items():
            answer = self._missing(symbol) if record is None else _pick(found[id(record)], symbol)
            if answer is not None:
                answers[symbol] = answer
        return answers

    async def _list(self) -> Iterable[Market]:
        """Return the recorded listing; without one, every pair is tried."""
        listing = self._dialect.listing
        record = None if listing is None else self._recording.first(listing)
        return () if record is None else await self._markets(self._reply(record))

    def _replay_or_error(self, record: Record) -> Tickers | ExchangeError:
        try:
            return self._replay(record)
        except ExchangeError as error:
            return error

    def _replay(self, record: Record) -> Tickers:
        return self._tickers(record.markets, self._reply(record))

    def _reply(self, record: Record) -> Reply:
        if record.error is not None:
            raise _ERRORS.get(record.error, ExchangeUnreachable)(record.detail)
        headers = Headers(record.headers)
        self._honour_pauses(record.status, headers)
        return Reply(record.status, headers, record.body, record.at)

    def _missing(self, symbol: str) -> ExchangeError:
        if self._recording.has(symbol):
            return NothingRecorded("not recorded yet")
        return NeverRecorded("not in the recording")


def _pick(found: Tickers | ExchangeError, symbol: str) -> Ticker | ExchangeError | None:
    return found if isinstance(found, ExchangeError) else found.get(symbol)


def replayed(recording: Recording, now: Callable[[], float]) -> Connect:
    """Return a `Connect` that plays the recorded frames back, each at its time; the ends of connections too."""
    played = 0

    class Played:
        """A `Socket`; its subscriptions were made when it was recorded."""

        async def send(self, text: str) -> None:
            """Ignore the message."""

        async def receive(self) -> str:
            """Return the next frame when it is due; wait for ever after the last one."""
            nonlocal played
            if played >= len(recording.frames):
                await asyncio.get_running_loop().create_future()
            await asyncio.sleep(max(0.0, recording.frames[played].at - now()))
            record = recording.frames[played]
            played += 1
            if record.error is not None:
                raise _ERRORS.get(record.error, ExchangeUnreachable)(record.detail)
            return record.frame or ""  # never None: it is the record of a frame

    @asynccontextmanager
    async def connect(_: str) -> AsyncIterator[Socket]:
        yield Played()

    return connect


def recorded_clock(recording: Recording, now: Callable[[], float] = time.time) -> tuple[Callable[[], float], float]:
    """Return a clock that starts now at the beginning of the recording, and the seconds by which it is behind `now`."""
    behind = now() - recording.begins
    return lambda: now() - behind, behind
