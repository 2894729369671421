"""Trades and features from one process to the buses of all, through a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from signal import SIGCONT, SIGKILL, SIGSTOP
from types import SimpleNamespace
from typing import Self, cast

import pytest
from prometheus_client import CollectorRegistry

from aggregator.cluster.topic_feed import RedisFeed
from aggregator.cluster.topic_publisher import MOST_WAITING, TopicPublisher, pause_after
from aggregator.live.topics import Bus
from aggregator.models import Trade
from aggregator.observability.metrics import Metrics
from aggregator.stores.redis.client import RedisClient
from aggregator.trades.features import Features
from aggregator.trades.topics import FEATURES, TRADES
from tests.parts import redis_server
from tests.parts.examples import NOW
from tests.parts.redis_server import RedisServer
from tests.parts.sharing import running, until
from tests.parts.trade_api import features, trade

pytestmark = pytest.mark.real


class Heard:
    """A process' bus, and what its listeners have received."""

    def __init__(self, client: RedisClient) -> None:
        self.bus = Bus([TRADES, FEATURES])
        self.feed = RedisFeed(client, self.bus)
        self.trades: list[Trade] = []
        self.features: list[Features] = []
        self.gaps = 0
        self.batches: list[int] = []
        self.bus.listen(TRADES, _Trades(self))
        self.bus.listen(FEATURES, _Features(self))

    def ids(self) -> list[int]:
        """Return the ids of the trades in the order in which they came."""
        return [int(one.id) for one in self.trades]


class _Listener:
    def __init__(self, heard: Heard) -> None:
        self.heard = heard

    def connected(self) -> None:
        """Do nothing."""

    def disconnected(self) -> None:
        """Count a gap."""
        self.heard.gaps += 1


class _Trades(_Listener):
    def receive(self, values: Sequence[Trade]) -> None:
        """Keep the trades."""
        self.heard.batches.append(len(values))
        self.heard.trades += values


class _Features(_Listener):
    def receive(self, values: Sequence[Features]) -> None:
        """Keep the features."""
        self.heard.features += values


class Group:
    """One process that publishes, with a bus of its own, and another process."""

    def __init__(self, url: str) -> None:
        self.clients = [RedisClient(url, timeout=1, prefix="group:") for _ in range(2)]
        self.own, self.other = (Heard(client) for client in self.clients)
        self.metrics = Metrics(CollectorRegistry())
        self.publisher = TopicPublisher(self.clients[0], (TRADES, FEATURES), (FEATURES.name,), self.metrics.trades)

    def dropped(self, topic: str) -> float:
        """Return how many values of a topic were dropped."""
        return self.metrics.registry.get_sample_value("trades_unpublished_total", {"topic": topic}) or 0

    async def connected(self) -> None:
        """Wait until both buses have every new value."""
        await until(lambda: self.own.bus.connected and self.other.bus.connected)


@asynccontextmanager
async def grouped(server: RedisServer) -> AsyncIterator[Group]:
    """Run a group on this Redis."""
    group = Group(server.url)
    async with running(group.own.feed.run, group.other.feed.run, group.publisher.run):
        await group.connected()
        yield group
    for client in group.clients:
        await client.close()


async def test_every_process_gets_every_value_once_and_in_order() -> None:
    """The own process too; a message has at most 500 values, and features are conflated by asset."""
    with redis_server.alone() as server:
        async with grouped(server) as group:
            group.publisher.publish(TRADES, [trade(number) for number in range(1200)])
            for number in range(100):
                group.publisher.publish(FEATURES, [features(window_end=NOW + number), features("ethusdt")])
            group.publisher.publish(TRADES, [trade(number, "100.25", None) for number in range(1200, 1300)])
            for heard in (group.own, group.other):
                await until(lambda heard=heard: len(heard.trades) == 1300 and bool(heard.features))  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
                assert heard.ids() == list(range(1300))
                assert heard.trades[-1] == trade(1299, "100.25", None)
                assert max(heard.batches) <= 500
                assert heard.features == [features(window_end=NOW + 99), features("ethusdt")]
            assert group.publisher.take_changed() == {"btcusdt", "ethusdt"}
            assert group.publisher.take_changed() == set()
            assert group.dropped("trades") == group.dropped("features") == 0


def test_the_longer_a_flush_takes_the_longer_values_are_collected() -> None:
    """The pause is as long as the flush, within its bounds."""
    assert [pause_after(seconds) for seconds in (0, 0.0005, 0.004, 0.01, 3)] == [0.001, 0.001, 0.004, 0.01, 0.01]


class _Pipe:
    """A flush to a Redis in which other trades come: each of `arriving` is published during a flush."""

    def __init__(self, arriving: list[Trade]) -> None:
        self.arriving = arriving
        self.publisher: TopicPublisher | None = None
        self.events: list[object] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing."""

    def publish(self, _: str, body: bytes) -> None:
        self.events.append([one.id for one in TRADES.decode(body)])

    async def execute(self) -> None:
        assert self.publisher is not None
        if self.arriving:
            self.publisher.publish(TRADES, [self.arriving.pop(0)])


async def test_pauses_begin_with_the_second_flush_of_a_busy_time() -> None:
    """A trade that comes during the first flush after a rest does not wait; the next ones are collected."""
    pipe = _Pipe([trade(2), trade(3)])

    async def sleep(_: float) -> None:
        pipe.events.append("pause")
        publisher.publish(TRADES, [trade(4)])

    client = SimpleNamespace(channel=str, redis=SimpleNamespace(pipeline=lambda **_: pipe))
    metrics = Metrics(CollectorRegistry()).trades
    publisher = pipe.publisher = TopicPublisher(cast("RedisClient", client), (TRADES,), (), metrics, sleep)
    async with running(publisher.run):
        publisher.publish(TRADES, [trade(1)])
        await until(lambda: len(pipe.events) == 4)
        publisher.publish(TRADES, [trade(5)])
        await until(lambda: len(pipe.events) == 5)
    assert pipe.events == [["1"], ["2"], "pause", ["3", "4"], ["5"]]


async def test_redis_killed_and_back() -> None:
    """What fits is published afterwards, in order; older trades are dropped and counted, and streams show a gap."""
    with redis_server.alone() as server:
        async with grouped(server) as group:
            server.process.stop(SIGKILL)
            await until(lambda: not group.own.bus.connected and not group.other.bus.connected)
            excess = 700
            for first in range(0, MOST_WAITING + excess, 100):
                group.publisher.publish(TRADES, [trade(number) for number in range(first, first + 100)])
                group.publisher.publish(FEATURES, [features(window_end=NOW + first)])
                await asyncio.sleep(0)  # the publisher tries, and fails, in between
            await until(lambda: group.dropped("trades") == excess)
            again = RedisServer(server.port)
            await group.connected()
            group.publisher.publish(TRADES, [trade(MOST_WAITING + excess)])
            for heard in (group.own, group.other):
                await until(lambda heard=heard: heard.ids()[-1:] == [MOST_WAITING + excess])  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
                assert heard.gaps
                assert heard.ids() == sorted(heard.ids())
            assert group.dropped("features") == 0
        again.stop()


async def test_redis_paused() -> None:
    """Nothing is lost while subscriptions survive, and nothing is in another order; a value may come twice."""
    with redis_server.alone() as server:
        async with grouped(server) as group:
            server.process.signal(SIGSTOP)
            group.publisher.publish(TRADES, [trade(number) for number in range(700)])
            await until(lambda: bool(group.publisher.trouble))
            server.process.signal(SIGCONT)
            await group.connected()
            group.publisher.publish(TRADES, [trade(700)])
            await until(lambda: 700 in group.other.ids())
            if not group.other.gaps:
                assert set(group.other.ids()) == set(range(701))
            group.publisher.publish(TRADES, [trade(701)])
            await until(lambda: group.own.ids()[-1:] == [701] == group.other.ids()[-1:])


async def test_a_stop_publishes_what_waits() -> None:
    """Also without a Redis, when it is counted instead."""
    with redis_server.alone() as server:
        async with grouped(server) as group:
            late = TopicPublisher(group.clients[0], (TRADES,), (), group.metrics.trades)
            for expected in (0, 1):
                task = asyncio.create_task(late.run())
                await asyncio.sleep(0)
                late.publish(TRADES, [trade(expected)])
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                assert group.dropped("trades") == expected
                await until(lambda: group.other.ids() == [0])
                server.process.stop(SIGKILL)
