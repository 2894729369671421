"""Fan-out: which events a subscriber gets, which are kept for resuming, and conflation of slow subscribers."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from aggregator.live.fanout import CUT_OFF, NOT_KEPT, STOPPING, TOO_MANY, Fanout
from aggregator.live.price_topic import PRICES, PricePresenter
from aggregator.live.subscriber import EVERYTHING, MAX_QUEUE, Batch, Event, Gap, Subscriber, Subscription, Wanted
from aggregator.live.topics import Bus
from aggregator.models import Asset, Price, Tier
from aggregator.newest import NewestPrices
from aggregator.observability.metrics import Metrics
from tests.parts.examples import CATALOG, NOW, price
from tests.parts.sharing import running

ASSETS = ("btcusdt", "ethusdt")


def prices_of(*assets: str, tiers: Sequence[Tier] = ()) -> Wanted:
    """Return a subscription to prices."""
    return {"prices": Subscription(frozenset(assets), frozenset(tiers))}


HOT = prices_of(tiers=[Tier.HOT])
ALL = {"prices": EVERYTHING}


class Live:
    """A fan-out, fed with prices that are each a second newer than the last."""

    def __init__(self, most: int = 1000, kept: int = 1000, *, current: bool = True) -> None:
        self.metrics = Metrics(CollectorRegistry())
        newest = NewestPrices(dict.fromkeys(Tier, 10.0))
        self.bus = Bus([PRICES])
        self.fanout = Fanout(self.bus, CATALOG, self.metrics, most, kept, current=current, now=lambda: NOW)
        self.fanout.serve(PRICES, PricePresenter(CATALOG, newest))
        self._at = NOW

    def tell(self, *assets: str) -> list[Price]:
        """Publish a new price of each asset."""
        prices = []
        for asset in assets:
            self._at += 1
            prices.append(price(asset, self._at, tier=CATALOG.assets[asset].tier))
        self.bus.publish(PRICES, prices)
        return prices

    def follow(self, subscriber: Subscriber, wanted: Wanted = ALL) -> None:
        """Subscribe from the last event on."""
        assert self.fanout.follow(subscriber, wanted) == self.fanout.last_id

    def resumed(self, last_id: str, wanted: Wanted = ALL) -> Batch:
        """Return what a subscriber gets that resumes after an event."""
        with self.fanout.new_subscriber("sse") as subscriber:
            assert self.fanout.resume(subscriber, wanted, last_id) is (subscriber._gap is None)
            return subscriber.drain()

    def value(self, name: str, **labels: str) -> float:
        """Return a metric's value."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def got(batch: Batch) -> list[tuple[str, float]]:
    """Return the asset and time of each event of the batch."""
    bodies = [msgspec.json.decode(event.body) for event in batch.events]
    assert [body["asset"] for body in bodies] == [event.asset for event in batch.events]
    return [(body["asset"], body["timestamp"]) for body in bodies]


def told(prices: list[Price]) -> list[tuple[str, float]]:
    """Return the asset and time of each price."""
    return [(one.asset, one.timestamp) for one in prices]


async def test_each_subscriber_gets_its_subscription() -> None:
    """A subscription by asset, tier or both gets each price once and in order."""
    live = Live()
    with (
        live.fanout.new_subscriber("sse") as hot,
        live.fanout.new_subscriber("websocket") as both,
        live.fanout.new_subscriber("sse") as eth,
    ):
        live.follow(hot, HOT)
        live.follow(both, prices_of(*ASSETS, tiers=[Tier.HOT]))
        live.follow(eth, prices_of("ethusdt"))
        assert live.value("price_stream_subscribers", kind="sse") == 2
        prices = live.tell("btcusdt", "ethusdt", "btcusdt")
        assert got(hot.drain()) == told([prices[0], prices[2]])
        assert got(both.drain()) == told(prices)
        assert got(eth.drain()) == told([prices[1]])
    assert live.value("price_stream_subscribers", kind="sse") == 0
    assert not any(live.fanout._indexes.values())


async def test_an_event_is_a_price_as_it_is_served() -> None:
    """An event has the price's JSON for SSE and WebSocket, with its id."""
    live = Live()
    with live.fanout.new_subscriber("sse") as subscriber:
        live.follow(subscriber)
        live.tell("btcusdt")
        (event,) = subscriber.drain().events
        (kept,) = live.fanout.newest("prices", EVERYTHING)
    assert event is kept
    body = event.message.removeprefix('{"type":"price","price":').removesuffix("}")
    assert body.startswith('{"asset":"btcusdt","price":79450.12,')
    assert event.sse.decode() == f"id: {live.fanout.last_id}\nevent: price\ndata: {body}\n\n"


async def test_an_older_price_never_comes_after_a_newer_one() -> None:
    """Prices that are older or already sent, as when history fills the cache again, are not sent."""
    live = Live()
    with live.fanout.new_subscriber("sse") as subscriber:
        live.follow(subscriber)
        (new,) = live.tell("btcusdt")
        live.bus.publish(PRICES, [new, price("btcusdt", NOW - 100), price("unlisted")])
        assert got(subscriber.drain()) == told([new])


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from(ASSETS), min_size=1, max_size=5), st.integers(0, MAX_QUEUE), st.booleans()),
        max_size=6,
    )
)
def test_a_slow_subscriber_gets_the_newest_event_of_each_asset(bursts: list[tuple[list[str], int, bool]]) -> None:
    """A short queue holds every event; a full one the newest event of each asset, in order."""

    async def read() -> None:
        live = Live()
        with live.fanout.new_subscriber("sse") as subscriber:
            live.follow(subscriber)
            published: list[tuple[str, float]] = []
            since = skipped = 0
            for assets, times, reads in [*bursts, (["btcusdt"], 1, True)]:
                for _ in range(times):
                    published += told(live.tell(*assets))
                    assert len(subscriber.waiting) <= MAX_QUEUE
                if reads:
                    new, fresh = got(subscriber.drain()), published[since:]
                    assert new == fresh or len(fresh) > MAX_QUEUE
                    assert dict(new) == dict(fresh)
                    assert new == sorted(new, key=lambda one: one[1])
                    skipped += len(fresh) - len(new)
                    since = len(published)
            assert live.value("price_stream_conflated_total") == skipped

    asyncio.run(read())


@given(st.integers(1, 20), st.lists(st.sampled_from(ASSETS), max_size=50), st.integers(0, 60))
def test_kept_events_are_complete_or_refused(kept: int, assets: list[str], place: int) -> None:
    """A stream resumes with all events after an id, each once, or with a gap, also for an id that is ahead."""

    async def read() -> None:
        live = Live(kept=kept)
        prices = live.tell(*assets)
        epoch, _, number = live.fanout.last_id.partition("-")
        assert number == str(len(assets))
        batch = live.resumed(f"{epoch}-{place}")
        if place > len(assets) or len(assets) - place > kept:
            assert batch == Batch([], Gap(NOT_KEPT.format("prices")))
        else:
            assert batch.gap is None
            assert got(batch) == told(prices[place:])

    asyncio.run(read())


@pytest.mark.parametrize(
    "last_id", ["", "1", "x-1", "0000000g-1", "00000000-0", "-", "a" * 100_000, "00000000-٣", "\0"]
)
async def test_an_unknown_id(last_id: str) -> None:
    """The subscriber of an unknown id gets the gap, and no events."""
    live = Live()
    live.tell("btcusdt")
    assert live.resumed(last_id) == Batch([], Gap(NOT_KEPT.format("prices")))


async def test_resuming_after_an_event() -> None:
    """A resumed stream gets every kept event of its subscription, more than the queue may hold, then new ones."""
    live = Live(kept=2 * MAX_QUEUE)
    first = live.fanout.last_id
    prices = live.tell(*ASSETS * MAX_QUEUE)
    with live.fanout.new_subscriber("sse") as subscriber:
        assert live.fanout.resume(subscriber, HOT, first)
        prices += live.tell("btcusdt")
        batch = subscriber.drain()
    assert got(batch) == told([one for one in prices if one.asset == "btcusdt"])
    assert (batch.gap, batch.snapshot_due) == (None, False)


async def test_events_after_a_snapshot() -> None:
    """After a snapshot come later events only: queued ones that it shows are dropped, others stay."""
    live = Live()
    with live.fanout.new_subscriber("websocket") as subscriber:
        live.follow(subscriber, prices_of(*ASSETS))
        btc, _ = live.tell(*ASSETS)
        live.follow(subscriber, prices_of("ethusdt"))
        (newer,) = live.tell("ethusdt")
        assert got(subscriber.drain()) == told([btc, newer])


async def test_dropping_a_subscription() -> None:
    """Events of a dropped subscription are not sent, even if they were queued."""
    live = Live()
    with live.fanout.new_subscriber("websocket") as subscriber:
        live.follow(subscriber, prices_of(*ASSETS, tiers=[Tier.COLD]))
        prices = live.tell(*ASSETS)
        live.fanout.drop(subscriber, prices_of(*ASSETS))
        assert got(subscriber.drain()) == told([prices[1]])  # it is cold
        live.fanout.drop(subscriber, ALL)
        live.tell(*ASSETS)
        assert got(subscriber.drain()) == []


async def test_cut_off_and_back() -> None:
    """A cut-off sends one gap, then a snapshot on return; no stream can be resumed across it."""
    live = Live()
    with live.fanout.new_subscriber("sse") as subscriber:
        live.follow(subscriber)
        (before,) = live.tell("btcusdt")
        last_id = live.fanout.last_id
        live.bus.disconnect()
        live.bus.disconnect()  # at every attempt that fails
        batch = subscriber.drain()
        cut_off = Gap(CUT_OFF.format("prices"))
        assert (got(batch), batch.gap, batch.snapshot_due) == (told([before]), cut_off, False)
        with live.fanout.new_subscriber("sse") as late:
            assert late.drain().gap == cut_off
        live.bus.connect()
        assert subscriber.drain() == Batch([], snapshot_due=True)
        assert live.resumed(last_id).gap == Gap(NOT_KEPT.format("prices"))
        live.bus.connect()
        assert not subscriber._news.is_set()


async def test_the_number_of_subscribers_is_bounded() -> None:
    """The number of subscribers is bounded; one more is refused until another leaves."""
    live = Live(most=2)
    with live.fanout.new_subscriber("sse"):
        with live.fanout.new_subscriber("websocket"):
            assert live.fanout.refusal == TOO_MANY
        assert not live.fanout.refusal


async def test_all_streams_end_when_the_service_stops() -> None:
    """At the stop every stream ends with a reason and is counted; new ones are refused."""
    live = Live()
    stop = asyncio.Event()
    with live.fanout.new_subscriber("sse") as one, live.fanout.new_subscriber("websocket") as other:
        async with running(lambda: live.fanout.end_on(stop)):
            stop.set()
            await one.news()
            await other.news()
        assert (one.drain().end, other.drain().end) == (STOPPING, STOPPING)
    assert live.fanout.refusal == STOPPING
    assert live.value("price_stream_dropped_total", reason="stopping") == 2


async def test_many_subscribers_are_woken_in_parts() -> None:
    """Subscribers are woken up in parts, so that other tasks run in between."""
    live = Live()
    turns = 0
    woken: list[int] = []

    async def read(subscriber: Subscriber) -> None:
        await subscriber.news()
        woken.append(turns)

    with live.fanout.new_subscriber("sse") as first, live.fanout.new_subscriber("sse") as second:
        more = [Subscriber() for _ in range(500)]
        for subscriber in (first, second, *more):
            live.fanout._subscribe(subscriber, HOT)
        reading = [asyncio.create_task(read(subscriber)) for subscriber in (first, second, *more)]
        await asyncio.sleep(0)
        live.tell("btcusdt")
        while not all(task.done() for task in reading):
            await asyncio.sleep(0)
            turns += 1
    assert len(set(woken)) >= 10


def test_subscriptions_add_and_subtract() -> None:
    """Subscriptions can be added and subtracted."""
    both = Subscription(frozenset({"a"}), frozenset({Tier.HOT})) | Subscription(frozenset({"b"}))
    assert both == Subscription(frozenset({"a", "b"}), frozenset({Tier.HOT}))
    assert both - Subscription(frozenset({"a"}), frozenset({Tier.HOT})) == Subscription(frozenset({"b"}))
    event = Event("0" * 8, 1, PRICES, Asset("b", "", "", Tier.COLD, 1), "b", b"{}")
    assert both.has(event)
    assert not (both - Subscription(frozenset({"b"}))).has(event)
