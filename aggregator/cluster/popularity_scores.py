"""Popularity over all processes: `<prefix>accesses` (scores in a sorted set) and `<prefix>seats` (slots as JSON)."""

from collections.abc import Mapping
from typing import Any

import msgspec

from aggregator.models import encode
from aggregator.prices.popularity import NEGLIGIBLE
from aggregator.prices.ranking import HALF_LIFE, Decide, Slots
from aggregator.stores.redis.client import UNREADABLE, RedisClient, mapped

_decoder = msgspec.json.Decoder(dict[str, str])


class RedisScores:
    """`aggregator.prices.ranking.Scores` in Redis. One process at a time ranks for all. Raises StoreUnavailable."""

    def __init__(self, client: RedisClient) -> None:
        self._redis = client.redis
        self._accesses = f"{client.prefix}accesses"
        self._slots = f"{client.prefix}seats"
        self._lock = f"{client.prefix}ranking"

    async def add(self, counts: Mapping[str, int]) -> None:
        """As `Scores.add`."""
        if not counts:
            return
        with mapped():
            async with self._redis.pipeline(transaction=False) as pipe:
                for symbol, count in counts.items():
                    pipe.zincrby(self._accesses, count, symbol)
                await pipe.execute()

    async def rank(self, interval: float, decide: Decide) -> None:
        """As `Scores.rank`, if no other process has ranked within `interval` seconds.

        Accesses that are added during the ranking decay with the others.
        """
        with mapped():
            if not await self._redis.set(self._lock, "", nx=True, px=round(interval * 1000)):
                return
            held: Any = await self._redis.zrange(self._accesses, 0, -1, withscores=True)
            slots = decide({symbol.decode(errors="replace"): score for symbol, score in held})
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.set(self._slots, encode(slots))
                pipe.zunionstore(self._accesses, {self._accesses: 0.5 ** (interval / HALF_LIFE)})
                pipe.zremrangebyscore(self._accesses, "-inf", f"({NEGLIGIBLE}")
                await pipe.execute()

    async def slots(self) -> Slots:
        """As `Scores.slots`; a value that cannot be read counts as empty."""
        with mapped():
            raw = await self._redis.get(self._slots)
        try:
            return _decoder.decode(raw or b"{}")
        except UNREADABLE:
            return {}
