"""The paper strategy on the state of a processor, with stores that outlive it; and a naive replay to compare with."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry

from aggregator.live.topics import Bus
from aggregator.models import Trade
from aggregator.observability.metrics import Metrics
from aggregator.stores.events.memory import MemoryEvents, MemoryPositions
from aggregator.stores.trades.memory import MemoryTrades
from aggregator.strategy.engine import PaperStrategy
from aggregator.strategy.ports import Position
from aggregator.strategy.rules import Rules
from aggregator.strategy.signals import SIGNALS, Signal
from aggregator.trades.asset_states import AssetStates
from aggregator.trades.takeover import Takeover

T = TypeVar("T")

NOW = 1_700_000_000.0
LATER = NOW + 5000  # the time by the clock: no trade is of the future
RULES = Rules(Decimal(2), Decimal(5), Decimal(3), Decimal(1000))
LATENESS, MOST = 5.0, 10_000
PATIENT = 60.0  # seconds; a limit for a busy machine, no promise


def traded(price: object, seconds: float, number: int = 0, asset: str = "btcusdt") -> Trade:
    """Return a trade so many seconds after NOW; its id is its number."""
    return Trade(asset, Decimal(str(price)), Decimal(1), NOW + seconds, "venue", str(number))


class Gate:
    """Lets the calls of stores through; after so many half calls, if `left` is not None, the next one hangs.

    A half call is the way of a request, or of its answer.
    """

    def __init__(self) -> None:
        self.left: int | None = None
        self.is_shut = asyncio.Event()

    async def through(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call."""
        await self._half()
        result = await call()
        await self._half()
        return result

    async def _half(self) -> None:
        await asyncio.sleep(0)
        if self.left is None:
            return
        if not self.left:
            self.is_shut.set()
            await asyncio.Event().wait()
        self.left -= 1


class Gated:
    """A store behind a gate."""

    def __init__(self, store: object, gate: Gate) -> None:
        self._store = store
        self._gate = gate

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, name)
        return lambda *given, **named: self._gate.through(lambda: method(*given, **named))


class Received:
    """A listener that keeps the signals by id, and fails where two with one id differ."""

    def __init__(self) -> None:
        self.signals: dict[str, Signal] = {}

    def receive(self, signals: Sequence[Signal]) -> None:
        """Keep signals."""
        for one in signals:
            assert self.signals.setdefault(one.id, one) == one

    def connected(self) -> None:
        """Do nothing."""

    def disconnected(self) -> None:
        """Do nothing."""


class PaperTrading:
    """What outlives a process: the stores, and what listeners have received."""

    def __init__(self, assets: Sequence[str] = ("btcusdt",), rules: Rules = RULES) -> None:
        self.assets = assets
        self.rules = rules
        self.trades = MemoryTrades(1e12, lambda: LATER)
        self.stored_positions = MemoryPositions()
        self.stored_events = MemoryEvents(1e12, lambda: LATER)
        self.received = Received()
        self.bus = Bus([SIGNALS])
        self.bus.listen(SIGNALS, self.received)
        self.most_waiting = 10_000

    async def start(self) -> "PaperProcess":
        """Return a new process that has measured the stored trades again."""
        one = PaperProcess(self)
        await one.takeover.rebuild(self.assets)
        return one

    async def positions(self) -> list[Position]:
        """Return the stored positions, in the order of their entries."""
        found = await self.stored_positions.closed(None, 1_000_000)
        found += await self.stored_positions.open_positions(self.assets)
        return sorted(found, key=lambda one: (one.asset, one.entry_time))

    async def event_ids(self) -> set[str]:
        """Return the ids of the stored signals."""
        found: set[str] = set()
        for asset in self.assets:
            events = await self.stored_events.events(SIGNALS.name, asset, 0, 1e12, 1_000_000, newest_first=False)
            found |= {event.id for event in events}
        return found


class PaperProcess:
    """The strategy, and as much of a processor as it needs."""

    def __init__(self, trading: PaperTrading) -> None:
        self._trading = trading
        self.gate = Gate()
        positions: Any = Gated(trading.stored_positions, self.gate)
        events: Any = Gated(trading.stored_events, self.gate)
        self.metrics = Metrics(CollectorRegistry())
        self.strategy = PaperStrategy(
            trading.rules,
            positions,
            events,
            trading.bus,
            self.metrics.strategy,
            self.metrics.events,
            lambda: LATER,
            trading.most_waiting,
        )
        self.states = AssetStates(LATENESS, MOST, lambda: LATER, {}, {}, {}, {}, [self.strategy])
        self.takeover = Takeover(trading.trades, self.states, _once)

    async def process(self, batch: Sequence[Trade]) -> None:
        """Store and measure a micro-batch."""
        new = await self._trading.trades.add(batch)
        _, measured, _ = self.states.measure_new(new)
        self.states.analyse(measured)

    async def write(self, half_calls: int | None = None) -> None:
        """Write what waits; with `half_calls`, the process is killed after so many of the stores."""
        self.gate.left = half_calls
        running = asyncio.create_task(self.strategy.run())
        waiting = [
            asyncio.create_task(self.gate.is_shut.wait()),
            asyncio.create_task(until(lambda: not self.strategy.waiting)),
        ]
        await asyncio.wait(waiting, timeout=PATIENT, return_when=asyncio.FIRST_COMPLETED)
        assert any(one.done() for one in waiting)
        for task in (running, *waiting):
            task.cancel()
        await asyncio.gather(running, *waiting, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most PATIENT seconds."""
    async with asyncio.timeout(PATIENT):
        while not condition():
            await asyncio.sleep(0)


async def _once(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


class Naive(NamedTuple):
    """A position of the naive replay: place of the trade that opens it, and of the one that closes it, and profit."""

    entry: Trade
    exit: Trade | None
    profit: Fraction | None


def naive_replay(trades: Iterable[Trade], rules: Rules = RULES, start: float = 0.0) -> list[Naive]:
    """Return the positions of one asset's trades, in order, by fractions and without any window.

    Trades before `start` make no signal.
    """
    found: list[Naive] = []
    seen: list[Trade] = []
    opened: Trade | None = None
    last = 0.0
    for trade in trades:
        price = Fraction(trade.price)
        old = [one for one in seen if one.timestamp <= trade.timestamp - 60]
        if trade.timestamp <= last or trade.timestamp < start:
            pass
        elif opened is not None:
            entry = Fraction(opened.price)
            change = 100 * (price - entry) / entry
            if change >= Fraction(rules.gain) or (rules.stop is not None and change <= -Fraction(rules.stop)):
                found[-1] = Naive(opened, trade, _quantity(opened, rules) * (price - entry))
                opened, last = None, trade.timestamp
        elif old and 100 * (price / Fraction(old[-1].price) - 1) <= -Fraction(rules.drop) and _quantity(trade, rules):
            found.append(Naive(trade, None, None))
            opened, last = trade, trade.timestamp
        seen.append(trade)
    return found


def _quantity(trade: Trade, rules: Rules) -> Fraction:
    return Fraction(int(Fraction(rules.amount) / Fraction(trade.price) * 10**8), 10**8)


def position_of(row: Mapping[str, Any]) -> Position:
    """Return the position in a row of JSON or CSV."""

    def number(name: str) -> Decimal | None:
        return Decimal(row[name]) if row.get(name) else None

    exit_time = row.get("exit_time")
    return Position(
        row["id"],
        row["asset"],
        Decimal(row["quantity"]),
        Decimal(row["entry_price"]),
        float(row["entry_time"]),
        number("exit_price"),
        float(exit_time) if exit_time else None,
        number("profit"),
        row.get("exit_reason") or None,
    )


def assert_same(found: Sequence[Position], expected: Sequence[Naive]) -> None:
    """Assert that positions are those of the naive replay, to the digit."""
    assert [_told(one) for one in found] == [
        (
            one.entry.price,
            one.entry.timestamp,
            None if one.exit is None else one.exit.price,
            None if one.exit is None else one.exit.timestamp,
            one.profit,
        )
        for one in expected
    ]


def _told(one: Position) -> tuple[object, ...]:
    profit = None if one.profit is None else Fraction(one.profit)
    return one.entry_price, one.entry_time, one.exit_price, one.exit_time, profit
