"""The outbox: prices are written to the file first and to the table soon, in order, and none is lost."""

import asyncio
import sqlite3
from pathlib import Path

from aggregator.models import Tier, encode
from tests.parts.examples import NOW, price
from tests.parts.limits import allowed
from tests.stores.outbox.parts import Parts, emptied, many, until


async def test_written_is_on_disk(parts: Parts) -> None:
    """Another connection sees the price when `write` returns; the table has not been called."""
    await parts.outbox.write(many(3))
    other = sqlite3.connect(parts.path)
    assert other.execute("SELECT count(*) FROM waiting_hot").fetchone() == (3,)
    other.close()
    assert parts.table.calls == []


async def test_everything_arrives_and_leaves_the_file(parts: Parts) -> None:
    """All tiers, in batches of at most 25, each once."""
    prices = [*many(60), *many(60, "ethusdt", Tier.COLD), *many(60, "solusdt", Tier.MEDIUM)]
    async with parts.running():
        await parts.outbox.write(prices)
        await emptied(parts)
    assert sorted(parts.table.items) == sorted((one.asset, one.timestamp) for one in prices)
    assert sum(len(call) for call in parts.table.calls) == 180
    assert parts.value("price_store_written_total", store="dynamodb") == 180


async def test_a_table_that_takes_more_than_is_read_at_once(tmp_path: Path) -> None:
    """Each batch is what the outbox reads at once: it is sent, and does not wait to become as large as the table's."""
    parts = Parts(tmp_path / "outbox.db", batch=5000)
    await parts.outbox.open()
    async with parts.running():
        await parts.outbox.write(many(1200))
        await emptied(parts)
    assert max(len(call) for call in parts.table.calls) == 500
    assert sum(len(call) for call in parts.table.calls) == 1200
    await parts.outbox.close()


async def test_rows_of_the_last_run_are_sent_first(tmp_path: Path) -> None:
    """After a kill with rows in the file, the next start sends them, oldest first across the tiers."""
    parts = Parts(tmp_path / "outbox.db")
    await parts.outbox.open()
    for number in range(60):
        await parts.outbox.write([price(timestamp=NOW + number, tier=list(Tier)[number % 3])])
    await parts.outbox.close()
    parts = Parts(tmp_path / "outbox.db")
    await parts.outbox.open()
    async with parts.running():
        await emptied(parts)
    sent = [one.timestamp for call in parts.table.calls for one in call]
    assert sent == [NOW + number for number in range(60)]
    await parts.outbox.close()


async def test_an_outage_loses_nothing(parts: Parts) -> None:
    """Rows wait in the file and are counted while the table is away, and are sent when it is back; none is missing."""
    parts.table.away = True
    async with parts.running():
        await parts.outbox.write(many(100))

        async def retried() -> bool:
            return parts.value("price_dynamodb_retries_total") > 100

        await until(retried)
        assert await parts.rows() == 100
        parts.table.away = False
        await emptied(parts)
    assert len(parts.table.items) == 100


async def test_half_taken_batches_are_finished(parts: Parts) -> None:
    """UnprocessedItems are sent again, and only those."""
    parts.table.take_half = True
    async with parts.running():
        await parts.outbox.write(many(25))
        await emptied(parts)
    assert [len(call) for call in parts.table.calls] == [25, 12, 6, 3, 1]
    assert len(parts.table.items) == 25


async def test_the_later_of_two_with_one_key_wins(parts: Parts) -> None:
    """The second waits while the first is in flight; they never share a batch."""
    parts.table.let.clear()
    async with parts.running():
        await parts.outbox.write([price(amount="1")])

        async def sent() -> bool:
            return len(parts.table.calls) == 1

        await until(sent)
        await parts.outbox.write([price(amount="2"), price(amount="3"), price(timestamp=NOW + 1)])
        parts.table.let.set()
        await emptied(parts)
    assert parts.table.items["btcusdt", NOW].price == 3
    assert len(parts.table.items) == 2


async def test_a_row_with_a_smaller_id_is_found_under_load(parts: Parts) -> None:
    """A row whose id is smaller than those already sent, as after a clock was set back, is sent soon."""
    async with parts.running():
        await parts.outbox.write(many(1))
        await emptied(parts)
        parts.outbox._file._last_id = 0
        late = price("late")

        def insert(connection: sqlite3.Connection) -> None:
            row = (1, late.asset, late.timestamp, encode(late).decode())
            connection.execute("INSERT INTO waiting_hot VALUES (?, ?, ?, ?)", row)

        await parts.outbox._file._file.write(insert)
        second = 0
        async with asyncio.timeout(allowed(20)):
            while ("late", NOW) not in parts.table.items:
                second += 1
                await parts.outbox.write([price(timestamp=NOW + second)])
                await asyncio.sleep(0.02)


async def test_draining_ends_early_or_in_time(parts: Parts) -> None:
    """If the table can be reached, rows are sent without lingering; if not, they stay for the next start."""
    async with parts.running():
        await parts.outbox.write(many(3))
        await parts.outbox.drain(10)
        assert len(parts.table.items) == 3
        parts.table.away = True
        await parts.outbox.write(many(3, "ethusdt"))
        await parts.outbox.drain(0.05)
        assert await parts.rows() == 3


async def test_how_much_waits_is_a_metric(parts: Parts) -> None:
    """Rows, bytes and the age of the oldest."""
    parts.table.away = True
    async with parts.running():
        await parts.outbox.write(many(30))

        async def measured() -> bool:
            return parts.value("price_outbox_rows") == 30 and parts.value("price_outbox_oldest_age_seconds") > 0

        await until(measured)
    assert parts.value("price_outbox_bytes") > 0
