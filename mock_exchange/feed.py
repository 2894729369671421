"""The WebSocket feed of one venue: pushes each subscribed symbol's ticker once in a period.

A client subscribes at `/mock/ws` (see `connections`), and receives

    {"type":"ticker","sequence":7,"symbol":"btcusdt","price":79850.12,"volume":1234567.89,"timestamp":1696118400.123}

`sequence` grows from one ticker of a symbol to the next.

A period has up to 20 slots, and a symbol is pushed in one of them, so that the frames of a period do not come all at
once. In each slot a symbol's frame is built once for all connections, and a connection gets all its frames in one
write. With 1,000 symbols twenty times a second, a ticker took 20 to 28 us of CPU on a busy machine.
"""

import asyncio
from collections.abc import Callable
from itertools import cycle

from .connections import GARBAGE, MOST_UNREAD, Connections, frame
from .faults import FaultSwitch
from .ticker import Ticker

PATH = "/mock/ws"
PUSH_MS, SHORTEST_PUSH_MS, LONGEST_PUSH_MS = 1000, 10, 60_000  # the period; its default, and its bounds
MOST_SLOTS, SHORTEST_SLOT_MS = 20, 20


class Feed:
    """The pushed tickers of one venue. `quote` returns the ticker of a listed symbol now."""

    def __init__(
        self,
        is_listed: Callable[[str], bool],
        quote: Callable[[str], Ticker],
        switch: FaultSwitch,
        push_ms: float,
    ) -> None:
        self._quote = quote
        self._switch = switch
        self._slots = max(1, min(MOST_SLOTS, int(push_ms / SHORTEST_SLOT_MS)))
        self._period = push_ms / 1000
        self.connections = Connections(is_listed, self._slots)
        self._sequence = 0
        self._overtaken: dict[str, bytes] = {}  # by symbol: frames to send after the next one

    async def run(self) -> None:
        """Push until cancelled. Slots that are late are made up for, but at most those of one period."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for slot in cycle(range(self._slots)):
            if not self.connections:
                await self.connections.any()
                due = loop.time()
            due = max(due + self._period / self._slots, loop.time() - self._period)
            await asyncio.sleep(due - loop.time())
            self._push(slot)

    def _push(self, slot: int) -> None:
        if slot == 0:
            self.connections.disturb(self._switch)
        self._sequence += 1
        wanted: dict[str, None] = {}
        for connection in self.connections:
            wanted |= connection.symbols[slot]
        frames = {symbol: self._frames(symbol) for symbol in wanted}
        delay = self._switch.faults.latency_ms / 1000
        for connection in self.connections:
            connection.send(b"".join([frames[symbol] for symbol in connection.symbols[slot]]), delay)

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
