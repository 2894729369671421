"""Where the outbox cannot keep or send a price: refused rows, no room, a file that fails."""

import sqlite3
from pathlib import Path

import pytest

from aggregator.errors import StoreUnavailable
from aggregator.models import Tier
from aggregator.stores.outbox_file import OutboxFile
from tests.parts.examples import NOW, price
from tests.stores.outbox.parts import Parts, emptied, many, until


async def test_one_refused_price_becomes_a_dead_letter_and_no_other(parts: Parts) -> None:
    """The refused row of a batch is found, moved to the dead letters with the reason, and not sent again."""
    parts.table.refuses = "badusdt"
    async with parts.running():
        await parts.outbox.write([*many(12), price("badusdt"), *many(12, "ethusdt")])
        await emptied(parts)
    assert len(parts.table.items) == 24
    (letter,) = await parts.outbox._file.dead_letters(0, 10)
    assert (letter.asset, letter.timestamp) == ("badusdt", NOW)
    assert "ValidationException" in letter.reason
    assert parts.value("price_dead_letters_added_total") == 1
    assert sum(one.asset == "badusdt" for call in parts.table.calls for one in call) == 2


async def test_a_dead_letter_can_be_replayed_or_deleted(parts: Parts) -> None:
    """A row that another process replays is sent by the running one; a deleted one is gone."""
    parts.table.refuses = "badusdt"
    async with parts.running():
        await parts.outbox.write([price("badusdt"), price("badusdt", NOW + 1)])
        await emptied(parts)
        parts.table.refuses = ""
        other = OutboxFile(parts.path, 1 << 30)
        await other.open()
        first, second = await other.dead_letters(0, 10)
        await other.replay(first)
        await other.replay(first)  # a second replay does no harm
        await other.forget(second)
        assert await other.dead_letter(second.id) is None

        async def arrived() -> bool:
            return list(parts.table.items) == [("badusdt", NOW)]

        await until(arrived)
        assert await other.dead_letters(0, 10) == []
        await other.close()


async def test_dead_letters_displace_no_waiting_row(tmp_path: Path) -> None:
    """They do not count for the bound, so no row that the table would take is deleted for them."""
    parts = Parts(tmp_path / "outbox.db", most_bytes=1 << 18)
    await parts.outbox.open()
    for start in range(0, 1000, 500):
        await parts.outbox._file.append(many(500, "dead", start=NOW + start))
        for row in await parts.outbox._file.after(0, 500):
            await parts.outbox._file.move_to_dead_letters(row, "no", NOW)
    for number in range(10):
        await parts.outbox.write(many(20, "hot", start=NOW + 100 * number))
    assert await parts.rows() == 200
    assert parts.value("price_outbox_refused_total", tier="hot") == 0
    await parts.outbox.close()


async def test_a_full_outbox_deletes_the_oldest_cold_rows_first(tmp_path: Path) -> None:
    """Deleted rows are counted by tier: cold before medium before hot, the oldest first."""
    parts = Parts(tmp_path / "outbox.db", most_bytes=1 << 20)
    await parts.outbox.open()
    for number in range(40):
        start = NOW + 100 * number
        await parts.outbox.write([*many(20, "hot", Tier.HOT, start), *many(40, "cold", Tier.COLD, start)])
    size = await parts.outbox._file.size()
    assert size.bytes <= (1 << 20) + 60 * 4096
    assert parts.path.stat().st_size <= 1.3 * (1 << 20)
    refused = {tier: parts.value("price_outbox_refused_total", tier=tier.value) for tier in Tier}
    assert refused[Tier.COLD] > 0
    assert refused[Tier.MEDIUM] == refused[Tier.HOT] == 0
    assert size.rows == 40 * 60 - refused[Tier.COLD]
    cold = await parts.outbox._file.between("cold", 0, NOW * 2, 10_000, newest_first=False)
    assert cold[-1].timestamp == NOW + 3900 + 39
    assert cold[0].timestamp > NOW
    for number in range(100):
        await parts.outbox.write(many(60, "hot", Tier.HOT, NOW + 10_000 + 100 * number))
    assert parts.value("price_outbox_refused_total", tier="hot") > 0
    assert await parts.outbox._file.between("cold", 0, NOW * 2, 10, newest_first=False) == []
    await parts.outbox.close()


async def test_a_file_that_cannot_be_written_is_an_error_and_heals(parts: Parts) -> None:
    """While another process locks the file, a write fails unless the table takes all prices, and so does a ping."""
    async with parts.running():
        other = sqlite3.connect(parts.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await parts.outbox.write(many(30))
        assert len(parts.table.items) == 30  # sent directly instead
        assert parts.value("price_store_errors_total", store="history", reason="unavailable") == 1
        assert parts.value("price_history_lost_total") == 0
        parts.table.away = True
        with pytest.raises(StoreUnavailable):
            await parts.outbox.write(many(3, "ethusdt"))
        assert parts.value("price_history_lost_total") == 3
        parts.table.away = False
        with pytest.raises(StoreUnavailable):
            await parts.outbox.ping()
        other.execute("ROLLBACK")
        other.close()
        await parts.outbox.write(many(1))
        await parts.outbox.ping()
        await emptied(parts)


async def test_a_file_that_cannot_be_read_does_not_keep_us_from_stopping(parts: Parts) -> None:
    """And the gauges are still set while only the checkpoint fails."""
    parts.table.away = True

    async def refuse() -> None:
        raise StoreUnavailable("disk")

    parts.outbox._file.checkpoint = refuse  # type: ignore[method-assign]
    async with parts.running():
        await parts.outbox.write(many(5))

        async def measured() -> bool:
            return parts.value("price_outbox_rows") == 5

        await until(measured)
        parts.outbox._file.size = refuse  # type: ignore[assignment,method-assign]
        await parts.outbox.drain(0.05)
