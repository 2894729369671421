"""The state of outlets as the processes that send to them see it, for every process: `<prefix>outlets`, a hash.

An entry is the time of writing, by Redis' clock, and JSON. Entries of processes that have ended are deleted by the next
write; the hash expires after the last one.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from aggregator.cluster.status_board import DEAD_SECONDS, REPORT
from aggregator.errors import StoreUnavailable
from aggregator.models import encode
from aggregator.ports import OutletStates
from aggregator.stores.redis.client import UNREADABLE, RedisClient, mapped

_SECONDS = 1.0  # between two reports, and between two looks
_decoder = msgspec.json.Decoder(OutletStates)


class OutletReporter:
    """Reports the state of the outlets that this process sends to once a second. `file` identifies its outbox."""

    def __init__(self, client: RedisClient, file: str, states: Callable[[], OutletStates]) -> None:
        self._redis = client.redis
        self._key = f"{client.prefix}outlets"
        self._name = f"{file} {secrets.token_hex(4)}"
        self._states = states
        self._log = structlog.get_logger().bind(store="redis")

    async def run(self) -> None:
        """Report; never returns."""
        while True:
            report = encode(self._states()).decode()
            try:
                with mapped():
                    writing: Any = self._redis.eval(REPORT, 1, self._key, self._name, report, str(DEAD_SECONDS))
                    await writing
            except StoreUnavailable as error:
                self._log.debug("outlets_not_told", error=str(error))
            await asyncio.sleep(_SECONDS)


class OutletView:
    """The outlets of all processes on this Redis, for a process that sends to none.

    `states` has nothing of an outlet that no process sends to, and nothing while Redis is away.
    """

    def __init__(self, client: RedisClient) -> None:
        self._redis = client.redis
        self._key = f"{client.prefix}outlets"
        self.states = OutletStates()

    async def run(self) -> None:
        """Look once a second; never returns."""
        while True:
            try:
                self.states = await self.look()
            except StoreUnavailable:
                self.states = OutletStates()
            await asyncio.sleep(_SECONDS)

    async def look(self) -> OutletStates:
        """Return the states that were reported within the last seconds. Raises StoreUnavailable."""
        with mapped():
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.time()
                pipe.hgetall(self._key)
                (seconds, _), held = await pipe.execute()
        problems: dict[str, str] = {}
        dead: dict[bytes, int] = {}  # by file: processes that share it see the same ones
        for name in sorted(held):
            at, _, raw = held[name].partition(b" ")
            try:
                states = _decoder.decode(raw)
                is_old = abs(seconds - float(at)) > DEAD_SECONDS
            except (ValueError, *UNREADABLE):  # not written by us
                continue
            if is_old:
                continue
            for outlet, problem in states.problems.items():
                problems[outlet] = problems.get(outlet) or problem
            file = name.partition(b" ")[0]
            dead[file] = max(dead.get(file, 0), states.dead_letters)
        return OutletStates(problems, sum(dead.values()))
