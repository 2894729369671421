"""WebSocket connections of one venue's feed: subscriptions, their receipts, and frames as bytes.

A client sends

    {"op":"subscribe","symbols":["btcusdt","ethusdt"]}      or "unsubscribe"

and receives

    {"type":"subscribed","symbols":["btcusdt"]}             or "unsubscribed": the receipt, of the symbols accepted
    {"type":"error","symbol":"zzz","msg":"Asset not found"} for each symbol that is refused
    {"type":"error","msg":"..."}                            for a message that cannot be read

A connection has at most 1,000 subscriptions, and so many symbols may be in a message of at most 64 KiB. A client that
leaves 4 MiB unread is cut off.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Literal
from zlib import crc32

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from .faults import FaultSwitch

MOST_SYMBOLS = 1000  # subscriptions of a connection, and symbols in a message
LONGEST_MESSAGE = 65_536  # bytes
MOST_UNREAD = 4 << 20  # bytes that a connection has not taken
MOST_DELAYED = 64 << 20  # bytes of a connection that the fault latency_ms holds back
MUTE_SECONDS = 10.0  # of a connection that the fault hang_rate affects

_TEXT, _CLOSE = 0x81, 0x88  # final frame, and its kind (RFC 6455, section 5.2)
_SHORT, _MEDIUM = 126, 1 << 16  # bytes from which a length takes 2 and 8 bytes


class _Message(msgspec.Struct):
    op: Literal["subscribe", "unsubscribe"]
    symbols: Annotated[list[str], msgspec.Meta(max_length=MOST_SYMBOLS)]


_message = msgspec.json.Decoder(_Message)


def frame(payload: bytes, kind: int = _TEXT) -> bytes:
    """Return a WebSocket frame. Those of a server are not masked, so all connections can get the same bytes."""
    size = len(payload)
    if size < _SHORT:
        return bytes((kind, size)) + payload
    if size < _MEDIUM:
        return bytes((kind, 126)) + size.to_bytes(2, "big") + payload
    return bytes((kind, 127)) + size.to_bytes(8, "big") + payload


GARBAGE = frame(b'<html>{"price":')  # is not JSON


class Connection:
    """One connection and its subscriptions, by slot."""

    def __init__(self, transport: asyncio.WriteTransport, slots: int) -> None:
        self.symbols: list[dict[str, None]] = [{} for _ in range(slots)]
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._muted_until = 0.0
        self._delayed = 0  # bytes

    @property
    def count(self) -> int:
        """The number of subscriptions."""
        return sum(map(len, self.symbols))

    def send(self, data: bytes, delay: float) -> None:
        """Write complete frames, after `delay` seconds. Cuts a connection off that takes too little."""
        if not data:
            return
        if not delay:
            self._write(data)
            return
        self._delayed += len(data)
        if self._delayed > MOST_DELAYED:
            self.cut()
        else:
            self._loop.call_later(delay, self._write_delayed, data)

    def mute(self) -> None:
        """Send nothing for a while."""
        self._muted_until = self._loop.time() + MUTE_SECONDS

    def cut(self) -> None:
        """Reset the connection."""
        self._transport.abort()

    def close(self, code: WSCloseCode) -> None:
        """Send a close frame and end the connection."""
        if not self._transport.is_closing():
            self._transport.write(frame(code.to_bytes(2, "big"), _CLOSE))
            self._transport.close()

    def _write_delayed(self, data: bytes) -> None:
        self._delayed -= len(data)
        self._write(data)

    def _write(self, data: bytes) -> None:
        if self._transport.is_closing() or self._loop.time() < self._muted_until:
            return
        if self._transport.get_write_buffer_size() > MOST_UNREAD:
            self.cut()
        else:
            self._transport.write(data)


class Connections:
    """All connections of one feed, whose symbols are divided into slots. Iteration yields each connection."""

    def __init__(self, is_listed: Callable[[str], bool], slots: int = 1) -> None:
        self._joined = asyncio.Event()
        self._is_listed = is_listed
        self._slots = slots
        self._connections: set[Connection] = set()

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._connections)

    def __len__(self) -> int:
        return len(self._connections)

    async def any(self) -> None:
        """Wait until there is a connection."""
        while not self._connections:
            self._joined.clear()
            await self._joined.wait()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve a connection until it ends."""
        socket = web.WebSocketResponse(max_msg_size=LONGEST_MESSAGE, compress=False)
        await socket.prepare(request)
        if request.transport is None:
            return socket
        connection = Connection(request.transport, self._slots)
        self._connections.add(connection)
        self._joined.set()
        try:
            async for message in socket:
                answers = self._answers(connection, message.data) if message.type is WSMsgType.TEXT else ()
                connection.send(b"".join(frame(msgspec.json.encode(answer)) for answer in answers), 0)
        finally:
            self._connections.discard(connection)
        return socket

    def close(self) -> None:
        """End every connection."""
        for connection in self._connections:
            connection.close(WSCloseCode.GOING_AWAY)

    def disturb(self, switch: FaultSwitch) -> None:
        """Apply the faults of whole connections; called once in a period."""
        faults, occurs = switch.faults, switch.occurs
        for connection in self._connections:
            if occurs(faults.drop_rate):
                connection.cut()
            elif occurs(faults.hang_rate):
                connection.mute()
            elif occurs(faults.error_rate):
                connection.close(WSCloseCode.INTERNAL_ERROR)

    def _answers(self, connection: Connection, text: str) -> Iterable[Mapping[str, object]]:
        """Carry out a message of the client; return the receipt and the errors."""
        try:
            asked = _message.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            return ({"type": "error", "msg": f"The message is not understood: {error}"},)
        symbols = dict.fromkeys(symbol.lower() for symbol in asked.symbols)
        if asked.op == "unsubscribe":
            return (self._unsubscribe(connection, symbols),)
        refused = {symbol: reason for symbol in symbols if (reason := self._subscribe(connection, symbol))}
        accepted = [symbol for symbol in symbols if symbol not in refused]
        receipt: Mapping[str, object] = {"type": "subscribed", "symbols": accepted}
        return (receipt, *({"type": "error", "symbol": name, "msg": reason} for name, reason in refused.items()))

    def _subscribe(self, connection: Connection, symbol: str) -> str:
        """Add a subscription; return why it is refused, empty if it is not."""
        if not self._is_listed(symbol):
            return "Asset not found"
        wanted = connection.symbols[self._slot(symbol)]
        if symbol not in wanted and connection.count >= MOST_SYMBOLS:
            return f"At most {MOST_SYMBOLS} symbols on a connection"
        wanted[symbol] = None
        return ""

    def _unsubscribe(self, connection: Connection, symbols: Iterable[str]) -> Mapping[str, object]:
        removed = [symbol for symbol in symbols if symbol in connection.symbols[self._slot(symbol)]]
        for symbol in removed:
            del connection.symbols[self._slot(symbol)][symbol]
        return {"type": "unsubscribed", "symbols": removed}

    def _slot(self, symbol: str) -> int:
        return crc32(symbol.encode()) % self._slots
