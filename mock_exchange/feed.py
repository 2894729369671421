"""The WebSocket feed of one venue: pushes each subscribed symbol's ticker once in a period.

At `/mock/ws` a client sends

    {"op":"subscribe","symbols":["btcusdt","ethusdt"]}      or "unsubscribe"

and receives

    {"type":"subscribed","symbols":["btcusdt"]}             or "unsubscribed": the receipt, of the symbols accepted
    {"type":"error","symbol":"zzz","msg":"Asset not found"} for each symbol that is refused
    {"type":"error","msg":"..."}                            for a message that cannot be read
    {"type":"ticker","sequence":7,"symbol":"btcusdt","price":79850.12,"volume":1234567.89,"timestamp":1696118400.123}

`sequence` grows from one ticker of a symbol to the next. A connection has at most 1,000 subscriptions, and so many
symbols may be in a message of at most 64 KiB. A reader that leaves 4 MiB unread is cut off.

A period has up to 20 slots, and a symbol is pushed in one of them, so that the frames of a period do not come all at
once. In each slot a symbol's frame is built once for all connections, and a connection gets all its frames in one
write. With 1,000 symbols twenty times a second, a ticker took 20 to 28 us of CPU on a busy machine.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from itertools import cycle
from typing import Annotated, Literal
from zlib import crc32

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from .faults import FaultSwitch
from .ticker import Ticker

PATH = "/mock/ws"
PUSH_MS, SHORTEST_PUSH_MS, LONGEST_PUSH_MS = 1000, 10, 60_000  # the period; its default, and its bounds
MOST_SYMBOLS = 1000  # subscriptions of a connection, and symbols in a message
LONGEST_MESSAGE = 65_536  # bytes
MOST_UNREAD = 4 << 20  # bytes that a connection has not taken
MOST_DELAYED = 64 << 20  # bytes of a connection that the fault latency_ms holds back
MUTE_SECONDS = 10.0  # of a connection that the fault hang_rate affects
MOST_SLOTS, SHORTEST_SLOT_MS = 20, 20

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


GARBAGE = frame(b'<html>{"price":')


class _Reader:
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


class Feed:
    """All connections to the feed of one venue. `quote` returns the ticker of a listed symbol now."""

    def __init__(
        self,
        is_listed: Callable[[str], bool],
        quote: Callable[[str], Ticker],
        switch: FaultSwitch,
        push_ms: float,
    ) -> None:
        self._is_listed = is_listed
        self._quote = quote
        self._switch = switch
        self._slots = max(1, min(MOST_SLOTS, int(push_ms / SHORTEST_SLOT_MS)))
        self._period = push_ms / 1000
        self._readers: set[_Reader] = set()
        self._joined = asyncio.Event()
        self._sequence = 0
        self._overtaken: dict[str, bytes] = {}  # by symbol: frames to send after the next one

    async def run(self) -> None:
        """Push until cancelled. Slots that are late are made up for, but at most those of one period."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for slot in cycle(range(self._slots)):
            if not self._readers:
                self._joined.clear()
                await self._joined.wait()
                due = loop.time()
            due = max(due + self._period / self._slots, loop.time() - self._period)
            await asyncio.sleep(due - loop.time())
            self._push(slot)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Serve a connection until it ends."""
        socket = web.WebSocketResponse(max_msg_size=LONGEST_MESSAGE, compress=False)
        await socket.prepare(request)
        if request.transport is None:
            return socket
        reader = _Reader(request.transport, self._slots)
        self._readers.add(reader)
        self._joined.set()
        try:
            async for message in socket:
                answers = self._answers(reader, message.data) if message.type is WSMsgType.TEXT else ()
                reader.send(b"".join(frame(msgspec.json.encode(answer)) for answer in answers), 0)
        finally:
            self._readers.discard(reader)
        return socket

    def close(self) -> None:
        """End every connection."""
        for reader in self._readers:
            reader.close(WSCloseCode.GOING_AWAY)

    def _answers(self, reader: _Reader, text: str) -> Iterable[Mapping[str, object]]:
        """Carry out a message of the client; return the receipt and the errors."""
        try:
            asked = _message.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            return ({"type": "error", "msg": f"The message is not understood: {error}"},)
        symbols = dict.fromkeys(symbol.lower() for symbol in asked.symbols)
        if asked.op == "unsubscribe":
            return (self._unsubscribe(reader, symbols),)
        refused = {symbol: reason for symbol in symbols if (reason := self._subscribe(reader, symbol))}
        accepted = [symbol for symbol in symbols if symbol not in refused]
        receipt: Mapping[str, object] = {"type": "subscribed", "symbols": accepted}
        return (receipt, *({"type": "error", "symbol": name, "msg": reason} for name, reason in refused.items()))

    def _subscribe(self, reader: _Reader, symbol: str) -> str:
        """Add a subscription; return why it is refused, empty if it is not."""
        if not self._is_listed(symbol):
            return "Asset not found"
        wanted = reader.symbols[self._slot(symbol)]
        if symbol not in wanted and reader.count >= MOST_SYMBOLS:
            return f"At most {MOST_SYMBOLS} symbols on a connection"
        wanted[symbol] = None
        return ""

    def _unsubscribe(self, reader: _Reader, symbols: Iterable[str]) -> Mapping[str, object]:
        removed = [symbol for symbol in symbols if symbol in reader.symbols[self._slot(symbol)]]
        for symbol in removed:
            del reader.symbols[self._slot(symbol)][symbol]
        return {"type": "unsubscribed", "symbols": removed}

    def _slot(self, symbol: str) -> int:
        return crc32(symbol.encode()) % self._slots

    def _push(self, slot: int) -> None:
        if slot == 0:
            for reader in self._readers:
                self._disturb(reader)
        self._sequence += 1
        wanted: dict[str, None] = {}
        for reader in self._readers:
            wanted |= reader.symbols[slot]
        frames = {symbol: self._frames(symbol) for symbol in wanted}
        delay = self._switch.faults.latency_ms / 1000
        for reader in self._readers:
            reader.send(b"".join([frames[symbol] for symbol in reader.symbols[slot]]), delay)

    def _disturb(self, reader: _Reader) -> None:
        """Apply the faults of whole connections, once in a period."""
        faults, occurs = self._switch.faults, self._switch.occurs
        if occurs(faults.drop_rate):
            reader.cut()
        elif occurs(faults.hang_rate):
            reader.mute()
        elif occurs(faults.error_rate):
            reader.close(WSCloseCode.INTERNAL_ERROR)

    def _frames(self, symbol: str) -> bytes:
        """Return what is sent of a symbol now, with the faults of single tickers."""
        faults, occurs = self._switch.faults, self._switch.occurs
        if occurs(faults.garbage_rate):
            return GARBAGE
        ticker = self._quote(symbol).json()
        found = frame(f'{{"type":"ticker","sequence":{self._sequence},{ticker[1:]}'.encode())
        found *= min(1 + faults.flood + occurs(faults.duplicate_rate), max(1, MOST_UNREAD // len(found)))
        overtaken = self._overtaken.pop(symbol, b"")
        if not overtaken and occurs(faults.reorder_rate):
            self._overtaken[symbol] = found
            return b""
        return found + overtaken
