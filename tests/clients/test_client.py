"""The Python client against the real service: each method, errors, ingest, frames, and the same in an event loop."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import rt_price_aggregator_client as package
from rt_price_aggregator_client import AsyncClient, Client, NewTrade, to_frame

from tests.clients.client_calls import CALLS, BodyRecorder, every_item
from tests.clients.conftest import KEY, READ_KEY, trades
from tests.parts.service import Service

pytestmark = pytest.mark.real


def same(value: Any, raw: Any) -> bool:
    """Whether a value of the client is that of the answer: every field, every digit, every microsecond."""
    if isinstance(value, msgspec.Struct):
        return all(same(getattr(value, name), part) for name, part in raw.items())
    if isinstance(value, list):
        return len(value) == len(raw) and all(map(same, value, raw))
    if isinstance(value, dict):
        return value.keys() == raw.keys() and all(same(value[name], part) for name, part in raw.items())
    if isinstance(value, datetime):
        then = datetime.fromisoformat(raw) if isinstance(raw, str) else datetime.fromtimestamp(float(raw), UTC)
        return value.tzinfo is UTC and abs((value - then).total_seconds()) < 2e-6
    return bool(value == (float(raw) if isinstance(value, float) else raw))


@pytest.mark.parametrize("name", CALLS)
def test_a_method(service: Service, name: str) -> None:
    """It returns what the service has answered, with every field; a list has the items of all pages."""
    recorder = BodyRecorder()
    with Client(service.url, api_key=KEY, http_transport=recorder) as client:
        found = CALLS[name](client)
        found = list(found) if isinstance(found, Iterator) else found
    raw = [json.loads(body, parse_float=Decimal) for body in recorder.bodies]
    if isinstance(found, list):
        (items,) = {key for key, part in raw[0].items() if isinstance(part, list)}
        assert same(found, [item for answer in raw for item in answer[items]])
        assert found or name in {"positions", "candles"}  # which test_frames has, too
    else:
        assert same(found, raw[0]["totals"] if name == "closed_totals" else raw[0])


def test_rules_of_alerts(client: Client) -> None:
    """A rule is added with its exact level, listed, and deleted once; a field that does not fit is refused."""
    rule = client.add_alert_rule("btcusdt", "price", above=Decimal("1000000.5"))
    assert rule.above == Decimal("1000000.5")
    assert rule in client.alert_rules()
    client.delete_alert_rule(rule.id)
    with pytest.raises(package.NotFound) as gone:
        client.delete_alert_rule(rule.id)
    assert gone.value.code == "rule_not_found"
    with pytest.raises(package.BadRequest, match="percent"):
        client.add_alert_rule("btcusdt", "price", percent=3)


def test_keys(service: Service) -> None:
    """Without a key, with a wrong one, and with one for reading only, the errors tell these apart."""
    for key, code, kind in (
        (None, "key_needed", package.Unauthorized),
        ("wrong", "key_invalid", package.Forbidden),
        (READ_KEY, "key_read_only", package.Forbidden),
    ):
        with Client(service.url, api_key=key) as client, pytest.raises(kind) as refused:
            client.refresh("solusdt")
        assert refused.value.code == code


def test_an_unknown_asset(client: Client) -> None:
    """The error names what may be meant."""
    with pytest.raises(package.NotFound) as unknown:
        client.price("btcusd")
    assert (unknown.value.code, unknown.value.near) == ("asset_not_found", ["btcusdt"])


def test_a_refusal_with_retry_after(service: Service, client: Client) -> None:
    """A second refresh within the cool-down waits as long as the service asks, and succeeds."""
    first, second = client.refresh("xrpusdt"), client.refresh("xrpusdt")
    assert second.timestamp > first.timestamp
    with Client(service.url, api_key=KEY, retries=package.Retries(attempts=1)) as once:
        with pytest.raises(package.RateLimited) as refused:
            every_item(once.refresh("xrpusdt") for _ in range(10))
        assert refused.value.retry_after == 1.0


def test_pages(client: Client) -> None:
    """A list of several pages has every row once, in either order, and its length in `start` to `end`."""
    end = client.price("btcusdt").timestamp
    rows = list(client.history("btcusdt", end=end, page_size=5))
    assert len(rows) > 10
    assert list(client.history("btcusdt", end=end, order="asc", page_size=1000)) == rows[::-1]
    assert list(client.history("btcusdt", start=rows[2].timestamp, end=rows[1].timestamp)) == rows[1:3]


def test_ingest(client: Client) -> None:
    """More trades than one call takes; sent again, they are duplicates; a wrong one is listed by its place."""
    many = trades(1500, "solusdt")
    assert client.ingest(iter(many)).accepted == 1500
    assert client.ingest(many).duplicates == 1500
    assert [trade.id for trade in client.trades("solusdt", order="asc")] == [trade.id for trade in many]
    wrong = NewTrade(asset="solusdt", price=0, timestamp=datetime.now(UTC))
    mixed = client.ingest([*trades(1200, "solusdt", "another"), wrong])
    assert (mixed.accepted, [one.index for one in mixed.rejected]) == (1200, [1200])
    with pytest.raises(package.NoValidTrade, match="price"):
        client.ingest(wrong)


def test_frames(client: Client) -> None:
    """History, candles and trades are frames with a sorted index in UTC, of floats or of exact decimals."""
    rows = list(client.history("btcusdt"))
    history = to_frame(rows)
    assert (str(history.index.tz), history.index.name, history["price"].dtype) == ("UTC", "timestamp", float)
    assert list(history.index) == sorted(row.timestamp for row in rows)
    assert list(to_frame(rows, decimals=True)["price"]) == [row.price for row in rows[::-1]]
    candles = to_frame(client.candles("btcusdt"))
    assert (candles.index.name, "time" in candles, candles["volume"].isna().all()) == ("start", False, True)
    traded = to_frame(client.trades("btcusdt"))
    assert traded["volume"].resample("1s").sum().sum() == 21 * 0.25
    assert to_frame([]).empty


async def test_in_an_event_loop(service: Service, client: Client) -> None:
    """The asynchronous client has the same methods and answers."""

    async def some() -> AsyncIterator[NewTrade]:
        for trade in trades(3, "bnbusdt"):
            yield trade

    async with AsyncClient(service.url, api_key=KEY) as other:
        assert (await other.quote("btcusdt")) == client.quote("btcusdt")
        end = client.price("btcusdt").timestamp
        rows = [row async for row in other.history("btcusdt", end=end, page_size=5)]
        assert rows == list(client.history("btcusdt", end=end))
        assert (await other.ingest(some())).accepted == 3
        assert (await other.ingest(trades(2, "bnbusdt", "another"))).accepted == 2
        with pytest.raises(package.NotFound):
            await other.price("nosuch")
