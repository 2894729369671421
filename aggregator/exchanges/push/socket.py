"""A WebSocket connection to an exchange. Its library's exceptions end here."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol

import aiohttp

from aggregator.errors import Blocked, ExchangeHttpError, ExchangeTimeout, ExchangeUnreachable, RateLimited, Undecodable
from aggregator.exchanges.connection import TooMuch
from aggregator.exchanges.retry_after import retry_after

MOST_BYTES = 64 << 10  # of a message; venues' have a few hundred
MOST_A_SECOND = 10_000  # messages, pings too: some ten times what a venue's busiest pairs bring
_BREATH = 32  # messages, and
_BREATH_BYTES = 64 << 10  # bytes, after which the rest of the process has its turn
_OPEN_SECONDS = 10.0
_SEND_SECONDS = 5.0
_CLOSE_SECONDS = 1.0
_PING_SECONDS = 20.0
_TOO_OFTEN = (418, 429)
_UNAVAILABLE_HERE = 451


_GOODBYE = aiohttp.WSCloseCode.OK.to_bytes(2, "big")
_CONTROL = (aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG)


class Socket(Protocol):
    """An open connection."""

    async def send(self, text: str) -> None:
        """Send a message. Raises ExchangeError."""

    async def receive(self, seconds: float) -> str | None:
        """Return the next frame, or None where none comes within `seconds`. Raises ExchangeError when it has ended."""


Connect = Callable[[str], AbstractAsyncContextManager[Socket]]


class TooSoon(RateLimited):
    """No connection before `seconds` have passed; None where the exchange does not say."""

    def __init__(self, status: int, seconds: float | None) -> None:
        super().__init__(f"HTTP {status}")
        self.seconds = seconds


def connector(http: aiohttp.ClientSession, now: Callable[[], float]) -> Connect:
    """Return what connects over this session."""

    @asynccontextmanager
    async def connect(url: str) -> AsyncIterator[Socket]:
        socket = await _open(http, url, now)
        try:
            yield _Socket(socket)
        finally:
            await _close(socket)

    return connect


async def _close(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Send a close frame and end the connection, without reading what the exchange goes on to send.

    aiohttp's own `close` reads until the other close frame comes, which may be never, and without a pause.
    """
    if not socket.closed:
        with suppress(TimeoutError, ConnectionError, aiohttp.ClientError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await socket.send_frame(_GOODBYE, aiohttp.WSMsgType.CLOSE)
        socket._response.close()  # noqa: SLF001  # it has no other way to end
    await socket.close()


async def _open(http: aiohttp.ClientSession, url: str, now: Callable[[], float]) -> aiohttp.ClientWebSocketResponse:
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            return await http.ws_connect(
                url,
                heartbeat=_PING_SECONDS,
                autoping=False,  # aiohttp would answer a flood of pings without a pause
                max_msg_size=MOST_BYTES,
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
        raise ExchangeUnreachable(type(error).__name__) from error


class _Socket:
    """`Socket` over aiohttp, which sends pings and keeps messages within bounds."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._pace = _Pace()

    async def send(self, text: str) -> None:
        """Send a message."""
        await self._sent(self._socket.send_str(text))

    async def _sent(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await sending
        except TimeoutError as error:
            raise ExchangeTimeout("takes no messages") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ExchangeUnreachable(type(error).__name__) from error

    async def receive(self, seconds: float) -> str | None:
        """Return the next frame; None for a ping, which is answered, and for a pong as well."""
        try:
            message = await self._socket.receive(seconds)
        except TimeoutError:
            return None
        if message.type is aiohttp.WSMsgType.TEXT:
            text: str = message.data
            await self._pace.keep(len(text))
            return text
        if message.type in _CONTROL:
            await self._pace.keep(0)
            if message.type is aiohttp.WSMsgType.PING:
                await self._sent(self._socket.pong(message.data))
            return None
        if message.type is aiohttp.WSMsgType.ERROR:
            if self._socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
                raise Undecodable(f"a frame of more than {MOST_BYTES} bytes")
            raise ExchangeUnreachable(f"cut off: {type(message.data).__name__}")
        if message.type is aiohttp.WSMsgType.BINARY:
            raise Undecodable("a binary frame")
        raise ExchangeUnreachable(f"closed the connection ({self._socket.close_code})")


class _Pace:
    """How much a connection brings: between two turns of others, which waiting for what is there does not give them."""

    def __init__(self) -> None:
        self._messages = self._bytes = self._in_second = 0
        self._second = 0.0

    async def keep(self, size: int) -> None:
        """Count a message, and let others have their turn where it is time. Raises Undecodable for a flood."""
        self._messages += 1
        self._bytes += size
        if self._messages < _BREATH and self._bytes < _BREATH_BYTES:
            return
        now = time.monotonic()
        if now - self._second >= 1:
            self._second, self._in_second = now, 0
        self._in_second += self._messages
        self._messages = self._bytes = 0
        if self._in_second > MOST_A_SECOND:
            raise Undecodable(f"more than {MOST_A_SECOND} messages in a second")
        await asyncio.sleep(0)
