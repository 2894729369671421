"""`redis://host:6379/0`: the cache that several processes share.

`<prefix>price:<asset>` holds the price's JSON with the tier's TTL. The prices taken are published on `<prefix>prices`
as one JSON array for each batch; `feed.py` listens.
"""

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence

from redis.exceptions import NoScriptError

from aggregator.models import FUTURE_TOLERANCE, Price, Tier, decode_price, encode
from aggregator.stores.redis.client import UNREADABLE, RedisClient, mapped

# Keeps the newer of the held price and the new one; of two with the same timestamp the first, which readers may have.
# A held value that cannot be read counts as nothing. So does a price from later than ARGV[2]: it was made while a clock
# was wrong, and would hide all others until then.
# The first timestamp in a price's JSON is its own: looking for it takes a tenth of the time of decoding the whole.
# Publishes what was taken, except a rewrite of the same bytes.
_SET_IF_NEWER = """
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
"""
_SHA = hashlib.sha1(_SET_IF_NEWER.encode(), usedforsecurity=False).hexdigest()  # how Redis names a script
_AT_ONCE = 50  # prices in one run of the script, during which Redis serves nobody else
_READ_AT_ONCE = 1000


class RedisCache:
    """`aggregator.ports.Cache` on Redis; one round trip per batch, whatever its size. Raises StoreUnavailable."""

    def __init__(self, client: RedisClient, ttl: Mapping[Tier, float], now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._redis = client.redis
        self._now = now
        self._channel = client.channel("prices")
        self._prefix = f"{client.prefix}price:"
        self._ttl_ms = {tier: max(1, round(seconds * 1000)) for tier, seconds in ttl.items()}

    async def write(self, prices: Sequence[Price]) -> None:
        """Keep each price for its tier's TTL unless a newer one is held, and publish it."""
        with mapped():
            if not await self._pipelined(prices, load=False):
                await self._pipelined(prices, load=True)

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return those of `symbols` that are held; what somebody else wrote there and cannot be read is not."""
        found: dict[str, Price] = {}
        for first in range(0, len(symbols), _READ_AT_ONCE):
            with mapped():
                held = await self._redis.mget([self._prefix + one for one in symbols[first : first + _READ_AT_ONCE]])
            prices = (_read(raw) for raw in held if raw is not None)
            found |= {price.asset: price for price in prices if price is not None}
        return found

    async def ping(self) -> None:
        """Raise StoreUnavailable unless Redis answers."""
        await self._client.ping()

    async def close(self) -> None:
        """Nothing to let go of: the connections are the client's."""

    async def _pipelined(self, prices: Sequence[Price], *, load: bool) -> bool:
        """Send the whole batch at once; False when Redis (restarted, flushed) does not know the script."""
        async with self._redis.pipeline(transaction=False) as pipe:
            if load:
                pipe.script_load(_SET_IF_NEWER)
            latest = repr(self._now() + FUTURE_TOLERANCE)
            for first in range(0, len(prices), _AT_ONCE):
                some = prices[first : first + _AT_ONCE]
                keys = [self._prefix + price.asset for price in some]
                values = [
                    value
                    for price in some
                    for value in (encode(price), repr(price.timestamp), self._ttl_ms[price.tier])
                ]
                pipe.evalsha(_SHA, len(keys), *keys, self._channel, latest, *values)
            answers = await pipe.execute(raise_on_error=False)
        refusals = [answer for answer in answers if isinstance(answer, Exception)]
        if any(isinstance(refusal, NoScriptError) for refusal in refusals):
            return False
        if refusals:
            raise refusals[0]
        return True


def _read(raw: bytes | str) -> Price | None:
    try:
        return decode_price(raw)
    except UNREADABLE:
        return None
