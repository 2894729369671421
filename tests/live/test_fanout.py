"""Live prices in this process: who gets what, what is kept, and what a reader gets that does not keep up."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from aggregator.live.fanout import CUT_OFF, NOT_KEPT, STOPPING, TOO_MANY, Fanout
from aggregator.live.subscriber import _MAX_QUEUE, EVERYTHING, Batch, Event, Subscriber, Subscription
from aggregator.live.topics import Bus
from aggregator.models import Asset, Price, Tier
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from tests.parts.examples import CATALOG, NOW, price
from tests.parts.sharing import running

HOT = Subscription(tiers=frozenset({Tier.HOT}))
ASSETS = ("btcusdt", "ethusdt")


class Live:
    """A fan-out, and prices for it that are each a second newer."""

    def __init__(self, most: int = 1000, kept: int = 1000, *, current: bool = True) -> None:
        self.metrics = Metrics(CollectorRegistry())
        newest = NewestPrices(dict.fromkeys(Tier, 10.0))
        self.fanout = Fanout(CATALOG, self.metrics, newest, most, kept, current=current, now=lambda: NOW)
        self.hub = Bus()
        self.hub.listen(self.fanout)
        self._at = NOW

    def tell(self, *assets: str) -> list[Price]:
        """Publish a new price of each."""
        prices = []
        for asset in assets:
            self._at += 1
            prices.append(price(asset, self._at, tier=CATALOG.assets[asset].tier))
        self.hub.publish(prices)
        return prices

    def follow(self, reader: Subscriber, wanted: Subscription = EVERYTHING) -> None:
        """Begin behind all there is."""
        self.fanout.follow(reader, wanted, self.fanout.last_id, {})

    def value(self, name: str, **labels: str) -> float:
        """Return a series' value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def got(mail: Batch) -> list[tuple[str, float]]:
    """Return what the mail brings, by asset and time."""
    return [(event.asset, event.timestamp) for event in mail.events]


def told(prices: list[Price]) -> list[tuple[str, float]]:
    """Return the same of prices."""
    return [(one.asset, one.timestamp) for one in prices]


async def test_each_gets_what_it_wants() -> None:
    """By asset, by tier or both, each price once and in order."""
    live = Live()
    with live.fanout.reading("sse") as hot, live.fanout.reading("websocket") as both, live.fanout.reading("sse") as eth:
        live.follow(hot, HOT)
        live.follow(both, Subscription(frozenset(ASSETS), frozenset({Tier.HOT})))
        live.follow(eth, Subscription(frozenset({"ethusdt"})))
        assert live.value("price_stream_subscribers", kind="sse") == 2
        prices = live.tell("btcusdt", "ethusdt", "btcusdt")
        assert got(hot.drain()) == told([prices[0], prices[2]])
        assert got(both.drain()) == told(prices)
        assert got(eth.drain()) == told([prices[1]])
    assert live.value("price_stream_subscribers", kind="sse") == 0
    assert not live.fanout._by_asset
    assert not any(live.fanout._by_tier.values())


async def test_an_event_is_a_price_as_it_is_served() -> None:
    """Encoded once, in both forms, with the id of its place."""
    live = Live()
    with live.fanout.reading("sse") as reader:
        live.follow(reader)
        live.tell("btcusdt")
        (event,) = reader.drain().events
        (kept,) = live.fanout._kept
    assert event is kept
    body = event.message.removeprefix('{"type":"price","price":').removesuffix("}")
    assert body.startswith('{"asset":"btcusdt","price":79450.12,')
    assert event.sse.decode() == f"id: {live.fanout.last_id}\nevent: price\ndata: {body}\n\n"


async def test_an_older_price_never_comes_after_a_newer_one() -> None:
    """What history puts back into the cache, and what is told twice, is told to nobody."""
    live = Live()
    with live.fanout.reading("sse") as reader:
        live.follow(reader)
        (new,) = live.tell("btcusdt")
        live.hub.publish([new, price("btcusdt", NOW - 100), price("unlisted")])
        assert got(reader.drain()) == told([new])


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(ASSETS), min_size=1, max_size=5), st.integers(0, _MAX_QUEUE), st.booleans()
        ),
        max_size=6,
    )
)
def test_who_falls_behind_gets_the_newest_of_each(bursts: list[tuple[list[str], int, bool]]) -> None:
    """All of it while few wait; then the newest of each asset, in order, and what waits is bounded."""

    async def read() -> None:
        live = Live()
        with live.fanout.reading("sse") as reader:
            live.follow(reader)
            published: list[tuple[str, float]] = []
            since = skipped = 0
            for assets, times, reads in [*bursts, (["btcusdt"], 1, True)]:
                for _ in range(times):
                    published += told(live.tell(*assets))
                    assert len(reader.waiting) <= _MAX_QUEUE
                if reads:
                    new, fresh = got(reader.drain()), published[since:]
                    assert new == fresh or len(fresh) > _MAX_QUEUE
                    assert dict(new) == dict(fresh)
                    assert new == sorted(new, key=lambda one: one[1])
                    skipped += len(fresh) - len(new)
                    since = len(published)
            assert live.value("price_stream_conflated_total") == skipped

    asyncio.run(read())


@given(st.integers(1, 20), st.lists(st.sampled_from(ASSETS), max_size=50), st.integers(0, 60))
def test_what_is_kept_is_kept_whole(kept: int, assets: list[str], place: int) -> None:
    """Behind an event there is all or nothing: never a part, never something twice, nothing of the future."""

    async def read() -> None:
        live = Live(kept=kept)
        prices = live.tell(*assets)
        epoch, _, number = live.fanout.last_id.partition("-")
        assert number == str(len(assets))
        since = live.fanout.since(f"{epoch}-{place}")
        if place > len(assets) or len(assets) - place > kept:
            assert since is None
        else:
            assert since is not None
            assert [(event.asset, event.timestamp) for event in since] == told(prices[place:])

    asyncio.run(read())


@pytest.mark.parametrize(
    "last_id", ["", "1", "x-1", "0000000g-1", "00000000-0", "-", "a" * 100_000, "00000000-٣", "\0"]
)
async def test_an_id_that_is_none_of_ours(last_id: str) -> None:
    """Whatever it is, there is nothing behind it; the gap is said."""
    live = Live()
    live.tell("btcusdt")
    assert live.fanout.since(last_id) is None
    with live.fanout.reading("sse") as reader:
        assert not live.fanout.resume(reader, EVERYTHING, last_id)
        assert reader.drain().gap == NOT_KEPT


async def test_going_on_behind_an_event() -> None:
    """More than may wait, all of it, and only what is wanted; then what is new."""
    live = Live(kept=2 * _MAX_QUEUE)
    first = live.fanout.last_id
    prices = live.tell(*ASSETS * _MAX_QUEUE)
    with live.fanout.reading("sse") as reader:
        assert live.fanout.resume(reader, HOT, first)
        prices += live.tell("btcusdt")
        mail = reader.drain()
    assert got(mail) == told([one for one in prices if one.asset == "btcusdt"])
    assert (mail.gap, mail.snapshot_due) == ("", False)


async def test_behind_a_snapshot() -> None:
    """What has come since it was begun, but for what it shows already; other things that wait are left alone."""
    live = Live()
    with live.fanout.reading("websocket") as reader:
        live.follow(reader, Subscription(frozenset({"btcusdt"})))
        begun = live.fanout.last_id
        btc, eth, newer = live.tell("btcusdt", "ethusdt", "ethusdt")
        shown = {"ethusdt": eth.timestamp}
        live.fanout.follow(reader, Subscription(frozenset({"ethusdt"})), begun, shown)
        assert got(reader.drain()) == told([btc, newer])


async def test_a_snapshot_that_is_too_old_by_the_time_it_is_there() -> None:
    """Another is due, and the gap is said."""
    live = Live(kept=1)
    with live.fanout.reading("sse") as reader:
        begun = live.fanout.last_id
        live.tell(*ASSETS)
        live.fanout.follow(reader, EVERYTHING, begun, {})
        mail = reader.drain()
        assert (mail.gap, mail.snapshot_due) == (NOT_KEPT, True)


async def test_what_is_no_longer_wanted() -> None:
    """It does not come, also where it was waiting."""
    live = Live()
    with live.fanout.reading("websocket") as reader:
        live.follow(reader, Subscription(frozenset(ASSETS), frozenset({Tier.COLD})))
        prices = live.tell(*ASSETS)
        live.fanout.drop(reader, Subscription(frozenset(ASSETS)))
        assert got(reader.drain()) == told([prices[1]])  # it is cold
        live.fanout.drop(reader, EVERYTHING)
        live.tell(*ASSETS)
        assert got(reader.drain()) == []


async def test_cut_off_and_back() -> None:
    """The gap is said once, a snapshot is due when all comes again, and nobody goes on across it."""
    live = Live()
    with live.fanout.reading("sse") as reader:
        live.follow(reader)
        (before,) = live.tell("btcusdt")
        last_id = live.fanout.last_id
        live.hub.disconnect()
        live.hub.disconnect()  # at every attempt that fails
        mail = reader.drain()
        assert (got(mail), mail.gap, mail.snapshot_due) == (told([before]), CUT_OFF, False)
        with live.fanout.reading("sse") as late:
            assert late.drain().gap == CUT_OFF
        live.hub.connect()
        assert reader.drain() == Batch([], snapshot_due=True)
        assert live.fanout.since(last_id) is None
        live.hub.connect()
        assert not reader._news.is_set()


async def test_there_is_an_end_to_how_many() -> None:
    """Then it is refused; when one leaves there is room again."""
    live = Live(most=2)
    with live.fanout.reading("sse"):
        with live.fanout.reading("websocket"):
            assert live.fanout.refusal == TOO_MANY
        assert not live.fanout.refusal


async def test_all_are_ended_when_the_service_stops() -> None:
    """With a word, counted; nobody comes in any more."""
    live = Live()
    stop = asyncio.Event()
    with live.fanout.reading("sse") as one, live.fanout.reading("websocket") as other:
        async with running(lambda: live.fanout.end_on(stop)):
            stop.set()
            await one.news()
            await other.news()
        assert (one.drain().end, other.drain().end) == (STOPPING, STOPPING)
    assert live.fanout.refusal == STOPPING
    assert live.value("price_stream_dropped_total", reason="stopping") == 2


async def test_a_crowd_is_woken_bit_by_bit() -> None:
    """All of it in the end, but others have their turn in between."""
    live = Live()
    turns = 0
    woken: list[int] = []

    async def read(reader: Subscriber) -> None:
        await reader.news()
        woken.append(turns)

    with live.fanout.reading("sse") as first, live.fanout.reading("sse") as second:
        more = [Subscriber() for _ in range(500)]
        for reader in (first, second, *more):
            live.fanout._want(reader, HOT)
        reading = [asyncio.create_task(read(reader)) for reader in (first, second, *more)]
        await asyncio.sleep(0)
        live.tell("btcusdt")
        while not all(task.done() for task in reading):
            await asyncio.sleep(0)
            turns += 1
    assert len(set(woken)) >= 10


def test_wanted_adds_up() -> None:
    """And is taken away again."""
    both = Subscription(frozenset({"a"}), frozenset({Tier.HOT})) | Subscription(frozenset({"b"}))
    assert both == Subscription(frozenset({"a", "b"}), frozenset({Tier.HOT}))
    assert both - Subscription(frozenset({"a"}), frozenset({Tier.HOT})) == Subscription(frozenset({"b"}))
    event = Event("0" * 8, 1, Asset("b", "", "", Tier.COLD, 1), price("b"), b"{}")
    assert both.has(event)
    assert not (both - Subscription(frozenset({"b"}))).has(event)
