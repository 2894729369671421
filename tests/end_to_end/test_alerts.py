"""Rules of alerts over a mock market, in one process and in several on one Redis."""

import json
from collections.abc import Iterator
from functools import partial
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
FIRED = 'alerts_fired_total{kind="spread"}'
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
    wait_for(lambda: bool(fired(service, "btcusdt") and fired(service, "ethusdt")), what="alerts of both assets")
    (alert,) = fired(service, "btcusdt")
    assert (alert["rule"], alert["kind"], alert["asset"]) == (rule["id"], "spread", "btcusdt")
    assert alert["value"] > 0
    assert service.metric(FIRED) == 2
    assert service.metric('analytics_events_stored_total{topic="alerts"}') == 2
    assert service.metric("alerts_rules") == 1
    assert call("DELETE", f"{service.url}/alerts/{rule['id']}").status == 200
    assert service.get("/alerts").json == {"rules": []}
    assert service.metric("alerts_rules") == 0
    assert service.process.stop() == 0
    assert "Traceback" not in service.process.output


def test_of_two_processes_one_passes_alerts_on(exchanges: Market, tmp_path: Path) -> None:
    """Both evaluate a shared rule; one stores and publishes what it finds. When that is killed, the other does."""
    with redis_server.alone() as server:
        settings: dict[str, object] = {**SETTINGS, "cache_url": server.url, "exchanges": exchanges.setting}
        settings |= {"symbols_file": symbols(tmp_path), "events_url": f"sqlite:///{tmp_path}/events.db"}
        services = [Service(tmp_path, **settings).started() for _ in range(2)]
        wait_for(lambda: all(one.get("/prices/btcusdt").status == 200 for one in services), what="prices")
        rule = add(services[0], SPREAD).json
        for one in services:
            wait_for(partial(_has, one, [rule["id"]]), what="the rule")
            wait_for(partial(_fired, one, 1), what="an alert")
        by_count = sorted(services, key=lambda one: one.metric(FIRED))
        assert [one.metric(FIRED) for one in by_count] == [0, 2]
        idle, active = by_count
        active.process.child.kill()
        add(idle, SPREAD | {"cooldown": 3599})
        wait_for(partial(_fired, idle, 2), what="an alert of the process that took over")
        assert idle.metric(FIRED) == 2
        assert idle.process.stop() == 0
        assert "Traceback" not in idle.process.output


def test_a_refresher_evaluates_what_api_processes_take(exchanges: Market, tmp_path: Path) -> None:
    """With workers, a rule that one of them has taken fires in the refresher, and each of them streams the alert.

    The worker also knows the state of the outlets that the refresher sends to.
    """
    with redis_server.alone() as server:
        settings: dict[str, object] = {**SETTINGS, "cache_url": server.url, "exchanges": exchanges.setting}
        settings |= {"symbols_file": symbols(tmp_path), "events_url": f"sqlite:///{tmp_path}/events.db"}
        settings["outlets"] = "stdout://?topics=alerts&name=desk"
        refresher = Service(tmp_path, role="refresher", **settings).started()
        api = Service(tmp_path, role="api", **settings).started()
        add(api, SPREAD)
        wait_for(partial(_fired, api, 1), what="an alert")
        assert (refresher.metric(FIRED), api.metric(FIRED)) == (2, 0)
        wait_for(lambda: '"alerts":[{"id"' in api.get("/stream?topics=alerts&seconds=1").text, what="a snapshot")
        wait_for(lambda: api.get("/ready").json["outlets"] == {"desk": "ok"}, what="the outlet of the refresher")
        for one in (api, refresher):
            assert one.process.stop() == 0
            assert "Traceback" not in one.process.output


def _has(service: Service, rules: list[str]) -> bool:
    return [rule["id"] for rule in service.get("/alerts").json["rules"]] == rules


def _fired(service: Service, count: int) -> bool:
    return len(fired(service, "btcusdt")) == count
