"""Clients of the real service never get an older price after a newer one, nor a price that history lacks."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from tests.parts.exchanges import Market, market
from tests.parts.limits import allowed
from tests.parts.process import wait_for
from tests.parts.service import Service

pytestmark = pytest.mark.real

HOT = 1.0  # interval between refreshes, in seconds
FAST = {"hot_interval": HOT, "medium_interval": 3, "cold_interval": 10}


@pytest.fixture
def own_market() -> Iterator[Market]:
    """Run private exchanges, because the test sets their clocks."""
    with market() as own:
        yield own


def test_a_restart_does_not_go_back_in_time(tmp_path: Path, own_market: Market) -> None:
    """After a restart, tickers two seconds behind are older than prices already answered, and are not served."""
    service = Service(tmp_path, exchanges=own_market.setting, **FAST).filled()
    before = newest(service)
    for exchange in own_market.exchanges.values():
        exchange.faults(clock_ahead=-1.9)  # within the ticker's largest allowed age
    assert service.process.stop() == 0
    service = Service(tmp_path, exchanges=own_market.setting, **FAST).started()
    seen: list[Decimal] = []

    def later() -> bool:
        answer = service.get("/prices/btcusdt")
        if answer.status == 200:
            seen.append(answer.json["timestamp"])
        return bool(seen) and seen[-1] > before

    wait_for(later, allowed(20), "a price later than those of before the restart")
    assert min(seen) >= before
    assert seen == sorted(seen)
    assert service.process.stop() == 0


def test_a_history_that_is_locked(tmp_path: Path, own_market: Market) -> None:
    """While the history file is locked for seconds, every price that is answered or streamed is in history later."""
    service = Service(tmp_path, exchanges=own_market.setting, **FAST).filled()
    answered: dict[Decimal, Decimal] = {}

    def read() -> Decimal:
        """Return the timestamp of the answer; 0 for none, because on a slow machine the price may have expired."""
        answer = service.get("/prices/btcusdt")
        assert answer.status in (200, 503), answer.body
        if answer.status == 503:
            return Decimal()
        answered[answer.json["timestamp"]] = answer.json["price"]
        assert isinstance(answer.json["timestamp"], Decimal)
        return answer.json["timestamp"]

    before = read()
    with closing(sqlite3.connect(tmp_path / "prices.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        wait_for(lambda: service.get("/ready").status == 503, allowed(20), "/ready to say that history takes nothing")
        assert "history" in str(service.get("/ready").json["reasons"])
        refused = service.post("/refresh/btcusdt")
        assert (refused.status, refused.json["msg"]) == (503, "History cannot take a new price now")
        assert refused.headers["retry-after"] == "1"
        end = time.monotonic() + 4 * HOT
        while time.monotonic() < end:
            read()
            time.sleep(0.05)
        other.execute("ROLLBACK")
    wait_for(lambda: read() > before, allowed(20), "new prices")
    wait_for(lambda: service.get("/ready").status == 200, allowed(20), "/ready to be well again")
    rows = service.get("/prices/btcusdt/history?limit=1000").json["prices"]
    stored = {row["timestamp"]: row["price"] for row in rows}
    assert answered.items() <= stored.items()
    assert service.process.stop() == 0
    assert "Traceback" not in service.process.output


def newest(service: Service) -> Decimal:
    """Return the timestamp that clients get now."""
    timestamp = service.get("/prices/btcusdt").json["timestamp"]
    assert isinstance(timestamp, Decimal)
    return timestamp
