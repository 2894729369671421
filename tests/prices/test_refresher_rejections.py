"""Rejected tickers are counted by the refresher, and logged once."""

from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from aggregator.prices.rejections import LEAST
from tests.parts.examples import BTC
from tests.prices.refreshing import Parts


@pytest.fixture
async def parts() -> AsyncIterator[Parts]:
    """Return a refresher with three exchanges."""
    parts = Parts()
    yield parts
    await parts.refresher.close(0.1)


async def test_tickers_are_counted_as_used_or_rejected(parts: Parts) -> None:
    """Each ticker counts once, as used or rejected; the series exist from the start."""
    assert parts.metrics.registry.get_sample_value("price_tickers_used_total", {"exchange": "exchange3"}) == 0
    parts.exchanges[2].price = "300"
    await parts.refresher.refresh(BTC, "force")
    used = [parts.value("price_tickers_used_total", exchange=one.name) for one in parts.exchanges]
    assert used == [1, 1, 0]
    assert parts.value("price_tickers_rejected_total", exchange="exchange3", reason="outlier") == 1


async def test_outcomes_are_in_the_figures(parts: Parts) -> None:
    """Each exchange's window has what pricing made of its tickers, and how far they were from our price."""
    parts.exchanges[1].price, parts.exchanges[2].price = "100", "300"
    await parts.refresher.refresh(BTC, "force")
    good, wrong = (parts.figures.of(name, parts.clock()) for name in ("exchange1", "exchange3"))
    assert (good.used, good.left_out, good.compared, good.distance) == (1, {}, 1, 0)
    assert (wrong.used, wrong.left_out, wrong.compared, wrong.distance) == (0, {"outlier": 1}, 1, 2)


async def test_no_line_per_price() -> None:
    """An exchange with wrong prices is logged once, and once when it has recovered."""
    now = 0.0
    parts = Parts(clock=lambda: now)
    with capture_logs() as logs:
        for price in ["101"] * 20 + ["300"] * 60 + ["101"] * 60:
            parts.exchanges[2].price = price
            await parts.refresher.refresh(BTC, "force")
            now += 10 / LEAST
    await parts.refresher.close(0.1)
    told = [line for line in logs if line["event"].startswith("tickers_")]
    assert told == [
        {
            "event": "tickers_rejected",
            "exchange": "exchange3",
            "reason": "outlier",
            "assets": 1,
            "of": 1,
            "log_level": "warning",
        },
        {"event": "tickers_accepted", "exchange": "exchange3", "log_level": "info"},
    ]
