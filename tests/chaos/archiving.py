"""Stores trades and archives them until it is killed. `python -m tests.chaos.archiving FOLDER URL FIRST LAST`.

Step n stores trades of some seconds, some of them late by up to two hours, and then archives and joins what is due. It
prints the number of each step whose trades are stored. After the last step, everything is archived.
"""

import asyncio
import random
import sys
from pathlib import Path

from aggregator.archive.storages.address import ArchiveAddress, parse_archive_url
from aggregator.models import Trade
from aggregator.stores.trades.sqlite import SqliteTrades
from tests.archive.parts import Clock, archiving, trade_at

ASSETS = ("btcusdt", "ethusdt", "solusdt")
_STEP_SECONDS = 120
_PART_ROWS = 40  # so that ranges have several parts


def trades_of(step: int) -> list[Trade]:
    """Return the trades of a step."""
    chance = random.Random(step)
    now = step * _STEP_SECONDS
    times = [now - chance.random() * _STEP_SECONDS for _ in range(60)] + [
        now - chance.random() * 7200 for _ in range(3)
    ]
    return [
        trade_at(round(at, 6), chance.choice(ASSETS), f"{at:.4f}".strip("-"), step * 100 + n)
        for n, at in enumerate(times)
    ]


async def main(folder: Path, address: ArchiveAddress, first: int, last: int) -> None:
    """Do the steps first <= step < last."""
    clock = Clock()
    store = SqliteTrades(folder / "trades.db", 1e12, clock.now)
    await store.open()
    async with archiving(store, address, folder, clock, part_rows=_PART_ROWS) as archive:
        for step in range(first, last):
            await archive.store.add(trades_of(step))
            sys.stdout.write(f"stored {step}\n")
            sys.stdout.flush()
            clock.at = step * _STEP_SECONDS + 10.0
            await archive.archiver.archive_due()
            await archive.archiver.compact_due()
        clock.at = 1e7
        await archive.archiver.archive_due()
        await archive.archiver.compact_due()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), parse_archive_url(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
