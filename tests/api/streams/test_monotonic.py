"""No stream sends an older price after this process has sent a newer one, on that stream or in another response."""

import itertools

import pytest

from aggregator.live.price_topic import PRICES
from tests.api.streams.living import hear, living, say
from tests.parts.examples import NOW, price
from tests.parts.live import stream


async def test_a_snapshot_is_no_older_than_sent_events() -> None:
    """A client that subscribes again gets the same price or a newer one, even if the cached snapshot is older."""
    async with living() as live, live.client() as client:
        await live.tell("asset1")
        await say(client, type="subscribe", assets=["asset1"])
        first = (await hear(client))["prices"][0]["timestamp"]
        await live.tell("asset1")
        sent = (await hear(client))["price"]["timestamp"]
        assert sent > first
        await say(client, type="subscribe", assets=["asset1"])
        assert (await hear(client))["prices"][0]["timestamp"] == sent


async def test_a_snapshot_is_no_older_than_other_responses() -> None:
    """A price that was read from history and never published is in the next snapshot."""
    async with living() as live:
        await live.tell("asset1", "asset2")
        async with stream(live.url) as one:
            await one.until("snapshot")
            answered = live.cache.newest.at_least(price("asset1", NOW + 60))
            async with stream(live.url) as two:
                shown = {found["asset"]: found["timestamp"] for found in (await two.until("snapshot")).data["prices"]}
                assert shown["asset1"] == answered.timestamp


async def test_a_late_event_is_not_sent() -> None:
    """A price that is published after a newer one was sent is dropped; the next newer one is sent."""
    async with living() as live, stream(live.url) as one:
        await one.until("snapshot")
        live.cache.newest.at_least(price("asset1", NOW + 60))
        live.hub.publish(PRICES, [price("asset1", NOW + 59)])
        live.hub.publish(PRICES, [price("asset1", NOW + 61)])
        assert (await one.until("price")).data["timestamp"] == NOW + 61


@pytest.mark.parametrize("seconds", [0, 1], ids=["cached snapshot", "snapshot read anew"])
async def test_after_a_gap_the_snapshot_is_no_older(seconds: int) -> None:
    """Even if the stores return an older one by then, or none."""
    clock = itertools.count(step=seconds).__next__  # of the cached snapshots: one is valid for less than a second
    async with living(clock=clock) as live, stream(live.url) as one:
        await live.tell("asset1")
        await one.until("snapshot")
        live.hub.publish(PRICES, [price("asset1", NOW + 60)])
        newest = 0.0
        while newest != NOW + 60:  # the first price comes before it if the snapshot was taken even earlier
            newest = (await one.until("price")).data["timestamp"]
        live.hub.disconnect()
        live.cache.newest.release_all()
        live.hub.connect()
        await one.until("gap")
        shown = (await one.until("snapshot")).data["prices"]
        assert [found["timestamp"] for found in shown] == [NOW + 60]
