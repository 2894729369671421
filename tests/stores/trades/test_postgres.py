"""What only the PostgreSQL store of trades has: several writers, restarts, hanging servers, deletion."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from aggregator.errors import RowsRefused, StoreError, StoreRefused, StoreUnavailable
from aggregator.models import Trade, TradeKey, trade_key
from aggregator.observability.metrics import Metrics
from aggregator.stores.postgres.connections import READ_SECONDS
from aggregator.stores.trades.postgres_table import PostgresTrades
from aggregator.trades.trade_writes import TradeWrites
from tests.parts import limits, postgres
from tests.parts.examples import NOW
from tests.parts.postgres import PASSWORD, PATIENT_SECONDS, PostgresServer
from tests.parts.processing import Buried
from tests.stores.trades.parts import ALWAYS, HOUR, RETENTION, pages, trade, until
from tests.stores.trades.test_contract import _TRADE

pytestmark = pytest.mark.real


@pytest.fixture
def alone() -> Iterator[PostgresServer]:
    """Start a server that the test may kill and stop."""
    with postgres.alone() as server:
        yield server


def patient(server: PostgresServer, database: str, retention: float = RETENTION) -> PostgresTrades:
    """Return a store whose calls wait for however busy the machine is."""
    address = server.address(database)
    return PostgresTrades(address, PASSWORD, retention, lambda: NOW, PATIENT_SECONDS, PATIENT_SECONDS)


@pytest.fixture
async def store(postgres_running: PostgresServer) -> AsyncIterator[PostgresTrades]:
    """Open a store in a new database."""
    opened = patient(postgres_running, postgres_running.new_database())
    await opened.open()
    yield opened
    await opened.close()


async def test_two_writers_store_a_key_once(postgres_running: PostgresServer, store: PostgresTrades) -> None:
    """Writers with the same trades in opposite orders: each trade is new for one of them, and nobody is locked out."""
    other = patient(postgres_running, store.address.database)
    ours = [trade(number) for number in range(400)]
    for first in range(0, 400, 100):
        part = ours[first : first + 100]
        results = await asyncio.gather(store.add(part), other.add(part[::-1]), other.add(part))
        assert sorted((one for result in results for one in result), key=trade_key) == part
    await other.close()
    assert await store.trades("btcusdt", *ALWAYS, 1000, newest_first=False) == ours


async def test_a_call_of_several_statements_is_stored_whole(
    store: PostgresTrades, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trade that cannot be stored keeps back the trades of the statements before it, so that none counts as known."""
    monkeypatch.setattr("aggregator.stores.trades.postgres_table._BATCH", 10)
    ours = [trade(number) for number in range(35)]
    store._inserts = 1  # a copy is one statement
    with pytest.raises(StoreRefused):
        await store.add([*ours, trade(99, sequence=2**63)])
    assert await store.add(ours) == ours


async def test_text_for_copy_is_what_an_insert_stores(store: PostgresTrades) -> None:
    """Names with the characters that COPY's format uses for itself, absent values, fractions of a second."""
    odd = ["\\N", "a\\tb", "a\tb", "a\nb\r", "\\", "\\.", "ü 'x' \"y\""]
    ours = [trade(number, trade_id=text, venue=text, asset=text, volume=None) for number, text in enumerate(odd)]
    ours += [trade(trade_id="none", side=None, sequence=None), trade(trade_id="0", timestamp=NOW + 0.000001, late=True)]
    assert await store.add(ours) == ours
    copied = [await store.trades(one.asset, *ALWAYS, 9, newest_first=True) for one in ours]
    await store.writes.execute("DELETE FROM trades")
    store._inserts = 1
    assert await store.add(ours) == ours
    assert store._inserts == 0
    assert [await store.trades(one.asset, *ALWAYS, 9, newest_first=True) for one in ours] == copied
    assert {one for page in copied for one in page} == set(ours)


@pytest.mark.parametrize("wrong", [trade(trade_id="a\0b"), trade(sequence=2**63), trade(price="1E+140000")])
async def test_a_trade_that_no_row_can_hold_is_refused(store: PostgresTrades, wrong: Trade) -> None:
    """It is a RowsRefused, and the store can be used afterwards."""
    with pytest.raises(RowsRefused):
        await store.add([wrong])
    assert await store.add([trade()]) == [trade()]


async def test_trades_that_no_row_can_hold_are_set_aside(store: PostgresTrades) -> None:
    """A processor stores all others of a batch; these are dead letters, with the reason of the database."""
    letters, ours = Buried(), [trade(number) for number in range(20)]
    wrong = [trade(number, trade_id=f"a\0{number}") for number in (30, 31)]
    writes = TradeWrites(store, Metrics(CollectorRegistry()).trades, letters, lambda: NOW, time.monotonic)
    assert await writes.add([*ours[:7], wrong[0], *ours[7:], wrong[1]]) == ours
    assert await store.trades("btcusdt", *ALWAYS, 100, newest_first=False) == ours
    assert [msgspec.json.decode(one.raw)["id"] for one in letters.letters] == [one.id for one in wrong]
    assert {(one.code, one.source, one.at) for one in letters.letters} == {("refused", "postgresql", NOW)}
    assert all(one.reason.startswith("PostgreSQL: ") for one in letters.letters)
    assert writes.trouble == ""


async def test_old_rows_are_deleted(postgres_running: PostgresServer) -> None:
    """Not only left out of reads: the table holds them no longer, and keeps the others."""
    database = postgres_running.new_database()
    before = patient(postgres_running, database)
    await before.open()
    await before.add([trade(number, timestamp=NOW - 2 * HOUR + number / 10) for number in range(4500)])
    await before.add([trade(asset="ethusdt", timestamp=NOW - 2 * HOUR), trade(asset="ethusdt")])
    await before.close()
    store = patient(postgres_running, database, HOUR)
    running = asyncio.create_task(store.run())

    async def is_deleted() -> bool:
        return await asyncio.to_thread(postgres_running.sql, "SELECT count(*) FROM trades", database) == "1"

    await until(is_deleted, PATIENT_SECONDS)
    running.cancel()
    await asyncio.wait([running])
    await store.close()


async def test_a_restarted_server_is_used_again(alone: PostgresServer) -> None:
    """Calls fail as unavailable while it is away, and succeed afterwards, with all trades."""
    store = patient(alone, "postgres")
    await store.open()
    assert await store.add([trade(0)]) == [trade(0)]
    alone.kill()
    with pytest.raises(StoreUnavailable):
        await store.add([trade(1)])
    with pytest.raises(StoreUnavailable):
        await store.ping()
    alone.start()
    assert await store.add([trade(0), trade(1)]) == [trade(1)]
    assert len(await store.trades("btcusdt", *ALWAYS, 9, newest_first=True)) == 2
    await store.close()


async def test_a_hanging_server_is_an_error_within_a_second(alone: PostgresServer) -> None:
    """Reads give up; once it goes on, they succeed."""
    quick = PostgresTrades(alone.address(), PASSWORD, RETENTION, lambda: NOW)
    await quick.open()
    await quick.add([trade()])

    async def reads() -> bool:
        try:
            return await quick.trades("btcusdt", *ALWAYS, 9, newest_first=True) == [trade()]
        except StoreUnavailable:
            return False

    await until(reads)
    alone.hang()
    try:
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            await quick.trades("btcusdt", *ALWAYS, 9, newest_first=True)
        assert time.monotonic() - started < limits.allowed(READ_SECONDS + 0.5)
    finally:
        alone.go_on()
    await until(reads)
    await quick.close()


async def test_a_slow_statement_is_ended_by_the_server(store: PostgresTrades, postgres_running: PostgresServer) -> None:
    """The server does not go on with a read that nobody waits for."""
    (row,) = await store.reads.fetch("SHOW statement_timeout")
    assert row[0] == f"{PATIENT_SECONDS / 60:g}min"
    assert postgres_running.sql("SHOW statement_timeout") == "0"


async def test_a_wrong_password_is_said_without_it(postgres_running: PostgresServer) -> None:
    """The error names the user, not the password."""
    wrong = type(PASSWORD)("a wrong secret")
    store = PostgresTrades(postgres_running.address(), wrong, RETENTION)
    with pytest.raises(StoreError, match="password authentication failed") as raised:
        await store.open()
    assert "a wrong secret" not in str(raised.value)
    await store.close()


@settings(max_examples=15)
@given(calls=st.lists(st.lists(_TRADE, max_size=8), max_size=6), size=st.integers(1, 9), newest_first=st.booleans())
def test_any_calls_are_as_a_naive_list(
    postgres_running: PostgresServer,
    calls: list[list[Trade]],
    size: int,
    newest_first: bool,  # noqa: FBT001  # Hypothesis
) -> None:
    """What is returned as new, and pages of any size."""

    async def compare() -> None:
        store = patient(postgres_running, "postgres")
        await store.open()
        await store.writes.execute("DELETE FROM trades")
        known: dict[TradeKey, Trade] = {}
        for call in calls:
            new = [one for one in call if known.setdefault(trade_key(one), one) is one]
            assert await store.add(call) == new
        expected = sorted(known.values(), key=trade_key, reverse=newest_first)
        assert await pages(store, size, newest_first=newest_first) == expected
        await store.close()

    asyncio.run(compare())
