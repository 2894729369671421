"""The paper strategy of a process that processes trades."""

import msgspec
import structlog

from aggregator.live.topics import Publisher
from aggregator.runtime.process import Process
from aggregator.strategy.engine import PaperStrategy
from aggregator.strategy.ports import PositionStore
from aggregator.strategy.rules import Rules
from aggregator.trades.ports import EventStore

_DRAIN_SECONDS = 2.0  # for what waits to be written when the process stops


async def open_strategy(
    process: Process, positions: PositionStore, events: EventStore, publisher: Publisher
) -> PaperStrategy:
    """Return the paper strategy; it runs from now on, and a stop waits for what it has to write."""
    settings, metrics = process.settings, process.metrics
    rules = Rules(settings.strategy_drop, settings.strategy_gain, settings.strategy_stop, settings.strategy_amount)
    strategy = PaperStrategy(rules, positions, events, publisher, metrics.strategy, metrics.events, process.clock.now)
    await process.keep_running(strategy)
    process.stack.push_async_callback(strategy.drain, _DRAIN_SECONDS)
    metrics.before_text(strategy.report)
    structlog.get_logger().info(
        "paper_trading", **{name: str(value) for name, value in msgspec.structs.asdict(rules).items()}
    )
    return strategy
