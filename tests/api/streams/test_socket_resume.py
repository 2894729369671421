"""WebSockets that continue after a reconnect, as streams of Server-Sent Events do with Last-Event-ID."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from aggregator.api.prices.snapshots import PriceSnapshots
from aggregator.live.fanout import NOT_KEPT
from aggregator.live.subscriber import Subscription
from tests.api.streams.living import Live, hear, heard, living, say


async def begin(client: ClientConnection, last: str, *assets: str) -> None:
    """Subscribe to assets, with the id of the last event."""
    assert (await say(client, type="subscribe", assets=assets, last_event_id=last))["type"] == "subscribed"


async def told(live: Live, client: ClientConnection, asset: str) -> dict[str, Any]:
    """Make a price, and return the message of it."""
    await live.tell(asset)
    return await heard(client, "price")


async def test_a_client_gets_what_it_has_missed() -> None:
    """Prices of assets that it subscribes to, each once and in order, without a snapshot; then new ones."""
    async with living() as live:
        async with live.client() as client:
            await begin(client, "", "asset1", "asset2")
            assert (await hear(client))["id"] == live.fanout.last_id
            last = (await told(live, client, "asset1"))["id"]
            assert last == live.fanout.last_id
        for asset in ("asset2", "asset3", "asset1"):
            await live.tell(asset)
        async with live.client() as client:
            await begin(client, last, "asset1", "asset2")
            missed = [await hear(client) for _ in range(2)]
            assert [message["price"]["asset"] for message in missed] == ["asset2", "asset1"]
            assert missed[-1]["id"] == live.fanout.last_id
            assert (await told(live, client, "asset2"))["id"] == live.fanout.last_id


async def test_a_snapshot_can_be_resumed_from() -> None:
    """The id of a snapshot names the last event that it has."""
    async with living() as live:
        await live.tell("asset1")
        async with live.client() as client:
            await begin(client, "", "asset1")
            last = (await hear(client))["id"]
        await live.tell("asset1")
        async with live.client() as client:
            await begin(client, last, "asset1")
            assert (await hear(client))["id"] == live.fanout.last_id


@pytest.mark.parametrize("last", ["00000000-1", "no id", "\u0661"])
async def test_events_that_are_not_kept_are_a_gap(last: str) -> None:
    """The reason comes first, then a snapshot, then new prices."""
    async with living() as live, live.client() as client:
        await live.tell("asset1")
        await begin(client, last, "asset1")
        assert await hear(client) == {"type": "gap", "msg": NOT_KEPT.format("prices")}
        snapshot = await hear(client)
        assert (snapshot["type"], snapshot["id"]) == ("snapshot", live.fanout.last_id)
        assert (await told(live, client, "asset1"))["id"] == live.fanout.last_id


async def test_only_the_first_subscription_resumes() -> None:
    """A later one would not be in the order of ids; it is refused, and the first goes on."""
    async with living() as live, live.client() as client:
        await begin(client, "", "asset1")
        last = (await hear(client))["id"]
        refused = await say(client, type="subscribe", assets=["asset2"], last_event_id=last)
        assert (refused["type"], refused["code"]) == ("error", "invalid_parameter")
        assert (await told(live, client, "asset1"))["price"]["asset"] == "asset1"


async def test_a_snapshot_before_older_events_has_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """A price of another asset comes while the snapshot is read, and is sent after it: its id is the one to keep."""
    read = PriceSnapshots.read

    async with living() as live, live.client() as client:
        await begin(client, "", "asset1")
        await hear(client)

        async def slow(self: PriceSnapshots, subscription: Subscription) -> Callable[[], Sequence[bytes]]:
            await live.tell("asset1")
            return await read(self, subscription)

        monkeypatch.setattr(PriceSnapshots, "read", slow)
        await say(client, type="subscribe", assets=["asset2"])
        snapshot, price = await hear(client), await hear(client)
        assert (snapshot["type"], price["type"]) == ("snapshot", "price")
        assert "id" not in snapshot
        assert price["id"] == live.fanout.last_id


@pytest.mark.parametrize("more", [{"assets": ["asset1"]}, {"assets": ["asset2"]}, {"tiers": ["hot"]}])
async def test_another_subscription_does_not_overtake_what_was_missed(more: dict[str, Any]) -> None:
    """A snapshot before it would be followed by older prices, and its id would leave out what was missed."""
    async with living() as live:
        async with live.client() as client:
            await begin(client, "", "asset1")
            last = (await hear(client))["id"]
        for _ in range(2):
            await live.tell("asset1")
        async with live.client() as client:
            resumed = {"type": "subscribe", "assets": ["asset1"], "last_event_id": last}
            for message in (resumed, {"type": "subscribe"} | more):  # without waiting for the answer
                await client.send(json.dumps(message))
            found = [await hear(client) for _ in range(5)]
            assert [message["type"] for message in found] == ["subscribed", "price", "price", "subscribed", "snapshot"]
            assert found[-1]["id"] == found[2]["id"] == live.fanout.last_id


async def test_a_snapshot_before_a_gap_has_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices of another asset may be missed while the snapshot is read: who resumed after it would not be told."""
    read = PriceSnapshots.read

    async with living() as live, live.client() as client:
        await begin(client, "", "asset1")
        await hear(client)

        async def slow(self: PriceSnapshots, subscription: Subscription) -> Callable[[], Sequence[bytes]]:
            monkeypatch.setattr(PriceSnapshots, "read", read)
            live.fanout.disconnected()
            live.fanout.connected()
            return await read(self, subscription)

        monkeypatch.setattr(PriceSnapshots, "read", slow)
        await say(client, type="subscribe", assets=["asset2"])
        found = [await hear(client) for _ in range(3)]
        assert [message["type"] for message in found] == ["snapshot", "gap", "snapshot"]
        assert ["id" in message for message in found] == [False, False, True]
