"""What only the DynamoDB store of events has: keys, a TTL, transactions, and a service that may be away."""

import uuid
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.observability.metrics import Metrics
from aggregator.stores.dynamodb.table import DynamoTable
from aggregator.stores.events.definition import EventStoreParts
from aggregator.stores.events.dynamodb import TABLE_REMEDY
from aggregator.stores.events.dynamodb_items import event_item, event_of, position_of, sort_key, sort_range
from aggregator.stores.events.dynamodb_table import DynamoPositions, EventTable
from aggregator.stores.events.registry import event_store
from tests.parts.dynamodb import DynamoServer
from tests.parts.examples import NOW
from tests.parts.ports import free_port
from tests.stores.events.parts import DAY, Opened, event, position, retried

REAL = pytest.mark.real
SECONDS = st.floats(0, 9_000_000_000)


def test_an_item() -> None:
    """An item has the documented attributes; numbers are texts."""
    item = event_item("anomalies", event(5, body='{"a":1}'), 30 * DAY)
    assert item == {
        "topic_asset": {"S": "anomalies#btcusdt"},
        "time_id": {"S": "01760000005000000000#id5"},
        "timestamp": {"N": "1760000005.0"},
        "id": {"S": "id5"},
        "body": {"S": '{"a":1}'},
        "expires_at": {"N": "1762592005"},
    }
    assert event_of(item) == event(5, body='{"a":1}')


@given(first=SECONDS, second=SECONDS)
def test_sort_keys_are_in_the_order_of_times(first: float, second: float) -> None:
    """Whatever the ids are, for times a nanosecond apart; and a range has exactly its times."""
    if abs(first - second) > 1e-9:
        assert (sort_key(first, "z") < sort_key(second, "a")) is (first < second)
    low, high = sort_range(first, inf)
    assert low < sort_key(first, "a") < high
    assert not sort_range(first, second)[0] < sort_key(second + 1, "a") < sort_range(first, second)[1]


@pytest.mark.parametrize("item", [{}, {"topic_asset": {"S": "x"}, "timestamp": {"N": "x"}}, {"body": {"S": "{}"}}])
def test_an_item_of_something_else_is_refused(item: dict[str, dict[str, str]]) -> None:
    """It is an error of the store, not one of the program."""
    with pytest.raises(StoreRefused):
        event_of(item)
    with pytest.raises(StoreRefused):
        position_of(item)


@REAL
async def test_the_table_of_prices_is_refused(dynamodb_running: DynamoServer) -> None:
    """Its keys are others; the remedy says that events need a table of their own."""
    name = f"prices-{uuid.uuid4()}"
    metrics = Metrics(CollectorRegistry())
    prices = DynamoTable(name, "us-east-1", dynamodb_running.endpoint, metrics)
    await retried(prices.open)
    await prices.close()
    created = event_store("dynamodb://").create(dynamodb_running.url(name), EventStoreParts(DAY, metrics, lambda: NOW))
    (step,) = created.open_steps
    with pytest.raises(StoreRefused, match="other keys"):
        await retried(step.run)
    assert (step.setting, step.remedy) == ("events_url", TABLE_REMEDY)
    await created.events.close()


@REAL
async def test_the_table_has_a_ttl(dynamodb: Opened, dynamodb_running: DynamoServer) -> None:
    """By `expires_at`."""
    name = dynamodb.url.partition("://")[2].partition("?")[0]
    table = EventTable(name, "us-east-1", dynamodb_running.endpoint, Metrics(CollectorRegistry()))
    await table.connect()
    assert await retried(table.expires)
    await table.close()


async def test_a_service_that_is_away() -> None:
    """Every call raises StoreUnavailable."""
    url = f"dynamodb://events?endpoint=http://127.0.0.1:{free_port()}"
    created = event_store(url).create(url, EventStoreParts(DAY, Metrics(CollectorRegistry()), lambda: NOW))
    with pytest.raises(StoreUnavailable):
        await created.open_steps[0].run()
    positions = created.positions
    assert isinstance(positions, DynamoPositions)
    for call in (
        created.events.put("anomalies", [event()]),
        created.events.events("anomalies", "btcusdt", 0, NOW, 9, newest_first=True),
        created.events.ping(),
        positions.open(position()),
        positions.open_positions(["btcusdt"]),
        positions.closed(None, 9),
    ):
        with pytest.raises(StoreUnavailable):
            await call
    await created.events.close()
