"""`redis://host:6379/0`: the cache that several processes share. The only user of redis-py.

`<prefix>price:<asset>` holds the price's JSON with the tier's TTL; every price taken is published on `<prefix>prices`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from aggregator.errors import StoreUnavailable
from aggregator.models import Price, Tier, decode_price, encode

# Keeps the newer of what is there and what comes; of the same time, what comes. What cannot be read counts as nothing.
# Publishes what was taken, except a rewrite of the same bytes. One price a call, so that a cluster can route it.
_SET_IF_NEWER = """
local held = redis.call('GET', KEYS[1])
if held then
  local ok, price = pcall(cjson.decode, held)
  if ok and type(price) == 'table' and type(price.timestamp) == 'number' and price.timestamp > tonumber(ARGV[2]) then
    return 0
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
if held ~= ARGV[1] then redis.call('PUBLISH', ARGV[4], ARGV[1]) end
return 1
"""


_SHA = hashlib.sha1(_SET_IF_NEWER.encode(), usedforsecurity=False).hexdigest()  # how Redis names a script

_CONNECTIONS = 64


class RedisCache:
    """`aggregator.ports.Cache` on Redis; one round trip per batch, whatever its size. Raises StoreUnavailable."""

    def __init__(self, url: str, ttl: Mapping[Tier, float], timeout: float, prefix: str = "aggregator:") -> None:
        self.channel = f"{prefix}prices"
        self._prefix = f"{prefix}price:"
        self._ttl_ms = {tier: max(1, round(seconds * 1000)) for tier, seconds in ttl.items()}
        pool = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            # No retries by the client: its own can add seconds to a request while Redis is away.
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = redis.Redis.from_pool(pool)

    async def write(self, prices: Sequence[Price]) -> None:
        """Keep each price for its tier's TTL unless a newer one is held, and publish it."""
        with _mapped():
            if not await self._pipelined(prices, load=False):
                await self._pipelined(prices, load=True)

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return those of `symbols` that are held; what somebody else wrote there and cannot be read is not."""
        if not symbols:
            return {}
        with _mapped():
            held = await self._redis.mget([self._prefix + symbol for symbol in symbols])
        prices = (_read(raw) for raw in held if raw is not None)
        return {price.asset: price for price in prices if price is not None}

    async def ping(self) -> None:
        """Raise StoreUnavailable unless Redis answers."""
        with _mapped():
            await self._redis.ping()

    async def close(self) -> None:
        """Close every connection."""
        await self._redis.aclose()

    async def _pipelined(self, prices: Sequence[Price], *, load: bool) -> bool:
        """Send the whole batch at once; False when Redis (restarted, flushed) does not know the script."""
        async with self._redis.pipeline(transaction=False) as pipe:
            if load:
                pipe.script_load(_SET_IF_NEWER)
            for price in prices:
                key, ttl = self._prefix + price.asset, self._ttl_ms[price.tier]
                pipe.evalsha(_SHA, 1, key, encode(price), repr(price.timestamp), ttl, self.channel)
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
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


@contextmanager
def _mapped() -> Iterator[None]:
    """Turn what redis-py and the socket raise into the store's own error."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"Redis: {error}") from error
