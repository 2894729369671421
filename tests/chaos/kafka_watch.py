"""A watch on the topics trades and features: each event is compared, as it comes, with what it must be.

Nothing is kept of a trade but a byte, so that millions of them can be watched.
"""

import math
import threading
from array import array
from typing import Self

from redis import Redis

from aggregator.models import Trade
from aggregator.trades.features import Features
from aggregator.trades.topics import FEATURES, TRADES
from tests.chaos.kafka_load import Numbered
from tests.parts.processing import ASSETS
from tests.parts.redis_server import RedisServer

_MOST_WRONG = 20
_EXACT = 1e-9


class _Sums:
    """Sums over the trades of one asset that are not late: of ones, prices, volumes and products, up to each trade."""

    def __init__(self, asset: int, numbered: Numbered) -> None:
        self._asset = asset
        self._numbered = numbered
        self._sums = tuple(array("q", [0]) for _ in range(4))

    def last(self, index: int, seconds: int) -> list[int]:
        """Return the sums over the last seconds up to trade `index` of the asset."""
        self._grow(index + 2)
        first = max(0, index - (seconds * 1_000_000 - 1) // (self._numbered.step * len(ASSETS)))
        return [one[index + 1] - one[first] for one in self._sums]

    def _grow(self, size: int) -> None:
        numbered, sums = self._numbered, self._sums
        while len(sums[0]) < size:
            number = (len(sums[0]) - 1) * len(ASSETS) + self._asset
            cents, volume = numbered.cents(number), numbered.volume(number)
            counts = not numbered.is_late(number)
            for one, value in zip(sums, (1, cents, volume, cents * volume), strict=True):
                one.append(one[-1] + value * counts)


class Watch:
    """Compares all events from its creation on. `wrong` describes those that are not as they must be."""

    def __init__(self, redis: RedisServer, numbered: Numbered) -> None:
        self._numbered = numbered
        self._redis = Redis.from_url(redis.url)
        self._redis.config_set("client-output-buffer-limit", "pubsub 0 0 0")  # a slow watch misses nothing
        self._subscription = self._redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis has no types here
        self._subscription.psubscribe("*trades", "*features")
        self._subscription.get_message(timeout=10)  # the confirmation
        self._published = bytearray()  # by number
        self._highest: dict[str, int] = {}
        self._sums = {name: _Sums(index, numbered) for index, name in enumerate(ASSETS)}
        self._measured = array("q")  # hashes of features, by the number of their newest trade
        self.features: dict[str, Features] = {}
        self.repeated = 0
        self.wrong: list[str] = []
        self._is_ending = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending = True
        self._thread.join(30)
        self._subscription.close()
        self._redis.close()

    def missing(self, count: int) -> list[int]:
        """Return which of the first `count` trades were not published, unless the watch itself has failed."""
        assert self._thread.is_alive(), "the watch has lost its connection"
        self._grow(count)
        return [number for number in range(count) if not self._published[number]]

    def _grow(self, size: int) -> None:
        if len(self._published) < size:
            self._published.extend(bytes(size - len(self._published)))

    def _listen(self) -> None:
        while not self._is_ending:
            message = self._subscription.get_message(timeout=0.2)
            if message is None:
                continue
            if message["channel"].endswith(b"trades"):
                for trade in TRADES.decode(message["data"]):
                    self._take_trade(trade)
            else:
                for one in FEATURES.decode(message["data"]):
                    self._take_features(one)

    def _take_trade(self, trade: Trade) -> None:
        number = int(trade.id)
        self._grow(number + 1)
        if trade != self._numbered.trade(number):
            self._complain(f"published {trade}, sent {self._numbered.trade(number)}")
        if self._published[number]:
            self.repeated += 1
            return
        self._published[number] = 1
        highest = self._highest.get(trade.asset, -1)
        if number < highest:
            self._complain(f"trade {number} of {trade.asset} came for the first time after {highest}")
        self._highest[trade.asset] = max(highest, number)

    def _take_features(self, one: Features) -> None:
        self.features[one.asset] = one
        number = (round(one.window_end * 1e6) - self._numbered.start) // self._numbered.step
        index, sums = number // len(ASSETS), self._sums[one.asset]
        count, prices, volumes, products = sums.last(index, 300)
        short_count, _, short_volumes, short_products = sums.last(index, 60)
        expected = short_products / short_volumes / 100, products / volumes / 100, prices / count / 100, short_count
        found = one.vwap_1min, one.vwap_5min, one.rolling_avg_5min, one.trade_frequency
        if not all(a is not None and math.isclose(a, b, rel_tol=_EXACT) for a, b in zip(found, expected, strict=True)):
            self._complain(f"features of {one.asset} at trade {number}: {found}, expected {expected}")
        content = hash((found, one.volume_zscore, one.price_momentum, one.vwap_deviation, one.warming_up))
        if len(self._measured) <= number:
            self._measured.extend([0] * (number + 1 - len(self._measured)))
        known, self._measured[number] = self._measured[number], content
        if known not in (0, content):
            self._complain(f"features of {one.asset} at trade {number} were published before with other content")

    def _complain(self, text: str) -> None:
        if len(self.wrong) < _MOST_WRONG:
            self.wrong.append(text)
