"""Lines of stored trades for the archive: the trades of the store in the order of keys, each once."""

import random
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from math import nextafter
from pathlib import Path

import msgspec
import pytest

from aggregator.models import Side, Trade, trade_key
from aggregator.stores.trades import blocks, sqlite
from aggregator.stores.trades.sqlite import SqliteTrades

START = 1_795_003_200.0  # 2026-11-18T12:00:00Z
_ID = '"},{"asset":"x","price":1,"volume":null,"timestamp":2,'  # texts of JSON in a text


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteTrades]:
    """Open a store."""
    opened = SqliteTrades(tmp_path / "trades.db", 1e12)
    await opened.open()
    yield opened
    await opened.close()


def made(chance: random.Random, number: int) -> list[Trade]:
    """Return trades around the hour, with every form of a field."""
    numbers = ["100.25", "1E-30", "123456789012345678901234.5", "7"]
    return [
        Trade(
            "btcusdt",
            Decimal(chance.choice(numbers)),
            chance.choice([None, Decimal(chance.choice(numbers))]),
            round(START + chance.uniform(-30, 330), chance.choice([0, 3, 6])),
            chance.choice(["okx", "kraken"]),
            f"{chance.choice([_ID, 'ü', ''])}{place}",
            chance.choice([None, *Side]),
            chance.choice([None, place]),
            late=chance.random() < 0.1,
        )
        for place in range(number)
    ]


async def in_blocks(store: SqliteTrades, lists: Sequence[Sequence[Trade]]) -> None:
    """Put trades into blocks of their own."""
    rows = blocks.block_rows([sorted(one, key=trade_key) for one in lists])
    await store._file.write(lambda connection: blocks.insert_blocks(connection, rows))


async def read(store: SqliteTrades, start: float, end: float) -> list[Trade]:
    """Return the trades of all lines."""
    found, place = list[Trade](), None
    while True:
        lines = await store.lines("btcusdt", start, end, place)
        assert lines is not None
        decoded = [msgspec.json.decode(line, type=Trade) for line in lines.text.splitlines()]
        assert len(decoded) == lines.number
        found += decoded
        if lines.reached is None:
            return found
        place = lines.reached


@pytest.mark.parametrize("seed", range(8))
async def test_lines_are_the_trades_of_the_store(
    store: SqliteTrades, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks overlap, have trades twice, and cross both ends of the range; a read has a few blocks."""
    monkeypatch.setattr(sqlite, "_MOST_LINES", 20)
    chance = random.Random(seed)
    trades = sorted(made(chance, 300), key=lambda one: one.timestamp + chance.random() * (seed % 4))
    size = chance.choice([1, 7, 40])
    lists = [trades[at : at + size] for at in range(0, len(trades), size)]
    await in_blocks(store, [*lists, trades[50:90]])
    for start, end in ((START, nextafter(START + 300, 0)), (START - 1e6, START + 1e6), (START + 3, START + 3)):
        assert await read(store, start, end) == await store.trades("btcusdt", start, end, 1000, newest_first=False)


async def test_waiting_trades_are_read_as_trades(store: SqliteTrades) -> None:
    """A trade of the range that is in no block yet: there are no lines. One outside of the range does not matter."""
    waiting = made(random.Random(1), 1)[0]
    await in_blocks(store, [made(random.Random(2), 10)])
    await store.add([waiting])
    assert await store.lines("btcusdt", START - 60, START + 600) is None
    assert await store.lines("btcusdt", START + 400, START + 600) is not None
    assert await store.lines("ethusdt", START - 60, START + 600) is not None
