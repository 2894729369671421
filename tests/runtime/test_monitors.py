"""Monitors of the process: the lag of its event loop."""

import asyncio
import time

from prometheus_client import CollectorRegistry

from aggregator.observability.metrics import Metrics
from aggregator.runtime.monitors import LoopLag
from tests.parts.sharing import running, until


async def test_a_blocked_event_loop_is_measured() -> None:
    """A task blocks the loop for 0.6 s: the histogram counts a lag above 0.25 s."""
    metrics = Metrics(CollectorRegistry())

    def value(name: str, **labels: str) -> float:
        return metrics.registry.get_sample_value(f"price_event_loop_lag_seconds_{name}", labels) or 0

    async with running(LoopLag(metrics).run):
        await until(lambda: value("count") >= 1)
        before = value("count") - value("bucket", le="0.25")
        await asyncio.sleep(0)
        time.sleep(0.6)  # noqa: ASYNC251  # blocking is what is measured
        await until(lambda: value("count") - value("bucket", le="0.25") > before)
        assert value("sum") > 0.25
