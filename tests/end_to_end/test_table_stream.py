"""The role `streams`: items of a table that others write arrive at a webhook."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from aggregator.outlets.receivers.webhook.signature import delivery_headers
from tests.parts.dynamodb import DynamoServer
from tests.parts.limits import allowed
from tests.parts.service import Service
from tests.parts.site import Site, reply, site
from tests.parts.table_stream import StreamedTable, market_item

pytestmark = pytest.mark.real
_ENDED = "outlet desk: ended: HTTP 410: the receiver wants no more events"
SECRET = "a secret of 24 characters"  # noqa: S105  # of this test


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(allowed(60)):
        while not condition():
            await asyncio.sleep(0.05)


async def test_items_arrive_signed_until_the_receiver_wants_no_more(
    dynamodb_running: DynamoServer, tmp_path: Path
) -> None:
    """/ready shows the shards, and the receiver that has ended its subscription."""
    table, secret = StreamedTable(dynamodb_running), tmp_path / "secret"
    secret.write_text(SECRET)
    async with site() as receiver:
        receiver.answers["/hook"] = reply(b"", "204 No Content")
        settings = {
            "role": "streams",
            "table_stream": table.url(),
            "outlets": f"{receiver.url('/hook')}?secret=file:{secret}&name=desk",
            "outlets_allow_private": "true",
        }
        service = await asyncio.to_thread(Service(tmp_path, **settings).started)
        table.put(market_item(1))
        await until(lambda: bool(receiver.bodies))
        _is_signed(receiver)
        (event,) = json.loads(receiver.bodies[0])
        assert (event["topic"], event["asset"], event["event"]["price"]) == ("prices", "btcusdt", 70000.1)
        ready = (await asyncio.to_thread(service.get, "/ready")).json
        assert (ready["ready"], ready["reasons"], len(ready["partitions"])) == (True, [], 1)
        receiver.answers["/hook"] = reply(b"", "410 Gone")
        table.put(market_item(2))

        def reasons() -> list[str]:
            found: list[str] = service.get("/ready").json["reasons"]
            return found

        async with asyncio.timeout(allowed(60)):
            while await asyncio.to_thread(reasons) != [_ENDED]:  # a slow machine is behind in the stream at first
                await asyncio.sleep(0.1)
        assert await asyncio.to_thread(service.process.stop) == 0, service.process.output
    assert len(table.checkpoints() - {"TRIM_HORIZON"}) == 1


def _is_signed(receiver: Site) -> None:
    _, headers = receiver.requests[0]
    body, timestamp = receiver.bodies[0], int(headers["webhook-timestamp"])
    expected = delivery_headers(headers["webhook-id"], timestamp, body, SECRET.encode())
    assert headers["webhook-signature"] == expected["webhook-signature"]
