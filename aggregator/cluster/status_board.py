"""The status of the exchanges as each refresher sees it, for every process: `<prefix>exchanges`, a hash by refresher.

An entry is the time of writing, by Redis' clock, and JSON. Each write deletes the entries of refreshers that have
ended; the hash expires after the last write.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from aggregator.errors import StoreUnavailable
from aggregator.models import RateTokens, VenueWindow, encode
from aggregator.ports import ExchangeState
from aggregator.stores.redis.client import UNREADABLE, RedisClient, mapped

_SECONDS = 1.0  # between two reports
DEAD_SECONDS = 5.0  # without a report
# Writes an entry of a hash with the time, deletes those of the dead, and lets the hash expire.
REPORT = """
local time = redis.call('TIME')
local now, dead = tonumber(time[1]) + time[2] / 1e6, tonumber(ARGV[3])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.3f ', now) .. ARGV[2])
local held = redis.call('HGETALL', KEYS[1])
for i = 1, #held, 2 do
  local at = tonumber(string.match(held[i + 1], '^[%d.]+'))
  if not (at and math.abs(at - now) < dead) then redis.call('HDEL', KEYS[1], held[i]) end
end
redis.call('PEXPIRE', KEYS[1], 1000 * dead)
"""


class _Report(msgspec.Struct, frozen=True):
    """`aggregator.ports.ExchangeState` as a refresher reported it.

    Reports of older versions lack the fields with defaults.
    """

    name: str
    breaker_state: str
    idle_seconds: float | None
    silent_seconds: float
    newest_ticker: float | None
    quiet_seconds: float
    push_trouble: str | None = None
    rejection: str = ""
    tokens: RateTokens | None = None
    listed: int | None = None
    window: VenueWindow = VenueWindow()

    def after(self, seconds: float) -> "_Report":
        """Return the status `seconds` after the report, if nothing has happened since."""
        return msgspec.structs.replace(
            self,
            idle_seconds=None if self.idle_seconds is None else self.idle_seconds + seconds,
            silent_seconds=self.silent_seconds + seconds if self.silent_seconds else 0.0,
            quiet_seconds=max(0.0, self.quiet_seconds - seconds),
        )


_decoder = msgspec.json.Decoder(list[_Report])


class StatusBoard:
    """`aggregator.ports.ExchangeStatus` through Redis."""

    def __init__(self, client: RedisClient) -> None:
        self._redis = client.redis
        self._key = f"{client.prefix}exchanges"

    async def look(self) -> Sequence[Sequence[ExchangeState]]:
        """Return the status that each refresher reports; skips entries that cannot be read. Raises StoreUnavailable."""
        with mapped():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.time()
                pipe.hgetall(self._key)
                (seconds, micros), held = await pipe.execute()
        now = seconds + micros / 1e6
        views = [_read(held[name], now) for name in sorted(held)]
        return [view for view in views if view]

    async def report(self, name: str, exchanges: Sequence[ExchangeState]) -> None:
        """Write the report of the refresher `name`, valid for a few seconds. Raises StoreUnavailable."""
        report = encode([msgspec.convert(one, _Report, from_attributes=True) for one in exchanges])
        with mapped():
            writing: Any = self._redis.eval(REPORT, 1, self._key, name, report.decode(), str(DEAD_SECONDS))
            await writing


class StatusReporter:
    """Reports the status of this process' exchanges once a second."""

    def __init__(self, board: StatusBoard, name: str, exchanges: Sequence[ExchangeState]) -> None:
        self._board = board
        self._name = name
        self._exchanges = exchanges
        self._log = structlog.get_logger().bind(store="redis")

    async def run(self) -> None:
        """Report; never returns."""
        while True:
            try:
                await self._board.report(self._name, self._exchanges)
            except StoreUnavailable as error:
                self._log.debug("exchanges_not_told", error=str(error))
            await asyncio.sleep(_SECONDS)


def _read(entry: bytes, now: float) -> list[_Report]:
    at, _, raw = entry.partition(b" ")
    try:
        age = max(0.0, now - float(at))
        return [one.after(age) for one in _decoder.decode(raw)]
    except (ValueError, *UNREADABLE):  # not written by us
        return []
