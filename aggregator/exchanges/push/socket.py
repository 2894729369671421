"""A WebSocket connection to a venue; maps aiohttp's exceptions to ExchangeErrors."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol

import aiohttp

from aggregator.errors import (
    Blocked,
    ExchangeError,
    ExchangeHttpError,
    ExchangeTimeout,
    ExchangeUnreachable,
    RateLimited,
    Undecodable,
)
from aggregator.exchanges.connection import TooMuch, why_unreachable
from aggregator.exchanges.retry_after import retry_after

MOST_BYTES = 64 << 10  # of a message; those of venues have a few hundred
MOST_A_SECOND = 10_000  # messages and pings: about ten times what the busiest pairs of a venue bring
_YIELD_MESSAGES, _YIELD_BYTES = 8, 64 << 10  # after so many, other tasks of the process run
_OPEN_SECONDS = 10.0
_SEND_SECONDS = 5.0
_CLOSE_SECONDS = 1.0
_PING_SECONDS = 20.0
_TOO_OFTEN = (418, 429)
_UNAVAILABLE_HERE = 451
_CLOSE_FRAME = aiohttp.WSCloseCode.OK.to_bytes(2, "big")
_CONTROL = (aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG)


class Socket(Protocol):
    """An open connection."""

    async def send(self, text: str) -> None:
        """Send a message. Raises ExchangeError."""

    async def receive(self) -> str:
        """Return the next frame. Raises ExchangeError at the connection's end."""


Connect = Callable[[str], AbstractAsyncContextManager[Socket]]


class TooSoon(RateLimited):
    """The venue refuses the connection as too early; `seconds` until the next try, None if it does not tell."""

    def __init__(self, status: int, seconds: float | None) -> None:
        super().__init__(f"HTTP {status}")
        self.seconds = seconds


def connector(http: aiohttp.ClientSession, now: Callable[[], float], most_bytes: int = MOST_BYTES) -> Connect:
    """Return a `Connect` over this session, for messages of at most `most_bytes`."""

    @asynccontextmanager
    async def connect(url: str) -> AsyncIterator[Socket]:
        socket = await _open(http, url, now, most_bytes)
        try:
            yield _Socket(socket, most_bytes)
        finally:
            await _close(socket)

    return connect


async def _close(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Send a close frame and close the connection, without reading what the venue still sends.

    aiohttp's own `close` reads until the venue's close frame comes, which may be never, and lets no other task run.
    """
    if not socket.closed:
        with suppress(TimeoutError, ConnectionError, aiohttp.ClientError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await socket.send_frame(_CLOSE_FRAME, aiohttp.WSMsgType.CLOSE)
        socket._response.close()  # noqa: SLF001  # aiohttp has no public way
    await socket.close()


async def _open(
    http: aiohttp.ClientSession, url: str, now: Callable[[], float], most_bytes: int
) -> aiohttp.ClientWebSocketResponse:
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            return await http.ws_connect(
                url,
                heartbeat=_PING_SECONDS,
                autoping=False,  # aiohttp would answer a flood of pings and let no other task run
                max_msg_size=most_bytes,
                timeout=aiohttp.ClientWSTimeout(ws_close=_CLOSE_SECONDS),
            )
    except TimeoutError as error:
        raise ExchangeTimeout("no connection in time") from error
    except aiohttp.WSServerHandshakeError as error:
        if error.status in _TOO_OFTEN:
            headers: Mapping[str, str] = error.headers or {}
            seconds = retry_after(headers.get("Retry-After", ""), headers.get("Date", ""), now())
            raise TooSoon(error.status, seconds) from error
        if error.status == _UNAVAILABLE_HERE:
            raise Blocked(f"blocked where this runs: HTTP {error.status}") from error
        raise ExchangeHttpError(f"HTTP {error.status} instead of a WebSocket") from error
    except TooMuch as error:
        raise Undecodable(str(error)) from error
    except (aiohttp.ClientError, ValueError) as error:
        raise ExchangeUnreachable(why_unreachable(error)) from error


class _Socket:
    """`Socket` over aiohttp, which sends pings and bounds messages."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, most_bytes: int) -> None:
        self._socket = socket
        self._most_bytes = most_bytes
        self._flow = _Flow()

    async def send(self, text: str) -> None:
        """Send a message."""
        await self._complete(self._socket.send_str(text))

    async def _complete(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await sending
        except TimeoutError as error:
            raise ExchangeTimeout("the connection takes no messages") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ExchangeUnreachable(why_unreachable(error)) from error

    async def receive(self) -> str:
        """Return the next frame. Answers pings meanwhile."""
        while True:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                text: str = message.data
                await self._flow.count(len(text))
                return text
            if message.type not in _CONTROL:
                raise self._end(message)
            await self._flow.count(0)
            if message.type is aiohttp.WSMsgType.PING:
                await self._complete(self._socket.pong(message.data))

    def _end(self, message: aiohttp.WSMessage) -> ExchangeError:
        """Return the error that a message other than a text or a ping stands for."""
        if message.type is aiohttp.WSMsgType.ERROR:
            if self._socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
                return Undecodable(f"a frame of more than {self._most_bytes} bytes")
            return ExchangeUnreachable(f"cut off: {type(message.data).__name__}")
        if message.type is aiohttp.WSMsgType.BINARY:
            return Undecodable("a binary frame")
        return ExchangeUnreachable(f"closed the connection ({self._socket.close_code})")


class _Flow:
    """Bounds the messages of a connection, and lets other tasks run: awaiting a message that is there does not."""

    def __init__(self) -> None:
        self._messages = self._bytes = self._in_second = 0
        self._second = 0.0

    async def count(self, size: int) -> None:
        """Count a message of `size` bytes; yield to other tasks where it is time. Raises Undecodable for a flood."""
        self._messages += 1
        self._bytes += size
        if self._messages < _YIELD_MESSAGES and self._bytes < _YIELD_BYTES:
            return
        now = time.monotonic()
        if now - self._second >= 1:
            self._second, self._in_second = now, 0
        self._in_second += self._messages
        self._messages = self._bytes = 0
        if self._in_second > MOST_A_SECOND:
            raise Undecodable(f"more than {MOST_A_SECOND} messages in a second")
        await asyncio.sleep(0)
