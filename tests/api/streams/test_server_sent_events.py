"""GET /stream over real connections: snapshot, events, resumption and heartbeats."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import pytest

from aggregator.api.prices.snapshots import PriceSnapshots
from aggregator.live.fanout import NOT_KEPT
from aggregator.live.subscriber import Subscription
from tests.api.streams.living import ASSETS, living
from tests.parts.examples import NOW, price
from tests.parts.live import Stream, stream
from tests.parts.serving import until
from tests.parts.streams import rest


async def test_the_events_of_a_stream() -> None:
    """First the snapshot, in parts of at most a thousand and with the assets that are not listed; then new prices."""
    async with living() as live:
        await live.tell(*ASSETS)
        async with stream(live.url) as one:
            parts = [await one.until("snapshot"), await one.until("snapshot")]
            assert [len(part.data["prices"]) for part in parts] == [1000, 500]
            assert [part.id for part in parts] == ["", live.fanout.last_id]
            await live.tell("asset7")
            event = await one.until("price")
            assert (event.data["asset"], event.id) == ("asset7", live.fanout.last_id)
        async with stream(live.url, "?assets=ASSET1,nosuch,a.b") as one:
            data = (await one.until("snapshot")).data
            assert [found["asset"] for found in data["prices"]] == ["asset1"]
            assert [found["asset"] for found in data["missing"]] == ["nosuch", "a.b"]
        assert one.headers["content-type"].startswith("text/event-stream")
        await until(lambda: live.open_now() == 0)


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("?tier=warm", 400, "tier must be some of hot,medium,cold"),
        ("?tier=", 400, "tier must be some of hot,medium,cold"),
        ("?tier=hot,", 400, "tier must be some of hot,medium,cold"),
        ("?tier=hot&assets=asset1", 400, "Give either assets=btcusdt,ethusdt or tier=hot, or neither for all"),
        ("?assets=", 400, "Name at least one asset"),
        ("?assets=%00", 400, "Invalid asset symbol"),
        ("?assets=nosuch", 404, "Asset not found"),
        ("?assets=" + "a," * 1001, 400, "1002 assets are too many: at most 1000 in one call"),
    ],
)
async def test_refused_streams(query: str, status: int, message: str) -> None:
    """It is refused with the reason before the stream begins."""
    async with living() as live:
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(f"GET /stream{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await rest(reader, writer)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["msg"] == message
        assert live.open_now() == 0


async def test_the_first_event_has_the_time_to_reconnect() -> None:
    """`retry` stands in the block of the first event: alone in a block, it is an empty message for some clients."""
    async with living() as live:
        await live.tell("asset1")
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(b"GET /stream?assets=asset1&seconds=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        body = (await rest(reader, writer)).partition(b"\r\n\r\n")[2]
        assert re.search(
            rb"\r\nretry: 1000\nid: [0-9a-f]{8}-1\nevent: snapshot\ndata: {", b"\r\n" + body.split(b"\r\n", 1)[1]
        )
        assert body.count(b"retry:") == 1
        assert b'event: end\ndata: {"msg":"The seconds that were asked for are over"}\n\n' in body


async def test_an_unlisted_asset_gets_near_ones() -> None:
    """As at GET /prices/{asset}: the refusal has listed assets that the symbol may mean."""
    async with living() as live:
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        writer.write(b"GET /stream?assets=.,asset1x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        refusal = json.loads((await rest(reader, writer)).partition(b"\r\n\r\n")[2])
        assert (refusal["code"], "asset1" in refusal["near"]) == ("asset_not_found", True)


@pytest.mark.parametrize("seconds", ["0", "-1", "1.5", "86401", "x", ""])
async def test_the_seconds_of_a_stream(seconds: str) -> None:
    """Whole seconds from 1 to a day."""
    async with living() as live, stream(live.url, f"?seconds={seconds}") as one:
        assert one.status == 400


async def test_resuming() -> None:
    """After the last event received, without a gap; if that is impossible, with a gap and a snapshot."""
    async with living() as live:
        async with stream(live.url, "?tier=hot,cold") as one:
            last = (await one.until("snapshot")).id
        await live.tell("asset1", "asset2")
        async with stream(live.url, headers={"Last-Event-ID": last}) as one:
            assert [(await one.until("price")).data["asset"] for _ in range(2)] == ["asset1", "asset2"]
        async with stream(live.url, headers={"Last-Event-ID": "00000000-1"}) as one:
            gap, snapshot = await one.next(), await one.next()
            assert gap is not None
            assert (gap.name, gap.data) == ("gap", {"msg": NOT_KEPT.format("prices")})
            assert snapshot is not None
            assert [found["asset"] for found in snapshot.data["prices"]] == ["asset1", "asset2"]


async def test_a_snapshot_before_a_gap_has_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is cut off from others while the snapshot is read: who resumed after it would not be told."""
    read = PriceSnapshots.read
    async with living() as live:

        async def cut_off(self: PriceSnapshots, subscription: Subscription) -> Callable[[], Sequence[bytes]]:
            monkeypatch.setattr(PriceSnapshots, "read", read)
            live.fanout.disconnected()
            live.fanout.connected()
            return await read(self, subscription)

        monkeypatch.setattr(PriceSnapshots, "read", cut_off)
        async with stream(live.url) as one:
            found = [event for event in [await one.next() for _ in range(3)] if event is not None]
        assert [(event.name, bool(event.id)) for event in found] == [
            ("snapshot", False),
            ("gap", False),
            ("snapshot", True),
        ]


async def test_a_price_that_is_too_old_is_in_no_snapshot() -> None:
    """A price of six intervals is in it; an older one, such as the last one before a restart, is not."""
    async with living() as live:
        for asset, age in (("asset1", 30), ("asset2", 31)):
            live.cache.newest.at_least(price(asset, NOW - age))
        async with stream(live.url) as one:
            shown = (await one.until("snapshot")).data["prices"]
            assert [found["asset"] for found in shown] == ["asset1"]


async def test_concurrent_clients_share_a_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are read once for clients that connect at once, and no client misses a price that comes meanwhile."""
    monkeypatch.setattr(
        "aggregator.api.prices.snapshots._VALID_SECONDS", 60.0
    )  # a busy machine connects fifty in over 1 s
    async with living() as live:
        await live.tell(*ASSETS[:10])
        async with AsyncExitStack() as stack:
            crowd = [await stack.enter_async_context(stream(live.url)) for _ in range(50)]
            await live.tell("asset3")
            for one in crowd:
                assert len((await one.until("snapshot")).data["prices"]) == 10
            await live.tell("asset4")
            for one in crowd:
                while (await one.until("price")).data["asset"] != "asset4":
                    pass
        assert live.value("price_cache_hits_total") == 10


async def test_a_heartbeat_is_a_comment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comment, which browsers do not show."""
    monkeypatch.setattr("aggregator.api.streams.stream.HEARTBEAT", 0.05)
    async with living() as live, stream(live.url) as one:
        assert await beat(one) == "still here"


async def beat(one: Stream) -> str:
    """Return the next comment."""
    while (event := await one.next(beats=True)) is not None:
        if not event.name and not event.data.isdigit():
            return str(event.data)
    return ""
