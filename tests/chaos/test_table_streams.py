"""The role `streams` is killed while a table is written: no item is lost. One kill, twenty with CHAOS=full."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from signal import SIGKILL

import pytest

from tests.parts.dynamodb import DynamoServer
from tests.parts.limits import FULL, allowed
from tests.parts.service import Service
from tests.parts.site import reply, site
from tests.parts.table_stream import StreamedTable, market_item

pytestmark = pytest.mark.real

KILLS = 20 if FULL else 1
ITEMS = 30  # written around each kill
UNDER_WAY = 100  # events of one delivery


async def test_kills_lose_no_item(dynamodb_running: DynamoServer, tmp_path: Path) -> None:
    """Items without a checkpoint are read again, and known by their keys; only a delivery under way comes twice."""
    table = StreamedTable(dynamodb_running)
    async with site(lasting=60 + 20 * KILLS) as receiver:
        receiver.answers["/hook"] = reply(b"", "204 No Content")
        settings = {"role": "streams", "table_stream": table.url(), "outlets_allow_private": "true"}
        settings["outlets"] = f"{receiver.url('/hook')}?name=desk"

        def arrived() -> list[float]:
            return [one["event"]["price"] for body in receiver.bodies for one in json.loads(body)]

        async def until(number: int) -> None:
            async with asyncio.timeout(allowed(30)):
                while len(set(arrived())) < number:
                    await asyncio.sleep(0.02)

        written = 0

        async def write(number: int) -> None:
            nonlocal written
            for _ in range(number):
                written += 1
                await asyncio.to_thread(table.put, market_item(written, price=str(written)))

        service = await asyncio.to_thread(Service(tmp_path, **settings).started)
        for _ in range(KILLS):
            before = written
            await write(ITEMS)
            await until(before + 1)
            await asyncio.to_thread(service.process.stop, SIGKILL)
            await write(ITEMS)
            service = await asyncio.to_thread(Service(tmp_path, **settings).started)
        await until(written)
        ready = (await asyncio.to_thread(service.get, "/ready")).json
        assert (ready["outlets"], len(ready["partitions"])) == ({"desk": "ok"}, 1)
        assert await asyncio.to_thread(service.process.stop) == 0, service.process.output
    assert list(dict.fromkeys(arrived())) == list(range(1, written + 1))
    assert sum(count - 1 for count in Counter(arrived()).values()) <= UNDER_WAY * KILLS
