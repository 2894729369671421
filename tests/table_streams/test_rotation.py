"""A shard of a table's stream is replaced by another one, as Amazon does every few hours: no item is lost or twice.

DynamoDB Local replaces no shard within a test. So the clients of this test show its one shard as two: the items up to
a sequence number are in the first, which ends there; those behind it are in its child.
"""

import pytest

from aggregator.trades.event_log.kinesis.client import RecordsPage
from aggregator.trades.event_log.kinesis.shard_plan import Shard
from aggregator.trades.event_log.kinesis.table_stream import TableStreamClients
from tests.parts.dynamodb import DynamoServer
from tests.parts.table_stream import StreamedTable, market_item
from tests.table_streams.test_source import Outbox, reading

pytestmark = pytest.mark.real

CHILD = "1"  # follows the name of the parent
IN_CHILD = "child "


class Rotating(TableStreamClients):
    """A stream whose shard ends after `most` items; the child has the others."""

    most = 3
    cut = ""

    async def shards(self) -> list[Shard]:
        """Return the parent; with its child once the parent has ended."""
        (parent,) = await super().shards()
        return [parent, Shard(parent.id + CHILD, (parent.id,))] if self.cut else [parent]

    async def iterator(self, shard: str, kind: str, **position: object) -> str:
        """Begin in the parent, or in the child, which begins behind the last item of the parent."""
        parent = (await super().shards())[0].id
        if shard == parent:
            return await super().iterator(parent, kind, **position)
        if "StartingSequenceNumber" not in position:
            kind, position = "AFTER_SEQUENCE_NUMBER", {"StartingSequenceNumber": self.cut}
        return IN_CHILD + await super().iterator(parent, kind, **position)

    async def records(self, iterator: str) -> tuple[RecordsPage, int]:
        """Return a page of the parent, which ends with the last item that is its own, or of the child."""
        page, size = await super().records(iterator.removeprefix(IN_CHILD))
        following = page.next_shard_iterator
        if iterator.startswith(IN_CHILD):
            return RecordsPage(page.records, 0, None if following is None else IN_CHILD + following), size
        if len(page.records) >= self.most or self.cut:
            own = [one for one in page.records if not self.cut or int(one.sequence_number) <= int(self.cut)]
            own = own[: self.most]
            if own:
                type(self).cut = own[-1].sequence_number
            return RecordsPage(own, 0, None), size
        return page, size


async def test_a_shard_is_followed_by_its_child(
    dynamodb_running: DynamoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its items are handed over after those of the parent, and a restart goes on in the child."""
    monkeypatch.setattr("tests.table_streams.test_source.TableStreamClients", Rotating)
    table, outbox = StreamedTable(dynamodb_running), Outbox()
    for number in range(1, 6):
        table.put(market_item(number, price=str(number)))
    async with reading(table.url(), outbox) as stream:
        await outbox.has(5)
        assert stream.trouble == ""
    table.put(market_item(6, price="6"))
    again = Outbox()
    async with reading(table.url(), again):
        await again.has(1)
    keys = [one.key for one in (*outbox.events, *again.events)]
    assert len(keys) == len(set(keys)) == 6
    times = [one.timestamp for one in (*outbox.events, *again.events)]
    assert times == sorted(times)
    assert "SHARD_END" in table.checkpoints()
