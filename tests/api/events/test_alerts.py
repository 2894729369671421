"""/alerts over a store of events in memory: rules that are kept, deleted and refused, and alerts that have fired."""

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from aggregator.alerts.rule_book import RuleBook
from aggregator.alerts.rules import MOST_BYTES, MOST_OF_EVERY_ASSET, Kind
from aggregator.alerts.topic import ALERTS, Alert
from aggregator.alerts.watch import stored_alert
from aggregator.api.access.keys import Keys
from aggregator.api.access.policy import Policy
from aggregator.api.app import build
from aggregator.api.events.alerts import AlertRoutes
from aggregator.errors import StoreUnavailable
from aggregator.observability.metrics import Metrics
from aggregator.stores.events.memory import MemoryEvents
from aggregator.trades.ports import StoredEvent
from tests.parts.asgi import get
from tests.parts.examples import CATALOG, NOW
from tests.parts.service import Answer

DAY = 86_400.0
OUTLETS = ["desk", "ops"]


class FailingEvents(MemoryEvents):
    """A store that is away, or that never answers."""

    hangs = False

    async def events(self, *_: object, **__: object) -> list[StoredEvent]:
        """Fail."""
        if self.hangs:
            await asyncio.Event().wait()
        raise StoreUnavailable("away")


class Api:
    """The routes over one store."""

    def __init__(self, store: MemoryEvents | None = None, policy: Policy | None = None) -> None:
        self.store = store or MemoryEvents(30 * DAY, lambda: NOW)
        self.book = RuleBook(self.store, 30 * DAY, lambda: NOW)
        routes = AlertRoutes(CATALOG, self.book, self.store, lambda: NOW, store_seconds=0.2, outlets=OUTLETS).routes()
        self.app = build(routes, Metrics(CollectorRegistry()), policy=policy)

    async def post(self, headers: dict[str, str] | None = None, **fields: Any) -> Answer:
        """Send a rule."""
        body = json.dumps({"asset": "BTC-USDT", "kind": "price", "above": 70000} | fields).encode()
        return await get(self.app, "/alerts", headers, "POST", body)

    async def rules(self) -> Any:
        """Return the rules."""
        return (await get(self.app, "/alerts")).json["rules"]


async def test_a_rule_is_kept_until_it_is_deleted() -> None:
    """Another process with the same store has it too."""
    api = Api()
    assert await api.rules() == []
    answer = await api.post(above=70000, outlet="desk")
    assert (answer.status, answer.json["asset"], answer.json["outlet"]) == (201, "btcusdt", "desk")
    other = Api(api.store)
    assert await api.rules() == await other.rules() == [answer.json]
    path = f"/alerts/{answer.json['id']}"
    assert (await get(other.app, path, method="DELETE")).status == 200
    assert await api.rules() == await other.rules() == []
    answer = await get(api.app, path, method="DELETE")
    assert (answer.status, answer.json["code"]) == (404, "rule_not_found")


@pytest.mark.parametrize(
    ("fields", "status", "code", "said"),
    [
        ({"asset": "nosuch"}, 404, "asset_not_found", "Asset not found"),
        ({"asset": "a.b"}, 400, "invalid_symbol", "Invalid asset symbol"),
        ({"cooldown": -1}, 400, "invalid_parameter", "cooldown must be"),
        ({"outlet": "nosuch"}, 400, "invalid_parameter", "outlet must be one of desk, ops"),
        ({"kind": 5}, 400, "invalid_parameter", "kind must be one of"),
        ({"outlet": "x" * MOST_BYTES}, 413, "body_too_large", "larger than 8192 bytes"),
    ],
)
async def test_bad_rules(fields: dict[str, Any], status: int, code: str, said: str) -> None:
    """A rule with a mistake is refused with the name of the field, and not kept."""
    api = Api()
    answer = await api.post(**fields)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert said in answer.json["msg"]
    assert await api.rules() == []


async def test_the_number_of_rules_is_bounded() -> None:
    """Of those for every asset, too."""
    api = Api()
    for percent in range(1, MOST_OF_EVERY_ASSET + 1):
        assert (await api.post(asset="*", kind="spread", above=percent)).status == 201
    answer = await api.post(asset="*", kind="spread", above=MOST_OF_EVERY_ASSET + 1)
    assert (answer.status, answer.json["code"]) == (409, "too_many_rules")
    assert (await api.post()).status == 201


async def test_a_rule_is_added_once() -> None:
    """The same rule again, also in other words and in another process, is answered with the one that is kept."""
    api = Api()
    first = await api.post(hysteresis=0.1)
    again = [await api.post(), await Api(api.store).post(asset="btcusdt", above="70000.0", cooldown=60)]
    assert first.status == 201
    assert [(one.status, one.json) for one in again] == [(200, first.json)] * 2
    assert (await api.post(cooldown=61)).status == 201
    assert len(await api.rules()) == 2
    await get(api.app, f"/alerts/{first.json['id']}", method="DELETE")
    assert (await api.post()).status == 201  # after the deletion, at the same time, it is a new one
    assert len(await api.rules()) == 2


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain"])
async def test_a_body_of_another_type(content_type: str) -> None:
    """Is refused as by POST /ingest, with the type that is taken."""
    api = Api()
    answer = await api.post({"Content-Type": content_type})
    assert (answer.status, answer.json["code"]) == (415, "unknown_media_type")
    assert answer.json["msg"] == (
        "The Content-Type must be application/json; curl sends it with -H 'Content-Type: application/json'"
    )
    assert (await api.post({"Content-Type": "Application/JSON; charset=utf-8"})).status == 201


async def test_changes_need_a_key_and_a_page_of_our_own() -> None:
    """Reads do not."""
    api = Api(policy=Policy(keys=Keys(api_keys=[SecretStr("secret")])))
    assert (await api.post()).json["code"] == "key_needed"
    assert (await api.post({"X-API-Key": "wrong"})).json["code"] == "key_invalid"
    key = {"X-API-Key": "secret"}
    assert (await api.post(key)).status == 201
    foreign = key | {"Origin": "https://evil.example", "Host": "localhost"}
    assert (await api.post(foreign)).json["code"] == "foreign_origin"
    (kept,) = await api.rules()
    path = f"/alerts/{kept['id']}"
    for headers in ({}, foreign):
        assert (await get(api.app, path, headers, "DELETE")).status in {401, 403}
    assert (await get(api.app, path, key, "DELETE")).status == 200


@pytest.mark.parametrize("hangs", [True, False])
async def test_without_the_store(hangs: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """Each call is answered 503, in time."""
    store = FailingEvents(DAY, lambda: NOW)
    store.hangs = hangs
    api = Api(store)
    answers: Sequence[Answer] = [
        await api.post(),
        await get(api.app, "/alerts"),
        await get(api.app, "/alerts/x", method="DELETE"),
        await get(api.app, "/alerts/fired/btcusdt"),
    ]
    assert [(one.status, one.json["code"]) for one in answers] == [(503, "events_unavailable")] * 4


async def test_without_rules_of_this_process() -> None:
    """The routes for rules answer 501."""
    store = MemoryEvents(DAY, lambda: NOW)
    app = build(AlertRoutes(CATALOG, None, store, lambda: NOW).routes(), Metrics(CollectorRegistry()))
    for method, path in (("GET", "/alerts"), ("POST", "/alerts"), ("DELETE", "/alerts/x")):
        answer = await get(app, path, method=method, body=b"{}")
        assert (answer.status, answer.json["code"]) == (501, "alerts_off")
    assert (await get(app, "/alerts/fired/btcusdt")).json["alerts"] == []


async def test_another_method() -> None:
    """Another method is refused, and the answer names all methods of the path."""
    answer = await get(Api().app, "/alerts", method="PUT")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    answer = await get(Api().app, "/alerts/x")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE")


async def test_fired_alerts() -> None:
    """Newest first, of the last hours, and what cannot be read is left out."""
    api = Api()
    alerts = [
        Alert(f"a{hours}", "r1", Kind.PRICE, "btcusdt", NOW - 3600 * hours, Decimal("70000.50"), Decimal(70000), "text")
        for hours in (30, 5, 1)
    ]
    unreadable = StoredEvent("btcusdt", NOW - 60, "x", b'{"kind":"of another version"}')
    await api.store.put(ALERTS.name, [*map(stored_alert, alerts), unreadable])
    answer = await get(api.app, "/alerts/fired/BTC-USDT")
    assert [one["id"] for one in answer.json["alerts"]] == ["a1", "a5"]
    assert (answer.json["asset"], answer.json["hours"], answer.json["count"]) == ("btcusdt", 24, 2)
    answer = await get(api.app, "/alerts/fired/btcusdt?hours=48&limit=4&numbers=string")
    assert [one["value"] for one in answer.json["alerts"]] == ["70000.50"] * 3
    for query in ("hours=0", "hours=169", "limit=x", "numbers=x"):
        assert (await get(api.app, f"/alerts/fired/btcusdt?{query}")).status == 400
    assert (await get(api.app, "/alerts/fired/nosuch")).status == 404
