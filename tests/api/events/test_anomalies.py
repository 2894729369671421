"""GET /anomalies/{asset}: what is stored, and the state of the model."""

from array import array

import pytest
from prometheus_client import CollectorRegistry

from aggregator.anomalies.event import ANOMALIES, Anomaly, stored_anomaly
from aggregator.anomalies.messages import AssetState
from aggregator.api.app import build
from aggregator.api.events.anomalies import NOT_INSTALLED, SWITCHED_OFF, AnomalyRoute
from aggregator.api.routing.responses import Refusal
from aggregator.errors import StoreUnavailable
from aggregator.observability.metrics import Metrics
from aggregator.stores.events.memory import MemoryEvents
from aggregator.trades.ports import StoredEvent
from tests.parts.asgi import get
from tests.parts.examples import CATALOG
from tests.parts.service import Answer

NOW = 1_764_400_000.0
HOUR = 3600.0
VECTOR = tuple(array("f", [100.5, 2, 14.25, 0.5, 0.03125, 900]))


class Model:
    """A model in this state, of each asset."""

    def __init__(self, state: AssetState) -> None:
        self._state = state

    def state(self, _: str) -> AssetState:
        """Return the state."""
        return self._state


class Failing(MemoryEvents):
    """A store that cannot be read."""

    async def events(self, *_: object, **__: object) -> list[StoredEvent]:
        """Fail."""
        raise StoreUnavailable("away")


def anomaly(hours_ago: float) -> Anomaly:
    """Return an anomaly so many hours before NOW."""
    return Anomaly("btcusdt", NOW - hours_ago * HOUR, str(hours_ago), "binance", -0.75, -0.625, VECTOR, "3-0123abcd")


async def asked(
    target: str,
    state: AssetState | None = None,
    off: Refusal | None = None,
    store: MemoryEvents | None = None,
    hours_ago: tuple[float, ...] = (),
) -> Answer:
    """Return the response where anomalies of so many hours ago are stored."""
    store = store or MemoryEvents(1e9, lambda: NOW)
    await store.put(ANOMALIES.name, [stored_anomaly(anomaly(one)) for one in hours_ago])
    model = None if state is None else Model(state)
    routes = AnomalyRoute(CATALOG, store, model, lambda: NOW, off).routes()
    return await get(build(routes, Metrics(CollectorRegistry())), target)


async def test_the_newest_come_first() -> None:
    """Of the hours that were asked for, and with what the model is."""
    answer = await asked("/anomalies/BTC-USDT?hours=3", AssetState(1000, "4-0123abcd"), hours_ago=(1, 2.5, 3.5))
    row = {
        "venue": "binance",
        "anomaly_score": -0.75,
        "threshold": -0.625,
        "feature_vector": list(VECTOR),
        "model_version": "3-0123abcd",
    }
    assert answer.status == 200
    assert answer.json == {
        "asset": "btcusdt",
        "hours": 3,
        "anomalies": [row | {"timestamp": NOW - ago * HOUR, "id": str(ago)} for ago in (1, 2.5)],
        "state": "ready",
        "samples": 1000,
        "model_version": "4-0123abcd",
    }
    limited = await asked("/anomalies/btcusdt?limit=1", AssetState(1000, "4-0123abcd"), hours_ago=(1, 2))
    assert [one["id"] for one in limited.json["anomalies"]] == ["1"]


async def test_an_asset_without_a_model() -> None:
    """It is warming up, and says how far it is."""
    answer = await asked("/anomalies/btcusdt", AssetState(412, ""))
    assert (answer.json["state"], answer.json["samples"], answer.json["model_version"]) == ("warming_up", 412, None)
    assert answer.json["hours"] == 24


@pytest.mark.parametrize(("hours_ago", "state", "version"), [((), "unknown", None), ((2,), "ready", "3-0123abcd")])
async def test_models_of_another_process(hours_ago: tuple[float, ...], state: str, version: str | None) -> None:
    """The state is known from what was found, or not at all."""
    answer = await asked("/anomalies/btcusdt", hours_ago=hours_ago)
    assert (answer.json["state"], answer.json["samples"], answer.json["model_version"]) == (state, None, version)


@pytest.mark.parametrize("query", ["hours=0", "hours=169", "hours=x", "hours=-1", "hours=1.5", "limit=0", "limit=1001"])
async def test_a_parameter_that_is_refused(query: str) -> None:
    """400, naming it."""
    answer = await asked(f"/anomalies/btcusdt?{query}")
    assert (answer.status, answer.json["code"]) == (400, "invalid_parameter")
    assert answer.json["msg"].startswith(query.partition("=")[0])


async def test_an_asset_that_is_not_listed() -> None:
    """404, or 400 for what is no symbol."""
    assert (await asked("/anomalies/nosuch")).status == 404
    assert (await asked("/anomalies/a..b")).status == 400


@pytest.mark.parametrize("off", [SWITCHED_OFF, NOT_INSTALLED])
async def test_where_no_process_looks_for_anomalies(off: Refusal) -> None:
    """501, with what to do."""
    answer = await asked("/anomalies/btcusdt", off=off)
    assert (answer.status, answer.json) == (501, {"msg": off.msg, "code": "anomalies_off"})


async def test_a_store_that_is_away() -> None:
    """503, and when to try again."""
    answer = await asked("/anomalies/btcusdt", store=Failing(1e9, lambda: NOW))
    assert (answer.status, answer.json["code"]) == (503, "events_unavailable")
    assert answer.headers["retry-after"] == "1"
