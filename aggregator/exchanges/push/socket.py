"""A WebSocket connection to an exchange. Its library's exceptions end here."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import aiohttp

from aggregator.errors import Blocked, ExchangeHttpError, ExchangeTimeout, ExchangeUnreachable, RateLimited, Undecodable
from aggregator.exchanges.quiet import retry_after

MOST_BYTES = 1 << 20  # of a frame
_OPEN_SECONDS = 10.0
_SEND_SECONDS = 5.0
_CLOSE_SECONDS = 1.0
_PING_SECONDS = 20.0
_TOO_OFTEN = (418, 429)
_UNAVAILABLE_HERE = 451


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
            await socket.close()

    return connect


async def _open(http: aiohttp.ClientSession, url: str, now: Callable[[], float]) -> aiohttp.ClientWebSocketResponse:
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            return await http.ws_connect(
                url,
                heartbeat=_PING_SECONDS,
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
    except (aiohttp.ClientError, ValueError) as error:
        raise ExchangeUnreachable(type(error).__name__) from error


class _Socket:
    """`Socket` over aiohttp, which answers pings, sends its own, and keeps frames within bounds."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, text: str) -> None:
        """Send a message."""
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await self._socket.send_str(text)
        except TimeoutError as error:
            raise ExchangeTimeout("takes no messages") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise ExchangeUnreachable(type(error).__name__) from error

    async def receive(self, seconds: float) -> str | None:
        """Return the next frame."""
        try:
            message = await self._socket.receive(seconds)
        except TimeoutError:
            return None
        if message.type is aiohttp.WSMsgType.TEXT:
            text: str = message.data
            return text
        if message.type is aiohttp.WSMsgType.ERROR:
            if self._socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG:
                raise Undecodable(f"a frame of more than {MOST_BYTES} bytes")
            raise ExchangeUnreachable(f"cut off: {type(message.data).__name__}")
        if message.type is aiohttp.WSMsgType.BINARY:
            raise Undecodable("a binary frame")
        raise ExchangeUnreachable(f"closed the connection ({self._socket.close_code})")
