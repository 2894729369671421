"""What only the DynamoDB store of trades has: a table with keys and TTL, shards, and an outbox."""

import sqlite3
import uuid
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.models import Trade, TradeKey
from aggregator.observability.metrics import Metrics
from aggregator.stores.dynamodb.table import DynamoTable
from aggregator.stores.trades.definition import TradeStoreParts
from aggregator.stores.trades.dynamodb_items import SHARDS, item_of, shard_of, sort_key, sort_range, trade_of
from aggregator.stores.trades.dynamodb_table import TradeTable
from aggregator.stores.trades.outbox import TradeOutbox
from aggregator.stores.trades.registry import trade_store
from tests.parts.clock import Clock
from tests.parts.dynamodb import PATIENT_SECONDS, DynamoServer, jar
from tests.parts.dynamodb_proxy import DynamoProxy
from tests.parts.examples import NOW
from tests.parts.ports import lasting_port
from tests.stores.trades.parts import ALWAYS, RETENTION, Opened, in_dynamodb, opened, trade, until

REAL = pytest.mark.real
MICROSECONDS = st.integers(0, 4_000_000_000_000_000)


def value(outbox: TradeOutbox, name: str) -> float:
    """Return the value of a metric of the outbox's table."""
    return outbox._table._metrics.registry.get_sample_value(name) or 0.0


def outbox_of(trades: Opened) -> TradeOutbox:
    """Return the store as what it is."""
    assert isinstance(trades.store, TradeOutbox)
    return trades.store


async def put(table: TradeTable, trades: list[Trade]) -> None:
    """Put trades; on a busy machine a call may take longer than its three seconds, and is made again."""
    left = trades

    async def is_done() -> bool:
        nonlocal left
        with suppress(StoreUnavailable):
            left = await table.put(left)
            return not left
        return False

    await until(is_done, PATIENT_SECONDS)


# Items


@given(micros=MICROSECONDS)
def test_a_time_is_the_same_float_after_its_key(micros: int) -> None:
    """Microseconds survive the sort key, up to the year 2096."""
    one = trade(timestamp=micros / 1_000_000)
    assert trade_of(item_of(one, RETENTION)) == one


@given(
    keys=st.lists(
        st.builds(
            TradeKey,
            MICROSECONDS.map(lambda micros: micros / 1_000_000),
            st.text(' !"#$-.019_az', min_size=1, max_size=4),
            st.text(max_size=4),
        )
    )
)
def test_sort_keys_have_the_order_of_trades(keys: list[TradeKey]) -> None:
    """By time, venue and id, in the bytes that DynamoDB compares."""
    assert sorted(keys) == sorted(keys, key=lambda key: sort_key(key).encode())


@given(micros=MICROSECONDS, start=st.floats(0, 4e9), end=st.floats(0, 4e9))
def test_a_range_of_sort_keys_has_its_trades_and_no_others(micros: int, start: float, end: float) -> None:
    """Ends between two microseconds included."""
    low, high = sort_range(start, end)
    key = TradeKey(micros / 1_000_000, "coinbase", "1")
    assert (low <= sort_key(key) <= high) == (start <= key.timestamp <= end)


@pytest.mark.parametrize("pattern", ["{}", "binance-{:012d}", "{:x}", "7{:09d}-a"])
def test_shards_share_evenly(pattern: str) -> None:
    """Each has an eighth of consecutive ids, within a fifth of it."""
    counts = Counter(shard_of("binance", pattern.format(4_000_000_000 + number)) for number in range(8000))
    assert len(counts) == SHARDS
    assert 800 <= min(counts.values()) <= max(counts.values()) <= 1200


def test_a_shard_is_the_same_in_every_process() -> None:
    """Hashes of Python's strings differ from process to process."""
    assert [shard_of("coinbase", str(number)) for number in range(6)] == [0, 6, 4, 2, 1, 7]


@pytest.mark.parametrize("item", [{}, {"asset_shard": {"S": "a#1"}, "time_id": {"S": "x"}}])
def test_an_item_of_another_writer_is_refused(item: dict[str, dict[str, str]]) -> None:
    """It is a StoreRefused, not a crash."""
    with pytest.raises(StoreRefused, match="no trade"):
        trade_of(item)


# The table


@REAL
async def test_the_table_expires_and_has_eight_partitions_an_asset(drained: Opened) -> None:
    """Keys are texts; the TTL attribute is the time of the trade plus the retention; prices are numbers."""
    await drained.add(*(trade(number) for number in range(50)))
    table = outbox_of(drained)._table
    described = (await table._client.describe_table(TableName=table._table))["Table"]
    assert {key["AttributeName"]: key["KeyType"] for key in described["KeySchema"]} == {
        "asset_shard": "HASH",
        "time_id": "RANGE",
    }
    expiry = (await table._client.describe_time_to_live(TableName=table._table))["TimeToLiveDescription"]
    assert (expiry["AttributeName"], expiry["TimeToLiveStatus"] in ("ENABLED", "ENABLING")) == ("expires_at", True)
    items = (await table._client.scan(TableName=table._table))["Items"]
    assert {item["asset_shard"]["S"] for item in items} == {f"btcusdt#{shard}" for shard in range(8)}
    (first,) = (item for item in items if item["id"]["S"] == "id0")
    assert first["time_id"] == {"S": "00001760000000000000#coinbase\tid0"}
    assert first["expires_at"] == {"N": str(int(NOW + RETENTION))}
    assert first["price"] == {"N": "79450.12"}


@REAL
async def test_a_duplicate_from_before_the_start_is_one_item(drained: Opened) -> None:
    """A restarted process takes it for new, and overwrites the same item."""
    await drained.add(trade())
    assert await drained.add(trade()) == []
    await drained.reopen()
    assert await drained.add(trade()) == [trade()]
    assert await drained.store.trades("btcusdt", *ALWAYS, 9, newest_first=True) == [trade()]


@REAL
async def test_a_waiting_trade_is_a_duplicate_after_a_start(waiting: Opened) -> None:
    """It is found in the file, although the process that added it has ended."""
    await waiting.add(trade(1), trade(2))
    await waiting.reopen()
    assert await waiting.add(trade(2), trade(3), trade(1)) == [trade(3)]


@REAL
async def test_a_refused_trade_becomes_a_dead_letter_and_no_other(dynamodb: Opened) -> None:
    """A sequence number of 39 digits is none for DynamoDB; the trades beside it are stored."""
    await dynamodb.add(trade(1), trade(2, sequence=10**38 + 1), trade(3))
    outbox = outbox_of(dynamodb)
    assert await outbox.drain(60) == 0
    (letter,) = await outbox._file.dead_letters(0, 9)
    assert "ValidationException" in letter.reason
    assert await outbox.trades("btcusdt", *ALWAYS, 9, newest_first=False) == [trade(1), trade(3)]
    assert value(outbox, "trades_outbox_dead_letters_added_total") == 1
    assert value(outbox, "trades_outbox_sent_total") == 2


@REAL
async def test_the_table_of_prices_is_refused(dynamodb_running: DynamoServer, tmp_path: Path) -> None:
    """Its keys are others; the remedy says that trades need a table of their own."""
    name = f"prices-{uuid.uuid4()}"
    prices = DynamoTable(name, "us-east-1", dynamodb_running.endpoint, Metrics(CollectorRegistry()))
    await prices.open()
    await prices.close()
    parts = TradeStoreParts(RETENTION, tmp_path / "o.db", 1 << 20, Metrics(CollectorRegistry()), lambda: NOW)
    created = trade_store("dynamodb://").create(dynamodb_running.url(name), parts)
    step = created.open_steps[0]
    with pytest.raises(StoreRefused, match="asset_shard"):
        await step.run()
    assert (step.setting, "a table of their own" in step.remedy) == ("trades_url", True)
    await created.store.close()


@REAL
async def test_while_the_table_is_away_trades_are_stored_and_reads_fail(
    dynamodb_running: DynamoServer, tmp_path: Path, clock: Clock
) -> None:
    """What waits is sent once the table is back; the last trade is read from the file if every asset has one there."""
    port = lasting_port()
    proxy = DynamoProxy(dynamodb_running.endpoint, port=port)
    async with opened(in_dynamodb(proxy.endpoint, tmp_path, clock), runs=True) as trades:
        proxy.stop()
        assert await trades.add(trade(1), trade(2)) == [trade(1), trade(2)]
        await trades.store.ping()
        with pytest.raises(StoreUnavailable):
            await trades.store.trades("btcusdt", *ALWAYS, 9, newest_first=True)
        assert await trades.store.latest(["btcusdt"]) == {"btcusdt": trade(2)}
        with pytest.raises(StoreUnavailable):
            await trades.store.latest(["btcusdt", "ethusdt"])
        proxy = DynamoProxy(dynamodb_running.endpoint, port=port)
        assert await outbox_of(trades).drain(60) == 0
        assert await trades.store.trades("btcusdt", *ALWAYS, 9, newest_first=False) == [trade(1), trade(2)]
    proxy.stop()


@REAL
async def test_a_file_that_cannot_be_written_is_an_error_and_heals(waiting: Opened, tmp_path: Path) -> None:
    """While another process locks the file, `add` and `ping` fail; then the same trades are new."""
    other = sqlite3.connect(tmp_path / "trades-outbox.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable):
        await waiting.add(trade())
    with pytest.raises(StoreUnavailable):
        await waiting.store.ping()
    other.execute("ROLLBACK")
    other.close()
    assert await waiting.add(trade()) == [trade()]
    await waiting.store.ping()


@REAL
async def test_shards_are_read_in_pages(dynamodb_running: DynamoServer) -> None:
    """A shard with more than its share is read on until no earlier trade can follow."""
    table = TradeTable(
        f"trades-{uuid.uuid4()}",
        "us-east-1",
        dynamodb_running.endpoint,
        Metrics(CollectorRegistry()),
        RETENTION,
        lambda: NOW,
        PATIENT_SECONDS,
    )
    await table.open()
    ids = [str(number) for number in range(3000) if shard_of("coinbase", str(number)) == 0]
    ours = [trade(number, trade_id=trade_id) for number, trade_id in enumerate(ids)]
    ours += [trade(number, trade_id=f"other{number}") for number in range(len(ids), len(ids) + 20)]
    for first in range(0, len(ours), 25):
        await put(table, ours[first : first + 25])
    assert len(ours) > 300
    for limit in (1, 100, 10_000):
        assert await table.trades("btcusdt", *ALWAYS, limit, newest_first=False) == ours[:limit]
        assert await table.trades("btcusdt", *ALWAYS, limit, newest_first=True) == ours[::-1][:limit]
    await table.close()


@REAL
async def test_a_trade_is_one_write_unit(dynamodb_running: DynamoServer) -> None:
    """`aggregator cost` counts on it."""
    metrics = Metrics(CollectorRegistry())
    table = TradeTable(
        f"trades-{uuid.uuid4()}",
        "us-east-1",
        dynamodb_running.endpoint,
        metrics,
        RETENTION,
        lambda: NOW,
        PATIENT_SECONDS,
    )
    await table.open()
    try:
        assert await table.put([trade(number, trade_id=f"{number}-{'0' * 36}") for number in range(10)]) == []
    finally:
        await table.close()
    units = metrics.registry.get_sample_value("price_dynamodb_write_units_total")
    assert units == (10 if jar() else 1)  # moto counts one for a batch
