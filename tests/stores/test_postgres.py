"""History in PostgreSQL: bars that the database computes, deletion, migrations, TLS, addresses."""

import asyncio
import random
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from aggregator.errors import StoreError, StoreUnavailable
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED
from aggregator.prices.bars import MinuteSource, bars_of
from aggregator.settings.loader import SettingsError, load
from aggregator.stores.definition import HistoryParts
from aggregator.stores.outbox import Outbox
from aggregator.stores.postgres.address import PostgresAddress, parse_postgres_url
from aggregator.stores.postgres.connections import Connections
from aggregator.stores.postgres.migrations import all_migrations, migrate, pending
from aggregator.stores.postgres.table import PostgresTable
from aggregator.stores.registry import history_store
from tests.parts import postgres
from tests.parts.certificates import make_certificate
from tests.parts.examples import NOW, price
from tests.parts.postgres import PASSWORD, PATIENT_SECONDS, PostgresServer
from tests.stores.trades.parts import until

REAL = pytest.mark.real
URL = "postgresql://me@db.example:5433/market"


# Addresses


def test_an_address_names_everything() -> None:
    """Host, port, user, database, TLS; parts with special characters are quoted."""
    assert parse_postgres_url(URL) == PostgresAddress("db.example", 5433, "me", "market", "prefer", None)
    full = parse_postgres_url("postgresql://a%40b@h/m%2Fn?sslmode=verify-full&sslrootcert=/etc/ca.pem")
    assert full == PostgresAddress("h", 5432, "a@b", "m/n", "verify-full", Path("/etc/ca.pem"))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://me:geheim@host/market", "AGGREGATOR_POSTGRES_PASSWORD"),
        ("postgresql://host/market", "must be postgresql://user@host"),
        ("postgresql://me@host", "must be"),
        ("postgresql://me@host:0/market", "must be"),
        ("postgresql://me@host:x/market", "must be"),
        ("postgresql://me@/market", "must be"),
        (f"{URL}?sslmode=on", "sslmode must be disable, prefer, require, verify-ca or verify-full"),
        (f"{URL}?sslrootcert=ca.pem", "sslrootcert needs sslmode=verify-ca"),
        (f"{URL}?options=x", "takes sslmode and sslrootcert, not"),
    ],
)
def test_a_wrong_address_says_what_is_allowed(url: str, says: str) -> None:
    """For history and trades; a password in it is not repeated."""
    for setting in ("history_url", "trades_url"):
        with pytest.raises(SettingsError) as raised:
            load({setting: url})
        assert says in str(raised.value)
        assert "geheim" not in str(raised.value)


# Migrations


@REAL
async def test_two_processes_may_migrate_at_once(postgres_running: PostgresServer) -> None:
    """Each step is applied once; the next start applies none."""
    database = postgres_running.new_database()
    address = postgres_running.address(database)
    assert await pending(address, PASSWORD) == all_migrations()
    results = await asyncio.gather(*(migrate(address, PASSWORD) for _ in range(4)))
    assert sorted(map(len, results)) == [0, 0, 0, len(all_migrations())]
    assert await migrate(address, PASSWORD) == []
    assert await pending(address, PASSWORD) == []
    assert postgres_running.sql("SELECT number FROM aggregator_migrations ORDER BY 1", database) == "1\n2\n3\n4"


@REAL
async def test_a_step_that_fails_leaves_nothing(postgres_running: PostgresServer) -> None:
    """A table of somebody else is an error that names it; no step is applied, also not those before it."""
    database = postgres_running.new_database()
    postgres_running.sql("CREATE TABLE prices (x int)", database)
    with pytest.raises(StoreError, match='"prices" already exists'):
        await migrate(postgres_running.address(database), PASSWORD)
    assert postgres_running.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database) == "1"


def test_numbers_of_migrations_have_no_gap() -> None:
    """They are applied in this order."""
    assert [one.number for one in all_migrations()] == list(range(1, len(all_migrations()) + 1))


# Bars


@REAL
@pytest.mark.parametrize("seed", range(3))
async def test_bars_of_the_database_are_those_of_all_prices(postgres_waiting: Outbox, seed: int) -> None:
    """Prices in the table, prices that wait, and prices that are in both."""
    chance = random.Random(seed)
    table = postgres_waiting._table
    assert isinstance(table, PostgresTable)
    start, end = int(NOW // 60 * 60), int(NOW // 60 * 60) + 1500
    prices = [
        price(timestamp=start + chance.randrange(0, 1800) + chance.random(), amount=str(chance.randrange(1, 99)))
        for _ in range(300)
    ]
    await table.put(prices[:250])
    await postgres_waiting.write([one for one in prices[200:] if one.timestamp < NOW + 600])
    known = prices[:250] + [one for one in prices[250:] if one.timestamp < NOW + 600]
    assert isinstance(postgres_waiting, MinuteSource)
    expected = bars_of(sorted((one.timestamp, float(one.price)) for one in known if start <= one.timestamp < end), 60)
    assert await postgres_waiting.minutes("btcusdt", start, end) == expected
    assert len(expected) > 20


# Deletion


@REAL
async def test_old_prices_are_deleted(postgres_running: PostgresServer, tmp_path: Path) -> None:
    """By the time of the price and of its update, beside the outbox that sends."""
    database = postgres_running.new_database()
    url = postgres_running.url(database)
    metrics = Metrics(CollectorRegistry())
    parts = HistoryParts(3600, tmp_path / "outbox.db", 1 << 20, metrics, UNTRACED, lambda: NOW, PASSWORD)
    table = PostgresTable(postgres_running.address(database), PASSWORD, write_seconds=PATIENT_SECONDS)
    await table.open()
    old = [price(timestamp=NOW - 7200 + number) for number in range(2100)]
    updated = msgspec.structs.replace(price(timestamp=NOW - 7200.5), updated_at=NOW)
    await table.put([*old, updated, price(timestamp=NOW - 60)])
    created = history_store(url).create(url, parts)
    for step in created.open_steps:
        await step.run()
    running = asyncio.create_task(created.history.run())

    async def is_deleted() -> bool:
        return await asyncio.to_thread(postgres_running.sql, "SELECT count(*) FROM prices", database) == "2"

    await until(is_deleted, PATIENT_SECONDS)
    running.cancel()
    await asyncio.wait([running])
    await created.history.close()
    await table.close()


# TLS


@REAL
async def test_tls_is_verified(tmp_path: Path) -> None:
    """verify-full wants the right authority and the right name; require wants TLS only."""
    if postgres.programs() is None:
        pytest.skip("no PostgreSQL here; see the header")
    certificate, key = await asyncio.to_thread(make_certificate, tmp_path, "DNS:localhost")
    with postgres.alone() as server:
        server.use_tls(key, certificate)

        async def answers(host: str, mode: str, ca: Path | None) -> bool:
            address = PostgresAddress(host, server.port, "aggregator", "postgres", mode, ca)
            connections = Connections(address, PASSWORD, 1, PATIENT_SECONDS)
            try:
                (row,) = await connections.fetch("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            except StoreUnavailable:
                return False
            finally:
                await connections.close()
            return bool(row[0])

        assert await answers("localhost", "verify-full", certificate)
        assert await answers("127.0.0.1", "verify-ca", certificate)
        assert await answers("127.0.0.1", "require", None)
        assert await answers("127.0.0.1", "prefer", None)
        assert not await answers("127.0.0.1", "verify-full", certificate)
        assert not await answers("localhost", "verify-full", None)
        assert not await answers("localhost", "verify-full", tmp_path / "missing.pem")
        assert not await answers("localhost", "disable", None)
