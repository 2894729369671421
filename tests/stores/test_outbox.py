"""The outbox: on disk first, in the table soon, never lost, never twice, never out of order.

The table here is a small one in memory that does what it is told, as DynamoDB cannot be told to fail just so; against
the real DynamoDB Local, and through real outages, it is shown in tests/stores/test_contract.py and tests/chaos.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aggregator.errors import StoreRefused, StoreUnavailable
from aggregator.metrics import Metrics
from aggregator.models import Price, Tier, encode
from aggregator.stores.outbox import Outbox
from aggregator.stores.outbox_file import OutboxFile
from tests.parts.examples import NOW, price

Keys = list[tuple[str, float]]


class ScriptedTable:
    """A table in memory that can be away, take half, refuse an asset for good, or hold a batch back."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, float], Price] = {}
        self.calls: list[list[Price]] = []
        self.away = False
        self.take_half = False
        self.refuses = ""
        self.let = asyncio.Event()
        self.let.set()

    async def put(self, prices: Sequence[Price]) -> list[Price]:
        """Take a batch as DynamoDB would, or fail as told."""
        assert 0 < len(prices) <= 25
        assert len({(one.asset, one.timestamp) for one in prices}) == len(prices), "DynamoDB refuses doubled keys"
        self.calls.append(list(prices))
        await self.let.wait()
        if self.away:
            raise StoreUnavailable("away")
        if any(one.asset == self.refuses for one in prices):
            raise StoreRefused("ValidationException")
        cut = (len(prices) + 1) // 2 if self.take_half else len(prices)
        self.items |= {(one.asset, one.timestamp): one for one in prices[:cut]}
        return list(prices[cut:])

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Answer from what was taken."""
        if self.away:
            raise StoreUnavailable("away")
        ours = sorted((one for one in self.items.values() if one.asset in symbols), key=lambda one: one.timestamp)
        return {one.asset: one for one in ours}

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """Answer from what was taken."""
        if self.away:
            raise StoreUnavailable("away")
        ours = [one for one in self.items.values() if one.asset == symbol and start <= one.timestamp <= end]
        return sorted(ours, key=lambda one: one.timestamp, reverse=newest_first)[:limit]

    async def close(self) -> None:
        """Nothing to let go of."""


class Parts:
    """An outbox on a file, before a table in memory."""

    def __init__(self, path: Path, most_bytes: int = 1 << 30) -> None:
        self.path = path
        self.table = ScriptedTable()
        self.metrics = Metrics(CollectorRegistry())
        self.outbox = Outbox(path, most_bytes, self.table, self.metrics)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the outbox in the background."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.outbox.run())
            yield
            task.cancel()

    async def rows(self) -> int:
        """Return how many wait."""
        return (await self.outbox._file.size()).rows

    def value(self, name: str, **labels: str) -> float:
        """Return a series' value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    """Return an open outbox that is not running yet."""
    parts = Parts(tmp_path / "outbox.db")
    await parts.outbox.open()
    yield parts
    await parts.outbox.close()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition, with a deadline."""
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


async def emptied(parts: Parts) -> None:
    """Wait until nothing waits."""

    async def nothing_waits() -> bool:
        return await parts.rows() == 0

    await until(nothing_waits)


def many(count: int, asset: str = "btcusdt", tier: Tier = Tier.HOT, start: float = NOW) -> list[Price]:
    """Return so many prices of one asset, a second apart."""
    return [price(asset, start + number, amount=str(number + 1), tier=tier) for number in range(count)]


async def test_written_is_on_disk(parts: Parts) -> None:
    """Before write returns, another connection sees it; the table has not been asked."""
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


async def test_what_the_last_run_left_goes_first(tmp_path: Path) -> None:
    """Killed with rows on disk: the next start sends them, the oldest first, across the tiers."""
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
    """Away, it waits on disk and is counted; back, it drains by itself; nothing is in the table twice or missing."""
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


async def test_one_bad_price_becomes_a_dead_letter_and_spoils_no_other(parts: Parts) -> None:
    """Refused for good, it is found among its batch, set aside with the reason, and not tried for ever."""
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
    """Replayed by another process even: the running one finds it and sends it; deleted is gone."""
    parts.table.refuses = "badusdt"
    async with parts.running():
        await parts.outbox.write([price("badusdt"), price("badusdt", NOW + 1)])
        await emptied(parts)
        parts.table.refuses = ""
        other = OutboxFile(parts.path, 1 << 30)
        await other.open()
        first, second = await other.dead_letters(0, 10)
        await other.replay(first)
        await other.replay(first)  # who comes second does no harm
        await other.forget(second)
        assert await other.dead_letter(second.id) is None

        async def arrived() -> bool:
            return list(parts.table.items) == [("badusdt", NOW)]

        await until(arrived)
        assert await other.dead_letters(0, 10) == []
        await other.close()


async def test_the_later_of_two_with_one_key_wins(parts: Parts) -> None:
    """While the first is on its way, the second waits for it; they never share a batch."""
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


async def test_reads_see_both_what_waits_and_what_was_sent(parts: Parts) -> None:
    """In one order, each time once, the newer word for the same key."""
    sent, waiting = many(10), many(10, start=NOW + 5)
    parts.table.items = {(one.asset, one.timestamp): one for one in sent}
    await parts.outbox.write(waiting)
    both = sent[:5] + waiting
    assert await parts.outbox.between("btcusdt", 0, NOW * 2, 100, newest_first=False) == both
    assert await parts.outbox.between("btcusdt", 0, NOW * 2, 7, newest_first=True) == both[::-1][:7]
    assert await parts.outbox.latest(["btcusdt", "nosuch"]) == {"btcusdt": waiting[-1]}


async def test_while_the_table_is_away_latest_answers_from_what_waits(parts: Parts) -> None:
    """A range, of which part would be missing, is refused rather than answered in part."""
    await parts.outbox.write([price()])
    parts.table.away = True
    assert await parts.outbox.latest(["btcusdt"]) == {"btcusdt": price()}
    with pytest.raises(StoreUnavailable):
        await parts.outbox.latest(["ethusdt"])
    with pytest.raises(StoreUnavailable):
        await parts.outbox.between("btcusdt", 0, NOW * 2, 10, newest_first=True)


async def test_a_full_outbox_gives_up_the_oldest_cold_first(tmp_path: Path) -> None:
    """Bounded on disk; what goes is counted by tier, cold before medium before hot, the oldest before the newer."""
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
    """Locked by somebody else, writes fail and the ping says so; let go, everything goes on."""
    async with parts.running():
        other = sqlite3.connect(parts.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            await parts.outbox.write(many(30))
        assert len(parts.table.items) == 30  # sent at once instead, without a promise
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


async def test_many_words_for_one_time_hide_no_other_time(parts: Parts) -> None:
    """Eight for the first second, one for the next: a page of three has the three oldest times."""
    parts.table.items = {("btcusdt", NOW + number): price(timestamp=NOW + number) for number in (3, 4)}
    for amount in range(8):
        await parts.outbox.write([price(timestamp=NOW + 1, amount=str(amount + 1))])
    await parts.outbox.write([price(timestamp=NOW + 2)])
    found = await parts.outbox.between("btcusdt", 0, NOW * 2, 3, newest_first=False)
    assert [one.timestamp for one in found] == [NOW + 1, NOW + 2, NOW + 3]
    assert found[0].price == 8


async def test_dead_letters_push_out_nothing_that_waits(tmp_path: Path) -> None:
    """They are kept outside the bound: what DynamoDB would take is not given up for what it will not."""
    parts = Parts(tmp_path / "outbox.db", most_bytes=1 << 20)
    await parts.outbox.open()
    for start in range(0, 3000, 500):
        await parts.outbox._file.append(many(500, "dead", start=NOW + start))
        for row in await parts.outbox._file.after(0, 500):
            await parts.outbox._file.bury(row, "no", NOW)
    for number in range(10):
        await parts.outbox.write(many(20, "hot", start=NOW + 100 * number))
    assert await parts.rows() == 200
    assert parts.value("price_outbox_refused_total", tier="hot") == 0
    await parts.outbox.close()


async def test_a_row_that_comes_in_behind_is_found_under_load(parts: Parts) -> None:
    """With an id older than what was sent already, as by a clock set back: sent soon, not at the next lull."""
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
        async with asyncio.timeout(20):
            while ("late", NOW) not in parts.table.items:
                second += 1
                await parts.outbox.write([price(timestamp=NOW + second)])
                await asyncio.sleep(0.02)


async def test_a_file_that_cannot_be_read_does_not_keep_us_from_stopping(parts: Parts) -> None:
    """Nor do the figures stand still while only the checkpoint fails."""
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


async def test_draining_ends_early_or_in_time(parts: Parts) -> None:
    """With the table there, what waits is sent without lingering; with it away, the rest stays for the next start."""
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
