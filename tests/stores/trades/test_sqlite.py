"""What only the SQLite store of trades has: the journal, and its seam with the blocks."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.errors import StoreUnavailable
from aggregator.models import Trade, TradeKey, encode, trade_key
from aggregator.stores.trades import pending
from aggregator.stores.trades.sqlite import SqliteTrades
from tests.parts.examples import NOW
from tests.stores.trades.parts import ALWAYS, HOUR, naive, pages, trade
from tests.stores.trades.sqlite_parts import ASSETS, GENERATION, of_many_assets, opened


def rows(path: Path) -> tuple[int, int]:
    """Return the number of trades in blocks, and of rows of the journal."""
    with closing(sqlite3.connect(path)) as file:
        moved = file.execute("SELECT coalesce(sum(json_array_length(body)), 0) FROM blocks").fetchone()[0]
        return moved, file.execute("SELECT count(*) FROM journal").fetchone()[0]


async def all_of(store: SqliteTrades, asset: str = "btcusdt") -> list[Trade]:
    """Return all trades of an asset, oldest first."""
    return await store.trades(asset, *ALWAYS, 1_000_000, newest_first=False)


async def test_the_journal_is_read_back(tmp_path: Path) -> None:
    """Trades that only the journal has are there after a restart, and are known as stored."""
    path = tmp_path / "trades.db"
    async with opened(path) as store:
        await store.add([trade(0), trade(1)])
        await store.add([trade(1), trade(2, asset="ethusdt")])
    assert rows(path) == (0, 2)
    async with opened(path) as store:
        assert await all_of(store) == [trade(0), trade(1)]
        assert await store.latest(["btcusdt", "ethusdt"]) == {
            "btcusdt": trade(1),
            "ethusdt": trade(2, asset="ethusdt"),
        }
        assert await store.add([trade(2, asset="ethusdt"), trade(3)]) == [trade(3)]


async def test_a_move_empties_the_journal(tmp_path: Path) -> None:
    """Once a generation is in the blocks, its rows of the journal go; trades that come meanwhile keep theirs."""
    path = tmp_path / "trades.db"
    async with opened(path) as store:
        await store.add([trade(number) for number in range(100)])
        await store.tidy()
        assert rows(path) == (100, 0)
        await store.add([trade(100)])
        assert rows(path) == (100, 1)
        assert await store.add([trade(100), trade(50)]) == []
        assert rows(path) == (100, 1)
        assert await all_of(store) == [trade(number) for number in range(101)]


async def test_tidying_without_trades(tmp_path: Path) -> None:
    """It does nothing to an empty store, nor a second time."""
    async with opened(tmp_path / "trades.db") as store:
        await store.tidy()
        await store.add([trade()])
        await store.tidy()
        await store.tidy()
        assert rows(tmp_path / "trades.db") == (1, 0)


@pytest.fixture
def small_generations(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let a generation be full with 2,000 trades; return how many trades arrive while it is moved."""
    monkeypatch.setattr(pending, "FULL", GENERATION)
    return 1600  # in calls of 100, each of which moves about 126


async def assert_holds(store: SqliteTrades, expected: Sequence[Trade]) -> None:
    """Assert that the store has these trades of the ten assets, each once, in both orders."""
    for asset in ASSETS:
        ours = [one for one in expected if one.asset == asset]
        assert await pages(store, 70, newest_first=False, asset=asset) == ours
        assert await pages(store, 70, newest_first=True, asset=asset) == ours[::-1]


async def write(store: SqliteTrades, first: int, until: int) -> None:
    """Add these trades, a hundred at a time."""
    for place in range(first, until, 100):
        assert len(await store.add(of_many_assets(place, place + 100))) == 100


async def test_writes_move_trades_along(tmp_path: Path, small_generations: int) -> None:
    """A full generation is moved with the writes that follow, and then its rows of the journal go."""
    path = tmp_path / "trades.db"
    async with opened(path) as store:
        await write(store, 0, 2000)
        assert rows(path) == (0, 20)
        await write(store, 2000, 2800)
        moved, journal = rows(path)
        assert (0 < moved < 2000, journal) == (True, 28)  # a move half done
        await assert_holds(store, of_many_assets(0, 2800))
        await write(store, 2800, 2000 + small_generations + 100)
        assert rows(path)[0] >= 2000
        assert rows(path)[1] == small_generations // 100 + 1
        await assert_holds(store, of_many_assets(0, 2000 + small_generations + 100))
        assert await store.add(of_many_assets(0, 2000 + small_generations + 100)) == []


@pytest.mark.usefixtures("small_generations")
async def test_a_restart_in_the_midst_of_a_move(tmp_path: Path) -> None:
    """Trades that are both in the journal and in the blocks are there once, and the move is done again."""
    path = tmp_path / "trades.db"
    async with opened(path) as store:
        await write(store, 0, 2800)
    assert 0 < rows(path)[0] < 2000
    async with opened(path) as store:
        await assert_holds(store, of_many_assets(0, 2800))
        assert await store.add(of_many_assets(0, 2800)) == []
        await write(store, 2800, 3000)
        await assert_holds(store, of_many_assets(0, 3000))
    async with opened(path) as store:
        await store.tidy()
        assert rows(path) == (3000, 0)
        await assert_holds(store, of_many_assets(0, 3000))
        assert await store.add(of_many_assets(0, 3000)) == []


async def test_a_late_trade_in_the_journal_hides_no_newer_one(tmp_path: Path) -> None:
    """After a restart, a move of an old trade does not make the store forget newer ones of the blocks."""
    path = tmp_path / "trades.db"
    async with opened(path) as store:
        await store.add([trade(100)])
        await store.tidy()
        await store.add([trade(50)])
    async with opened(path) as store:
        await store.tidy()
        assert rows(path) == (2, 0)
        assert await store.add([trade(100), trade(50)]) == []


_trades = st.lists(st.tuples(st.integers(0, 12), st.sampled_from("ab"), st.sampled_from("xyz")), max_size=12)


@settings(max_examples=12)
@given(_trades, _trades, _trades, st.integers(1, 4), st.integers(-1, 13), st.integers(-1, 13), st.booleans())
async def test_reads_across_the_seam(
    tmp_path_factory: pytest.TempPathFactory,
    in_table: list[tuple[int, str, str]],
    in_both: list[tuple[int, str, str]],
    in_journal: list[tuple[int, str, str]],
    limit: int,
    start: int,
    end: int,
    newest_first: bool,  # noqa: FBT001  # Hypothesis passes it by position
) -> None:
    """Whether trades are in the table, in the journal or in both, pages of a range have each once and in order."""
    path = tmp_path_factory.mktemp("seam") / "trades.db"
    keys = dict.fromkeys([*in_table, *in_both, *in_journal])
    known = {key: trade(timestamp=NOW + key[0], venue=key[1], trade_id=key[2]) for key in keys}
    async with opened(path) as store:
        await store.add([known[key] for key in (*in_table, *in_both)])
        await store.tidy()
    with closing(sqlite3.connect(path)) as file:  # as a restart in the midst of a move finds it
        file.execute("INSERT INTO journal VALUES (1000, 0, ?)", (encode([known[key] for key in in_both]),))
        file.commit()
    async with opened(path) as store:
        await store.add([known[key] for key in in_journal])
        found: list[Trade] = []
        after: TradeKey | None = None
        bounds = (NOW + start, NOW + end)
        while page := await store.trades("btcusdt", *bounds, limit, newest_first=newest_first, after=after):
            found += page
            after = trade_key(page[-1])
        everything = list(known.values())
        assert found == naive(everything, "btcusdt", *bounds, 1000, newest_first=newest_first)
        newest = naive(everything, "btcusdt", *ALWAYS, 1, newest_first=True)
        assert list((await store.latest(["btcusdt"])).values()) == newest


async def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """While the file cannot be written to, `add` raises; then the same call stores everything once."""
    path = tmp_path / "trades.db"
    async with opened(path) as store:
        await store.add([trade(0)])
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable):
                await store.add([trade(0), trade(1)])
            with pytest.raises(StoreUnavailable):
                await store.ping()
            other.execute("ROLLBACK")
        assert await all_of(store) == [trade(0)]
        assert await store.add([trade(0), trade(1)]) == [trade(1)]
        assert await all_of(store) == [trade(0), trade(1)]


async def test_a_write_waits_until_another_process_has_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write succeeds once the lock of the other process is gone, which is looked for in short pauses."""
    path = tmp_path / "trades.db"
    async with opened(path) as store:
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            pauses: list[float] = []

            def pause(seconds: float) -> None:
                pauses.append(seconds)
                if len(pauses) == 3:
                    other.execute("ROLLBACK")

            monkeypatch.setattr("aggregator.stores.database.time.sleep", pause)
            assert await store.add([trade(0)]) == [trade(0)]
        assert pauses == [0.002] * 3


async def test_a_write_has_five_statements(tmp_path: Path, small_generations: int) -> None:
    """With a move of several assets: a thread that waits for a busy event loop in each should not have more."""
    async with opened(tmp_path / "trades.db") as store:
        number = 3 * small_generations
        await store.add(of_many_assets(0, number))
        seen: list[str] = []
        await store._file._writer.run(lambda connection: connection.set_trace_callback(seen.append))
        await store.add(of_many_assets(number, number + 20))
        await store._file._writer.run(lambda connection: connection.set_trace_callback(None))
    assert [one.split()[0] for one in seen if "journal WHERE id" not in one] == [
        "BEGIN", "SELECT", "INSERT", "INSERT", "COMMIT",
    ]  # fmt: skip


async def test_a_start_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    """While another process writes, a file that has its tables is opened and read."""
    path = tmp_path / "trades.db"
    async with opened(path) as store:
        await store.add([trade(0)])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with opened(path) as store:
            assert await all_of(store) == [trade(0)]
            other.execute("ROLLBACK")


async def test_a_cancelled_call_does_not_stop_later_ones(tmp_path: Path) -> None:
    """The write of a cancelled call goes on in its thread; later calls store their trades all the same."""
    path = tmp_path / "trades.db"
    async with opened(path) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # so that the write is under way when the call is cancelled
            cancelled = asyncio.create_task(store.add([trade(0)]))
            await asyncio.wait([cancelled], timeout=0.05)
            cancelled.cancel()
            other.execute("ROLLBACK")
        assert await store.add([trade(1)]) == [trade(1)]
        await store.add([trade(0)])
        assert await all_of(store) == [trade(0), trade(1)]
        assert cancelled.cancelled()


async def test_trades_older_than_the_retention_are_deleted(tmp_path: Path) -> None:
    """By their own time, of every asset, in parts; the newer ones stay."""
    path = tmp_path / "trades.db"
    numbers = [trade(-number, asset=asset) for asset in ("btcusdt", "ethusdt") for number in range(7200)]
    async with opened(path, retention=HOUR) as store:
        for first in range(0, len(numbers), 2000):
            await store.add(numbers[first : first + 2000])
        while rows(path)[1]:
            await store.add([])
            await store.tidy()
        await store.expire()
        for asset in ("btcusdt", "ethusdt"):
            assert [one.timestamp for one in await all_of(store, asset)] == [NOW - 3600 + one for one in range(3601)]
