"""The last trade and the newest features of each asset in Redis, for processes that start later.

The hash `<prefix>quotes` has the JSON of a trade by asset, `<prefix>features` that of features. Both expire as trades
do, counted from the last write.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog

from aggregator.models import FUTURE_TOLERANCE, Trade, encode
from aggregator.stores.redis.client import UNREADABLE, RedisClient, mapped
from aggregator.stores.redis.script import Run, Script
from aggregator.trades.features import Features

# A processor that has lost an asset to another one, and does not know it yet, may write later than that one. Therefore
# the script compares; a script is atomic, needs one round trip for many assets and no repetition, as WATCH would. For
# each asset there are these cases:
# 1. The held value is newer by its TIME: it stays.
# 2. It is as old: the fields TIES decide, which need the whole JSON.
# 3. It is later than ARGV[1], which comes from a wrong clock, or cannot be read: it is replaced.
# 4. It is older: it is replaced.
# TIME is searched for instead of decoded: that takes a tenth of the time. A text in the JSON cannot look like it,
# because quotes in texts are escaped.
_SET_IF_NEWER = """
local function stays(held, body)
  local read, old = pcall(cjson.decode, held)
  if not read or type(old) ~= 'table' then return false end
  local new = cjson.decode(body)
  for _, name in ipairs({TIES}) do
    if type(old[name]) ~= type(new[name]) then return false end
    if old[name] ~= new[name] then return old[name] > new[name] end
  end
  return false
end
local latest = tonumber(ARGV[1])
for i = 3, #ARGV, 3 do
  local asset, at, body = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local held = redis.call('HGET', KEYS[1], asset)
  local was = held and tonumber(string.match(held, '"TIME":([%d.eE+-]+)'))
  if not (was and was <= latest and (was > at or (was == at and stays(held, body)))) then
    redis.call('HSET', KEYS[1], asset, body)
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('HLEN', KEYS[1])
"""
_RUN_VALUES = 50  # in one run of a script, during which Redis serves no other client
_WRITE_VALUES = 200  # values in one call, which are encoded without a pause
_READ_ASSETS = 200  # assets in one read, whose values are decoded without a pause


class _Kind(msgspec.Struct, frozen=True):
    """One of the two hashes: its name, its script, and the decoder of its values."""

    name: str
    time: str
    script: Script
    decoder: Any  # msgspec.json.Decoder of Trade or Features


def _kind(name: str, time: str, ties: str, schema: type[object]) -> _Kind:  # the parameter is no clock
    script = Script(_SET_IF_NEWER.replace("TIME", time).replace("TIES", ties))
    return _Kind(name, time, script, msgspec.json.Decoder(schema))


_QUOTES = _kind("quotes", "timestamp", "'venue','id'", Trade)
_FEATURES = _kind("features", "window_end", "'updated_at'", Features)


class LastTradesStore:
    """The two hashes. `retention` is in seconds. Raises StoreUnavailable."""

    def __init__(self, client: RedisClient, retention: float, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._ttl_ms = max(1, round(retention * 1000))
        self._now = now

    async def write(self, trades: Sequence[Trade], features: Sequence[Features]) -> tuple[int, int]:
        """Keep each value unless the hash has a newer one; return how many trades and features the hashes have."""
        with mapped():
            return await self._write(_QUOTES, trades), await self._write(_FEATURES, features)

    async def read(self, assets: Sequence[str]) -> tuple[list[Trade], list[Features]]:
        """Return the values of assets that have one; a value that cannot be read is left out."""
        trades: list[Trade] = []
        features: list[Features] = []
        with mapped():
            async with self._client.redis.pipeline(transaction=False) as pipe:
                pipe.hlen(self._key(_QUOTES))
                pipe.hlen(self._key(_FEATURES))
                sizes = await pipe.execute()
            if not any(sizes):
                return trades, features
            for first in range(0, len(assets), _READ_ASSETS):
                some = list(assets[first : first + _READ_ASSETS])
                async with self._client.redis.pipeline(transaction=False) as pipe:
                    pipe.hmget(self._key(_QUOTES), some)
                    pipe.hmget(self._key(_FEATURES), some)
                    held = await pipe.execute()
                trades += _decoded(_QUOTES, held[0])
                features += _decoded(_FEATURES, held[1])
        return trades, features

    async def _write(self, kind: _Kind, values: Sequence[Trade] | Sequence[Features]) -> int:
        """Write the values of one hash, a part at a time; return how many it has."""
        size = 0
        for first in range(0, max(1, len(values)), _WRITE_VALUES):
            part = values[first : first + _WRITE_VALUES]
            firsts = range(0, max(1, len(part)), _RUN_VALUES)  # without values, a run tells the size
            runs = [self._run(kind, part[at : at + _RUN_VALUES]) for at in firsts]
            size = (await kind.script.run(self._client.redis, runs))[-1]
        return size

    def _run(self, kind: _Kind, values: Sequence[Trade] | Sequence[Features]) -> Run:
        arguments = [
            argument for value in values for argument in (value.asset, repr(getattr(value, kind.time)), encode(value))
        ]
        return Run([self._key(kind)], [repr(self._now() + FUTURE_TOLERANCE), self._ttl_ms, *arguments])

    def _key(self, kind: _Kind) -> str:
        return f"{self._client.prefix}{kind.name}"


def _decoded(kind: _Kind, held: Sequence[bytes | None]) -> list[Any]:
    values: list[Any] = []
    for raw in held:
        if raw is None:
            continue
        try:
            values.append(kind.decoder.decode(raw))
        except UNREADABLE as error:  # a value that is not ours
            structlog.get_logger().warning("last_trade_unreadable", hash=kind.name, error=str(error))
    return values
