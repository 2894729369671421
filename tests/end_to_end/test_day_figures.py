"""The 24-hour figures of running services are those of the stored prices, in one process and in several."""

from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.workers import Workers
from tests.parts.exchanges import Market
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service
from tests.parts.short_list import INTERVALS, SIZES, write_symbols
from tests.parts.stored_day import HIGH, LOW, REFERENCE, write_day

pytestmark = pytest.mark.real

PATH = "/prices/btcusdt"


def known(service: Service) -> bool:
    """Return whether the service answers with figures."""
    answer = service.get(f"{PATH}?details=true")
    return answer.status == 200 and answer.json["figures_reason"] is None


def check(service: Service) -> None:
    """Compare the figures with a recount over the history that the service shows."""
    shown = service.get(f"{PATH}?details=true").json
    since = shown["figures_since"]
    before = service.get(f"{PATH}/at?time={since}").json["price"]
    rows = service.get(f"{PATH}/history?start={since}&end={shown['timestamp']}&limit=1000").json["prices"]
    within = [row["price"] for row in rows if row["timestamp"] > since]
    assert len(within) < 1000
    assert before == Decimal(REFERENCE)
    assert shown["change_24h"] == shown["price"] - before
    assert (shown["high_24h"], shown["low_24h"]) == (max(within), min(within)) == (Decimal(HIGH), Decimal(LOW))
    volumes = [one["volume"] for one in service.get(f"{PATH}/sources").json["sources"]]
    assert shown["volume_24h"] == pytest.approx(sum(volumes), rel=Decimal("0.1"))  # a later price may have other ones


def test_after_a_restart_the_figures_are_back(tmp_path: Path, market: Market) -> None:
    """They are read from history, hottest first; an asset without an old price says why it has none."""
    write_day(tmp_path)
    settings = {"exchanges": market.setting, "symbols_file": write_symbols(tmp_path), **SIZES, **INTERVALS}
    for _ in range(2):
        service = Service(tmp_path, **settings).filled()
        wait_for(partial(known, service), what="figures")
        check(service)
        (listed,) = service.get("/prices?assets=ethusdt&details=true").json["prices"]
        assert (listed["high_24h"], listed["figures_reason"]) in ((None, "history_too_young"), (None, "loading"))
        assert service.process.stop() == 0
        assert "Traceback" not in service.process.output


def test_every_process_has_them(tmp_path: Path, market: Market, redis_alone: RedisServer) -> None:
    """API workers, whose prices come from the refresher over Redis."""
    write_day(tmp_path)
    workers = Workers(tmp_path, redis_alone, write_symbols(tmp_path), exchanges=market.setting).ready()
    wait_for(lambda: all(known(workers) for _ in range(8)), what="figures in both workers")
    for _ in range(8):  # of both: each call opens a connection
        check(workers)
    assert workers.process.stop() == 0
