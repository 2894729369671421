"""The WebSocket feed of one venue's trades.

A client subscribes at `/mock/trades` (see `connections`), and receives about every 50 ms, while there are any,

    {"trades":[{"id":"352880000002460003","symbol":"btcusdt","price":79850.12,"volume":0.25,"side":"buy",
                "timestamp":1764400000.123456},...]}

A frame has at most 500 trades, oldest first but for those that a fault has delayed. Trades are made, and the last ones
kept, while there is no connection too.
"""

import asyncio
import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from .connections import GARBAGE, Connections, frame
from .faults import FaultSwitch
from .recent_trades import RecentTrades
from .trades import BLOCKS, IDS, Trade, block_at, blocks_to_make

PATH = "/mock/trades"
MOST_IN_FRAME = 500
MOST_DELAYED = 100_000  # trades that wait; further ones are sent at once, and not twice


class Line(NamedTuple):
    """A trade, and its JSON."""

    trade: Trade
    text: str


class TradeFeed:
    """The trades of one venue. `make` returns those of a block of time, `clock` unix seconds.

    `at_once` is the number of blocks that are made and sent together.
    """

    def __init__(
        self,
        is_listed: Callable[[str], bool],
        make: Callable[[int], Sequence[Trade]],
        switch: FaultSwitch,
        clock: Callable[[], float],
        at_once: int = 1,
    ) -> None:
        self._make = make
        self._switch = switch
        self._clock = clock
        self._at_once = at_once
        self.connections = Connections(is_listed)
        self.recent = RecentTrades()
        self._delayed = Delayed()
        self._spoilt = 0  # frames that got an invalid trade

    async def run(self) -> None:
        """Make and push trades until cancelled: those of a block once it has ended."""
        first = block_at(self._clock())
        while True:
            await asyncio.sleep(min(1.0, max(0.0, (first + self._at_once) / BLOCKS - self._clock())))
            now = self._clock()
            blocks = blocks_to_make(first, block_at(now))
            if blocks.stop // BLOCKS > first // BLOCKS:
                self.connections.disturb(self._switch)
            lines: list[Line] = []
            for block in blocks:
                lines += self._made(block)
                await asyncio.sleep(0)  # many blocks, after a pause, must not hold up the answers to calls
            self._push(self._due(lines, now))
            first = blocks.stop

    def _made(self, block: int) -> list[Line]:
        """Make and keep the trades of a block. The fault `price` is not kept: it may be long, or no JSON."""
        trades = self._make(block)
        for trade in trades:
            self.recent.add(trade, trade.json())
        return [Line(trade, trade.json(self._switch.faults.price)) for trade in trades]

    def _due(self, made: Sequence[Line], now: float) -> list[Line]:
        """Return what to send now: what was made, without late trades, and what was delayed until now."""
        faults, occurs = self._switch.faults, self._switch.occurs
        delayed = self._delayed.due(now)
        prompt = []
        for line in made:
            at = now + faults.trade_late_seconds * occurs(faults.trade_late)
            if at == now or not self._delayed.add(at, line):
                prompt.append(line)
            if occurs(faults.trade_duplicates):
                self._delayed.add(at, line)
        return prompt + delayed

    def _push(self, lines: Sequence[Line]) -> None:
        delay = self._switch.faults.latency_ms / 1000
        for connection in self.connections:
            (wanted,) = connection.symbols
            mine = [line for line in lines if line.trade.symbol in wanted]
            connection.send(b"".join(self._frames(mine)), delay)

    def _frames(self, lines: Sequence[Line]) -> Iterator[bytes]:
        """Yield the frames of some trades, with the faults of frames."""
        faults, occurs = self._switch.faults, self._switch.occurs
        for start in range(0, len(lines), MOST_IN_FRAME):
            part = lines[start : start + MOST_IN_FRAME]
            texts = [line.text for line in part]
            if occurs(faults.trade_garbage):
                texts.append(self._invalid(part[-1].trade))
            found = frame(f'{{"trades":[{",".join(texts)}]}}'.encode())
            yield GARBAGE if occurs(faults.garbage_rate) else found

    def _invalid(self, sound: Trade) -> str:
        """Return an invalid trade with an id of its own; the three kinds take turns."""
        self._spoilt += 1
        trade = sound._replace(id=sound.id + IDS // 2)
        kinds = (
            trade.json("0"),
            trade.json().replace('"price":', '"cost":'),
            trade._replace(symbol="nosuchpair").json(),
        )
        return kinds[self._spoilt % len(kinds)]


class Delayed:
    """Trades that are sent later."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Line]] = []  # when to send, a number that grows, what
        self._number = 0

    def add(self, at: float, line: Line) -> bool:
        """Keep a trade until `at`; return False, and do nothing, if too many wait."""
        if len(self._heap) >= MOST_DELAYED:
            return False
        self._number += 1
        heapq.heappush(self._heap, (at, self._number, line))
        return True

    def due(self, now: float) -> list[Line]:
        """Return the trades whose time has come, and keep them no longer."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            found.append(heapq.heappop(self._heap)[2])
        return found
