"""Trades on TimescaleDB, through a stand-in: the extension in PGlite, which takes one connection and no COPY.

The stand-in does not compress chunks, and keeps prepared statements of an earlier connection. So each test has one of
its own and uses one connection, and compression is set up but not tried.
"""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from aggregator.errors import StoreRefused
from aggregator.stores.postgres.address import PostgresAddress
from aggregator.stores.postgres.connections import Connections
from aggregator.stores.postgres.deletion import delete_old
from aggregator.stores.postgres.migrations import all_migrations
from aggregator.stores.postgres.timescale import drop_chunks, enable_timescaledb, is_hypertable
from aggregator.stores.trades.postgres_table import PostgresTrades
from tests.parts import postgres
from tests.parts.examples import NOW
from tests.parts.ports import free_port
from tests.parts.postgres import PASSWORD, PATIENT_SECONDS, PostgresServer
from tests.parts.process import Process
from tests.stores.trades.parts import ALWAYS, HOUR, trade

pytestmark = pytest.mark.real

LOGIN = SecretStr("postgres")


@pytest.fixture
def timescale() -> Iterator[PostgresAddress]:
    """Start the stand-in."""
    if not postgres.timescale():
        pytest.skip("npm has not installed pglite with TimescaleDB")
    port = free_port()
    process = Process(["node", "tests/parts/timescale.mjs", str(port)])
    process.wait_for_line("ready")
    yield PostgresAddress("127.0.0.1", port, "postgres", "postgres", "disable", None)
    process.stop()


@pytest.fixture
async def store(timescale: PostgresAddress) -> AsyncIterator[PostgresTrades]:
    """Open a store on one connection, with the schema."""
    opened = PostgresTrades(timescale, LOGIN, 100 * HOUR, lambda: NOW)
    opened.reads = opened.writes = Connections(timescale, LOGIN, 1, PATIENT_SECONDS)
    opened._inserts = 1000
    async with opened.writes.one() as connection:
        for step in all_migrations():
            await connection.execute(step.sql)
    yield opened
    await opened.close()


async def test_trades_are_kept_in_chunks(store: PostgresTrades) -> None:
    """Trades of before are moved into chunks; each key is stored once; old trades go with their chunk."""
    connections = store.writes
    early = [trade(number, timestamp=NOW - number * 600) for number in range(20)]
    assert await store.add(early) == early
    assert not await is_hypertable(connections, "trades")
    for _ in range(2):
        await enable_timescaledb(connections)
    assert await is_hypertable(connections, "trades")
    assert not await is_hypertable(connections, "prices")
    later = [trade(number, timestamp=NOW - number * 600) for number in range(20, 40)]
    assert await store.add([*early, *later]) == later
    assert await store.add([early[3], trade(99), later[3]]) == [trade(99)]
    kept = sorted([*early, *later, trade(99)], key=lambda one: -one.timestamp)
    assert await store.trades("btcusdt", *ALWAYS, 100, newest_first=True) == kept
    assert len(await drop_chunks(connections, "trades", NOW - 2 * HOUR)) >= 4
    found = await store.trades("btcusdt", *ALWAYS, 100, newest_first=True)
    assert found == kept[: len(found)]
    assert NOW - 3 * HOUR <= found[-1].timestamp <= NOW - 2 * HOUR


async def test_a_deletion_by_row_spares_other_chunks(store: PostgresTrades) -> None:
    """Rows of different chunks may have the same ctid."""
    await enable_timescaledb(store.writes)
    ours = [trade(number, timestamp=NOW - number * HOUR) for number in range(10)]
    await store.add(ours)
    assert await delete_old(store.writes, "trades", NOW - 4.5 * HOUR) == 5
    assert await store.trades("btcusdt", *ALWAYS, 100, newest_first=True) == ours[:5]


async def test_minutes_are_aggregated(store: PostgresTrades) -> None:
    """The continuous aggregate has open, high, low, close, VWAP and count."""
    await enable_timescaledb(store.writes)
    start = NOW // 60 * 60
    await store.add(
        [
            trade(number, timestamp=start + number, price=price, volume=volume)
            for number, (price, volume) in enumerate([("100", "10"), ("300", "10"), ("50", "5"), ("200", "15")])
        ]
    )
    rows = await store.reads.fetch("SELECT open, high, low, close, vwap, volume, trades FROM trades_1m")
    assert [tuple(map(float, row)) for row in rows] == [(100, 300, 50, 200, 181.25, 40, 4)]


async def test_without_the_extension_it_is_refused(postgres_running: PostgresServer) -> None:
    """Plain PostgreSQL goes on with plain tables."""
    connections = Connections(postgres_running.address(), PASSWORD, 1, PATIENT_SECONDS)
    with pytest.raises(StoreRefused, match="no extension timescaledb"):
        await enable_timescaledb(connections)
    assert not await is_hypertable(connections, "trades")
    await connections.close()
