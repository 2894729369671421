"""Trades of one process at the API processes of its group: what all of them answer and stream."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.workers import Workers
from tests.parts import exchanges, redis_server
from tests.parts.exchanges import Market
from tests.parts.live import Stream, stream
from tests.parts.process import wait_for
from tests.parts.redis_server import RedisServer
from tests.parts.service import Answer, Service, call
from tests.parts.short_list import INTERVALS, SIZES, SYMBOLS

pytestmark = pytest.mark.real

HOT_READS = ("quotes", "features", "aggregations")


class Group:
    """One process that takes trades in, and two API processes on the same Redis and the same files."""

    def __init__(self, folder: Path, redis: RedisServer, symbols_file: Path, exchanges: str) -> None:
        self.redis = redis
        self._folder = folder
        self._settings = {"symbols_file": symbols_file, "exchanges": exchanges, **SIZES, **INTERVALS}
        self.taker = self.start("all")
        self.apis = [self.start("api"), self.start("api")]
        self.sent = 0

    def start(self, role: str, **settings: object) -> Service:
        """Start one more process."""
        named = {"role": role, "cache_url": self.redis.url, **self._settings, **settings}
        return Service(self._folder, **named).started()

    def send(self, assets: Sequence[str], service: Service | None = None) -> Answer:
        """Send a trade of each asset, newer and with another price each time."""
        self.sent += 1
        trades = [
            {"asset": asset, "price": 100 + self.sent, "volume": 1, "timestamp": time.time(), "id": str(self.sent)}
            for asset in assets
        ]
        body, headers = json.dumps(trades).encode(), {"Content-Type": "application/json"}
        return call("POST", f"{(service or self.taker).url}/ingest", headers, body)

    def agree(self, services: Sequence[Service], assets: Sequence[str]) -> None:
        """Wait until these processes answer the last sent trades of assets, and the same as the one that took them."""
        for asset in assets:
            expected = [self.taker.get(f"/{kind}/{asset}") for kind in HOT_READS]
            assert expected[0].json["id"] == str(self.sent)  # at once, in the process that has acknowledged it
            for service in services:
                wait_for(
                    lambda service=service, asset=asset, expected=expected: (  # type: ignore[misc]  # mypy cannot infer a lambda with defaults
                        [_known(service.get(f"/{kind}/{asset}")) for kind in HOT_READS] == [*map(_known, expected)]
                    ),
                    what=f"the trades of {asset}",
                )

    def stop(self) -> None:
        """Stop all processes; each must end with exit code 0."""
        for service in (*self.apis, self.taker):
            assert service.process.stop() == 0, service.process.output
            assert "Traceback" not in service.process.output


def _known(answer: Answer) -> object:
    """Return the body without the state of the anomaly model, which only the process that has the models knows."""
    body = answer.json
    return {name: value for name, value in body.items() if name != "anomaly_model"}


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory, symbols_file: Path, shared_market: Market) -> Iterator[Group]:
    """Run the three processes; the exchanges' own trades are not taken in."""
    shared_market.sound()
    with redis_server.alone() as server:
        running = Group(tmp_path_factory.mktemp("group"), server, symbols_file, shared_market.setting)
        yield running
        running.stop()
        running.redis.stop()


def test_all_processes_answer_the_same(group: Group) -> None:
    """The last trade and the features of each asset, and the stored trades, from the file that they share."""
    for _ in range(3):
        assert group.send(SYMBOLS).json["accepted"] == len(SYMBOLS)
    group.agree(group.apis, SYMBOLS)
    for path in (
        "/trades/btcusdt?limit=3",
        "/query?symbol=btcusdt",
        "/prices/btcusdt/candles?interval=1m&source=trades",
        "/udf/symbols?symbol=TRADES:btcusdt",
    ):
        expected = group.taker.get(path)
        assert expected.status == 200, expected.text
        assert [api.get(path).json for api in group.apis] == [expected.json] * 2
    assert len(group.apis[0].get("/query?symbol=btcusdt").json["trades"]) == 3


def test_an_api_process_takes_no_trades(group: Group) -> None:
    """501, and /health has no figures of a processor."""
    refused = group.send(["btcusdt"], group.apis[0])
    assert (refused.status, refused.json["code"]) == (501, "trades_off")
    assert group.apis[0].get("/health", {"Accept": "application/json"}).json["consumer_lag"] is None
    assert group.taker.get("/health", {"Accept": "application/json"}).json["consumer_lag"] == 0


def test_a_process_that_starts_later(group: Group) -> None:
    """It knows the assets that have no trades any more; without the file, stored trades are 501."""
    group.send(SYMBOLS)
    group.agree(group.apis, SYMBOLS)
    late = group.start("api", trades_url="memory://")
    group.agree([late], SYMBOLS)
    refused = late.get("/trades/btcusdt")
    assert (refused.status, refused.json["code"]) == (501, "trades_off")
    assert late.process.stop() == 0


def test_streams_of_all_processes(group: Group) -> None:
    """A snapshot of every asset, then each change; the same at each process."""
    group.send(SYMBOLS)
    group.agree(group.apis, SYMBOLS)

    async def follow() -> None:
        async with streams(group) as opened:
            for one in opened:
                assert await snapshot(one, "features") == set(SYMBOLS)
                assert await snapshot(one, "trades") == set(SYMBOLS)
            await asyncio.to_thread(group.send, ["ethusdt"])
            trades = [(await one.until("trade")).data for one in opened]
            features = [(await one.until("feature")).data for one in opened]
            assert trades == [trades[0]] * 3
            assert features == [features[0]] * 3
            assert (trades[0]["asset"], trades[0]["id"]) == ("ethusdt", str(group.sent))
            assert features[0]["window_end"] == trades[0]["timestamp"]

    asyncio.run(follow())


def test_redis_killed_and_back(group: Group) -> None:
    """Trades go on being taken; an API process learns of them once Redis is back, and its streams show the gap."""

    async def follow() -> None:
        async with streams(group) as opened:
            for one in opened:
                await snapshot(one, "features")
            group.redis.stop()
            for one in opened:
                await one.until("gap")
            assert (await asyncio.to_thread(group.send, SYMBOLS)).status == 200
            await asyncio.to_thread(group.agree, [], SYMBOLS)
            group.redis = RedisServer(group.redis.port)
            for one in opened:
                assert await snapshot(one, "features") == set(SYMBOLS)
        await asyncio.to_thread(group.agree, group.apis, SYMBOLS)

    asyncio.run(follow())
    late = group.start("api")  # Redis had lost everything
    group.agree([late], SYMBOLS)
    assert late.process.stop() == 0


def test_workers_serve_what_the_process_beside_them_takes(tmp_path: Path, symbols_file: Path) -> None:
    """With workers, the process that refreshes prices also takes in the exchanges' trades."""
    with redis_server.alone() as server, exchanges.market(trades=True) as market:
        settings: dict[str, object] = {"exchanges": market.setting, "trade_feeds": "true"}
        workers = Workers(tmp_path, server, symbols_file, **settings).ready()
        wait_for(lambda: workers.get("/features/btcusdt").status == 200, what="trades of the exchanges")
        quote = workers.get("/quotes/btcusdt").json
        assert quote["venue"] in market.exchanges
        stored = workers.get("/query?symbol=btcusdt").json["trades"]
        assert {one["venue"] for one in stored} <= set(market.exchanges)
        assert stored
        assert call("POST", f"{workers.url}/ingest", {"Content-Type": "application/json"}, b"{}").status == 501
        workers.process.stop()
        workers.ended_well()


@asynccontextmanager
async def streams(group: Group) -> AsyncIterator[list[Stream]]:
    """Open a stream of features and trades at each process."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(stream(service.url, "?topics=features,trades"))
            for service in (group.taker, *group.apis)
        ]


async def snapshot(one: Stream, topic: str) -> set[Any]:
    """Return the assets of the next snapshot of a topic."""
    while True:
        found = (await one.until("snapshot")).data
        if topic in found:
            return {value["asset"] for value in found[topic]}
