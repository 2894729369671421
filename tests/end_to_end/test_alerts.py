"""Rules of alerts over a mock market, in one process and in several on one Redis."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parts import redis_server
from tests.parts.exchanges import Market, market
from tests.parts.process import wait_for
from tests.parts.service import Answer, Service, call

pytestmark = pytest.mark.real

SYMBOLS = "symbol,base,quote\nbtcusdt,btc,usdt\nethusdt,eth,usdt\n"
SETTINGS = {"hot_size": 2, "medium_size": 0, "hot_interval": 0.5}
SPREAD = {"asset": "*", "kind": "spread", "above": 0.000001, "cooldown": 3600}


@pytest.fixture(scope="module")
def exchanges() -> Iterator[Market]:
    """Run three exchanges, whose prices always differ a little."""
    with market() as running:
        yield running


def symbols(folder: Path) -> Path:
    """Return the file of two assets."""
    path = folder / "symbols.csv"
    path.write_text(SYMBOLS)
    return path


def add(service: Service, rule: dict[str, Any]) -> Answer:
    """Add a rule."""
    return call("POST", f"{service.url}/alerts", {"Content-Type": "application/json"}, json.dumps(rule).encode())


def fired(service: Service, asset: str) -> list[Any]:
    """Return the alerts of an asset."""
    found: list[Any] = service.get(f"/alerts/fired/{asset}").json["alerts"]
    return found


def test_a_rule_fires_once_for_each_asset(exchanges: Market, tmp_path: Path) -> None:
    """It is stored, counted and in the snapshot of the topic; a deleted rule fires no more."""
    service = Service(tmp_path, symbols_file=symbols(tmp_path), exchanges=exchanges.setting, **SETTINGS).started()
    rule = add(service, SPREAD).json
    wait_for(lambda: fired(service, "btcusdt") and fired(service, "ethusdt"), what="alerts of both assets")
    (alert,) = fired(service, "btcusdt")
    assert (alert["rule"], alert["kind"], alert["asset"]) == (rule["id"], "spread", "btcusdt")
    assert alert["value"] > 0
    assert service.metric('alerts_fired_total{kind="spread"}') == 2
    assert service.metric('analytics_events_stored_total{topic="alerts"}') == 2
    assert service.metric("alerts_rules") == 1
    assert call("DELETE", f"{service.url}/alerts/{rule['id']}").status == 200
    assert service.get("/alerts").json == {"rules": []}
    assert service.metric("alerts_rules") == 0
    assert service.process.stop() == 0
    assert "Traceback" not in service.process.output


def test_of_two_processes_one_passes_alerts_on(exchanges: Market, tmp_path: Path) -> None:
    """Both evaluate a rule that they share; the one with the lease stores and publishes what it finds."""
    with redis_server.alone() as server:
        settings = SETTINGS | {"cache_url": server.url, "exchanges": exchanges.setting}
        settings |= {"symbols_file": symbols(tmp_path), "events_url": f"sqlite:///{tmp_path}/events.db"}
        services = [Service(tmp_path, **settings).started() for _ in range(2)]
        wait_for(lambda: all(one.get("/prices/btcusdt").status == 200 for one in services), what="prices")
        rule = add(services[0], SPREAD).json
        for one in services:
            wait_for(lambda one=one: one.get("/alerts").json["rules"] == [rule], what="the rule")  # type: ignore[misc]  # a default
            wait_for(lambda one=one: fired(one, "btcusdt"), what="an alert")  # type: ignore[misc]  # a default
        counts = [one.metric('alerts_fired_total{kind="spread"}') for one in services]
        assert sorted(counts) == [0, 2]
        for one in services:
            assert len(fired(one, "btcusdt")) == 1
            assert one.process.stop() == 0
            assert "Traceback" not in one.process.output
