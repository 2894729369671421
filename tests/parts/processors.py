"""Processes of the role `processor` on one topic, one Redis, and one store or one each."""

import random
import threading
import time
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Self

from redis import Redis

from aggregator.models import Trade
from aggregator.stores.trades.sqlite import SqliteTrades
from aggregator.trades.features import Features
from aggregator.trades.ports import TradeStore
from aggregator.trades.topics import FEATURES, TRADES
from tests.parts.kafka import Broker
from tests.parts.process import wait_for
from tests.parts.processing import ASSETS, trade
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service
from tests.trades.test_features import assert_same, naive


class Processors:
    """Starts processors. Files are in `folder`; `trades_url` is their store, by default a SQLite file each."""

    def __init__(self, folder: Path, broker: Broker, redis: RedisServer, topic: str, trades_url: str = "") -> None:
        self._folder = folder
        self._trades_url = trades_url
        self._settings: dict[str, object] = {
            "symbols_file": folder / "symbols.csv",
            "cache_url": redis.url,
            "trades_log": broker.url(topic),
        }
        (folder / "symbols.csv").write_text("symbol\n" + "\n".join(ASSETS) + "\n")
        self.folders: list[Path] = []

    def start(self, **settings: object) -> Service:
        """Start a processor with files of its own."""
        return self.start_in(self._folder / f"processor{len(self.folders) + 1}", **settings)

    def start_in(self, folder: Path, **settings: object) -> Service:
        """Start a processor in a folder, which an earlier one may have left."""
        folder.mkdir(exist_ok=True)
        self.folders.append(folder)
        url = {"trades_url": self._trades_url} if self._trades_url else {}
        return Service(folder, role="processor", **(self._settings | url | settings)).started()


def lag(service: Service) -> int | None:
    """Return the trades that wait for a processor, by its own figures."""
    found = service.get("/health", {"Accept": "application/json"}).json["consumer_lag"]
    return None if found is None else int(found)


def caught_up(broker: Broker, topic: str) -> None:
    """Wait until all records of the topic are committed."""
    wait_for(lambda: broker.behind(topic) == 0, what="all records to be committed")


class Events:
    """The events of the topics trades and features that processors publish through a Redis."""

    def __init__(self, redis: RedisServer) -> None:
        self._subscription = Redis.from_url(redis.url).pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis has no types here
        self._subscription.psubscribe("*trades", "*features")
        self._subscription.get_message(timeout=10)  # the confirmation
        self.trades: list[Trade] = []
        self.features: dict[str, list[Features]] = {}
        self._is_ending = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._is_ending = True
        self._thread.join(10)
        self._subscription.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _listen(self) -> None:
        while not self._is_ending:
            message = self._subscription.get_message(timeout=0.2)
            if message is None:
                continue
            if message["channel"].endswith(b"trades"):
                self.trades += TRADES.decode(message["data"])
            else:
                for one in FEATURES.decode(message["data"]):
                    self.features.setdefault(one.asset, []).append(one)


def market_trades(count: int, seconds: float, first: int = 0, end: float | None = None) -> list[Trade]:
    """Return trades of all assets whose times go from `seconds` before `end`, now by default, to then.

    Neighbours come up to two seconds out of order, and one in 97 is too late for the windows.
    """
    moments = random.Random(count)
    start = (end or time.time()) - seconds
    found = []
    for number in range(first, first + count):
        at = start + seconds * (number - first) / count - moments.uniform(0, 2) - (20 if number % 97 == 0 else 0)
        price = Decimal(moments.randint(9000, 11000)) / 100
        found.append(trade(number, timestamp=round(at, 6), price=price, volume=moments.randint(1, 50)))
    return found


def assert_measured(features: Mapping[str, Features], stored: Iterable[Trade]) -> None:
    """Assert that the newest features of every asset equal a naive recomputation from the stored trades."""
    by_asset: dict[str, list[Trade]] = {}
    for one in stored:
        if not one.late:
            by_asset.setdefault(one.asset, []).append(one)
    assert features.keys() == by_asset.keys()
    for asset, trades in by_asset.items():
        assert_same(features[asset], naive(trades))


async def stored_in(folder: Path) -> list[Trade]:
    """Return all trades of the SQLite file of a processor that has ended."""
    store = SqliteTrades(folder / "trades.db", 1e12)
    await store.open()
    try:
        return await all_of(store)
    finally:
        await store.close()


async def all_of(store: TradeStore) -> list[Trade]:
    """Return all trades of a store."""
    return [one for asset in ASSETS for one in await store.trades(asset, 0, 1e11, 1_000_000, newest_first=False)]
