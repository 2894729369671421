"""`redis://host:6379/0`: the cache that several processes share.

The key `<prefix>price:<asset>` has the price's JSON and the tier's TTL. New prices are published on the channel
`<prefix>prices`, a JSON array for each batch; `aggregator.cluster.topic_feed` subscribes.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from aggregator.live.price_topic import PRICES
from aggregator.models import FUTURE_TOLERANCE, Price, Tier, decode_price, encode
from aggregator.stores.redis.client import UNREADABLE, RedisClient, mapped
from aggregator.stores.redis.script import Run, Script

# For each price there are these cases:
# 1. The key's price is newer, or as old with another body: it stays. Clients may have got it.
# 2. The key's price is later than ARGV[2], or cannot be read: it is replaced. A price of the future comes from a wrong
#    clock, and would hide all others until that time.
# 3. The new price is newer: it is written and published.
# 4. The same bytes are written again: the TTL starts again, nothing is published.
# The first timestamp in a price's JSON is the price's own; finding it takes a tenth of the time of decoding the JSON.
_SET_IF_NEWER = Script("""
local taken, latest = {}, tonumber(ARGV[2])
for i, key in ipairs(KEYS) do
  local body, timestamp, ttl = ARGV[3 * i], tonumber(ARGV[3 * i + 1]), ARGV[3 * i + 2]
  local held = redis.call('GET', key)
  local newest = held and tonumber(string.match(held, '"timestamp":([%d.eE+-]+)'))
  local stays = newest and newest <= latest and (newest > timestamp or (newest == timestamp and held ~= body))
  if not stays then
    redis.call('SET', key, body, 'PX', ttl)
    if held ~= body then taken[#taken + 1] = body end
  end
end
if #taken > 0 then redis.call('PUBLISH', ARGV[1], '[' .. table.concat(taken, ',') .. ']') end
""")
_RUN_PRICES = 50  # in one run of the script, during which Redis serves no other client
_READ_PRICES = 1000  # prices in one MGET


class RedisCache:
    """`aggregator.ports.Cache` in Redis. A write is one round trip, whatever its size. Raises StoreUnavailable."""

    def __init__(self, client: RedisClient, ttl: Mapping[Tier, float], now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._redis = client.redis
        self._now = now
        self._channel = client.channel(PRICES.name)
        self._prefix = f"{client.prefix}price:"
        self._ttl_ms = {tier: max(1, round(seconds * 1000)) for tier, seconds in ttl.items()}

    async def write(self, prices: Sequence[Price]) -> None:
        """Keep each price for its tier's TTL, except where Redis has a newer one, and publish it."""
        if prices:
            firsts = range(0, len(prices), _RUN_PRICES)
            with mapped():
                await _SET_IF_NEWER.run(self._redis, [self._run(prices[at : at + _RUN_PRICES]) for at in firsts])

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return the prices of `symbols`; a missing price, or one that cannot be read, is left out."""
        found: dict[str, Price] = {}
        for first in range(0, len(symbols), _READ_PRICES):
            with mapped():
                held = await self._redis.mget([self._prefix + one for one in symbols[first : first + _READ_PRICES]])
            prices = (_read(raw) for raw in held if raw is not None)
            found |= {price.asset: price for price in prices if price is not None}
        return found

    async def ping(self) -> None:
        """Raise StoreUnavailable unless Redis answers."""
        await self._client.ping()

    async def close(self) -> None:
        """There is nothing to close: the connections belong to the client."""

    def _run(self, prices: Sequence[Price]) -> Run:
        latest = repr(self._now() + FUTURE_TOLERANCE)
        values = [
            value for price in prices for value in (encode(price), repr(price.timestamp), self._ttl_ms[price.tier])
        ]
        return Run([self._prefix + price.asset for price in prices], [self._channel, latest, *values])


def _read(raw: bytes | str) -> Price | None:
    try:
        return decode_price(raw)
    except UNREADABLE:
        return None
