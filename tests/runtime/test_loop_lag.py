"""The event loop's lag, seen from within."""

import asyncio
import time

from prometheus_client import CollectorRegistry

from aggregator.observability.metrics import Metrics
from aggregator.runtime.loop_lag import LoopLag
from tests.parts.sharing import running, until


async def test_a_loop_that_is_held_up_shows() -> None:
    """Somebody computes for six tenths of a second; all the others have to wait, and the metric says so."""
    metrics = Metrics(CollectorRegistry())

    def value(name: str, **labels: str) -> float:
        return metrics.registry.get_sample_value(f"price_event_loop_lag_seconds_{name}", labels) or 0

    async with running(LoopLag(metrics).run):
        await until(lambda: value("count") >= 1)
        before = value("count") - value("bucket", le="0.25")
        await asyncio.sleep(0)
        time.sleep(0.6)  # noqa: ASYNC251  # that is what is to be seen
        await until(lambda: value("count") - value("bucket", le="0.25") > before)
        assert value("sum") > 0.25
