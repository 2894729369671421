"""A client of the mock exchange's WebSocket feeds."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import aiohttp

from tests.parts.limits import allowed

PATH = "/mock/ws"
TRADES = "/mock/trades"
SECONDS = allowed(10.0)
ONE, TWO = "btcusdt", "ethusdt"
Message = dict[str, Any]


class Subscriber:
    """A client of a feed that keeps what it receives."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.tickers: list[Message] = []
        self.frames: list[list[Message]] = []  # the trades of each frame
        self.others: list[Message] = []
        self.junk: list[str] = []

    async def send(self, op: str, *symbols: str) -> None:
        """Send a message."""
        await self.socket.send_json({"op": op, "symbols": symbols})

    async def until(self, condition: Callable[[], bool]) -> None:
        """Receive until the condition holds. Fails at the end of the connection."""
        async with asyncio.timeout(SECONDS):
            while not condition():
                message = await self.socket.receive()
                assert message.type is aiohttp.WSMsgType.TEXT, message
                self._keep(message.data)

    async def ended(self) -> int | None:
        """Receive until the connection ends; return the code of the close frame, None if there was none."""
        async with asyncio.timeout(SECONDS):
            while (message := await self.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                self._keep(message.data)
        return message.data if message.type is aiohttp.WSMsgType.CLOSE else None

    async def tickers_of(self, symbol: str, count: int) -> list[Message]:
        """Receive until there are so many tickers of the symbol; return all of them."""
        await self.until(lambda: sum(one["symbol"] == symbol for one in self.tickers) >= count)
        return [one for one in self.tickers if one["symbol"] == symbol]

    @property
    def trades(self) -> list[Message]:
        """The trades of all frames."""
        return [trade for frame in self.frames for trade in frame]

    def _keep(self, text: str) -> None:
        try:
            message = json.loads(text, parse_float=Decimal, parse_int=Decimal)
        except ValueError:
            self.junk.append(text)
            return
        if "trades" in message:
            self.frames.append(message["trades"])
        else:
            (self.tickers if message["type"] == "ticker" else self.others).append(message)


@contextlib.asynccontextmanager
async def connected(session: aiohttp.ClientSession, url: str, path: str = PATH) -> AsyncIterator[Subscriber]:
    """Open a connection to a feed of the exchange at `url`."""
    async with session.ws_connect(url + path) as socket:
        yield Subscriber(socket)
