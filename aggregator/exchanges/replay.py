"""An exchange that is recorded as it is asked, and one that answers from such a recording, in the recording's time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec

from aggregator.errors import ExchangeError, ExchangeTimeout, ExchangeUnreachable, NotListed, Undecodable
from aggregator.exchanges.dialect import Dialect, Market, Tickers
from aggregator.exchanges.http import HttpExchange, Reply, Session
from aggregator.exchanges.push.socket import Connect, Socket
from aggregator.exchanges.recording import Headers, Record, Recording, RecordingFile, body_fields, kept
from aggregator.exchanges.wrapped import WrappedExchange
from aggregator.models import Asset, LeftOut, Reason, Ticker
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.ports import Exchange
from aggregator.resilience.circuit_breaker import BreakerGroup

_ERRORS: Mapping[Reason, type[ExchangeError]] = {
    one.reason: one for one in (ExchangeTimeout, ExchangeUnreachable, Undecodable)
}


class NothingRecorded(ExchangeError):
    """The recording has no answer to this yet: no fault of the exchange."""

    reason = Reason.UNREACHABLE
    counts = False


class RecordedExchange(HttpExchange):
    """Writes down what it is answered, word for word, before it is read."""

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

    async def _send(self, path: str, most: int, seconds: float | None, markets: Sequence[Market]) -> Reply:
        try:
            reply = await super()._send(path, most, seconds, markets)
        except ExchangeError as error:
            self._file.add(Record(self._now(), path, tuple(markets), error=error.reason, detail=str(error)))
            raise
        answer = Record(reply.received, path, tuple(markets), reply.status, kept(reply.headers))
        self._file.add(msgspec.structs.replace(answer, **body_fields(reply.body)))
        return reply


def recorded(connect: Connect, file: RecordingFile, now: Callable[[], float]) -> Connect:
    """Return what connects as `connect` does, and writes down every frame that comes."""

    @asynccontextmanager
    async def connect_and_record(url: str) -> AsyncIterator[Socket]:
        async with connect(url) as socket:
            yield _RecordedSocket(socket, file, now)

    return connect_and_record


class _RecordedSocket:
    """`Socket`, with a witness."""

    def __init__(self, socket: Socket, file: RecordingFile, now: Callable[[], float]) -> None:
        self._socket = socket
        self._file = file
        self._now = now

    async def send(self, text: str) -> None:
        """As the socket does."""
        await self._socket.send(text)

    async def receive(self, seconds: float) -> str | None:
        """As the socket does."""
        try:
            frame = await self._socket.receive(seconds)
        except ExchangeError as error:
            self._file.add(Record(self._now(), frame="", error=error.reason, detail=str(error)))
            raise
        if frame is not None:
            self._file.add(Record(self._now(), frame=frame))
        return frame


class ReplayedExchange(HttpExchange):
    """Answers each asset with the newest answer about it at the recording's `now`, which is read and judged anew."""

    def __init__(
        self,
        name: str,
        dialect: Dialect,
        recording: Recording,
        http: Session,
        metrics: Metrics,
        concurrency: int,
        batch: int,
        rest: BreakerGroup | None,
        now: Callable[[], float],
        tracer: Tracer = UNTRACED,
    ) -> None:
        super().__init__(name, "", dialect, http, metrics, concurrency, batch, rest, now=now, tracer=tracer)
        self._recording = recording

    async def _ask(self, markets: Sequence[Market]) -> Tickers:
        """Give each market what the call said that was the newest about it, whichever others it was asked with."""
        now = self._now()
        newest = {market.symbol: self._recording.newest(market.symbol, now) for market in markets}
        calls = {id(record): record for record in newest.values() if record is not None}
        if len(calls) == 1 and None not in newest.values():  # as it was asked for then, so it fails as it did then
            return self._replay(next(iter(calls.values())))
        said = {key: self._said(record) for key, record in calls.items()}
        answers: dict[str, Ticker | ExchangeError] = {}
        for symbol, record in newest.items():
            answer = self._missing(symbol) if record is None else _pick(said[id(record)], symbol)
            if answer is not None:
                answers[symbol] = answer
        return answers

    async def _list(self) -> Iterable[Market]:
        """Read the listing that was recorded; without one, every pair is asked for."""
        record = self._recording.first(self._dialect.listing) if self._dialect.listing else None
        return () if record is None else await self._markets(self._reply(record))

    def _said(self, record: Record) -> Tickers | ExchangeError:
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
        return NothingRecorded("not recorded yet") if self._recording.has(symbol) else NotListed("not in the recording")


def _pick(said: Tickers | ExchangeError, symbol: str) -> Ticker | ExchangeError | None:
    return said if isinstance(said, ExchangeError) else said.get(symbol)


def replayed(recording: Recording, now: Callable[[], float]) -> Connect:
    """Return what plays the recorded frames back, each at its time; the ends of connections too."""
    played = 0

    class Played:
        """`Socket`; what it is asked for was asked for when it was recorded."""

        async def send(self, text: str) -> None:
            """Nobody listens."""

        async def receive(self, seconds: float) -> str | None:
            """Return the next frame."""
            nonlocal played
            wait = recording.frames[played].at - now() if played < len(recording.frames) else seconds
            await asyncio.sleep(min(max(wait, 0.0), seconds))
            if wait > seconds or played >= len(recording.frames):
                return None
            record = recording.frames[played]
            played += 1
            if record.error is not None:
                raise _ERRORS.get(record.error, ExchangeUnreachable)(record.detail)
            return record.frame

    @asynccontextmanager
    async def connect(_: str) -> AsyncIterator[Socket]:
        yield Played()

    return connect


class Shifted(WrappedExchange):
    """An exchange of another time, `seconds` ago, as one of now."""

    def __init__(self, inner: Exchange, seconds: float) -> None:
        super().__init__(inner)
        self._seconds = seconds

    @property
    def newest_ticker(self) -> float | None:
        """As of now."""
        newest = self._inner.newest_ticker
        return None if newest is None else newest + self._seconds

    async def fetch(self, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
        """Answer with tickers of the age they had then."""
        return {symbol: self._shift(answer) for symbol, answer in (await self._inner.fetch(assets)).items()}

    def _shift(self, answer: Ticker | LeftOut) -> Ticker | LeftOut:
        if isinstance(answer, LeftOut):
            return answer
        return msgspec.structs.replace(answer, timestamp=answer.timestamp + self._seconds)


def recorded_clock(recording: Recording, now: Callable[[], float] = time.time) -> tuple[Callable[[], float], float]:
    """Return a clock that stands at the recording's beginning now, and by how many seconds it is behind."""
    behind = now() - recording.begins
    return lambda: now() - behind, behind
