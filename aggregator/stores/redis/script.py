"""Lua scripts that Redis keeps under their SHA-1, so that a call sends the digest instead of the text."""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import redis.asyncio as redis
from redis.exceptions import NoScriptError


class Run(NamedTuple):
    """One run of a script: its KEYS and its ARGV. Redis serves no other client during it."""

    keys: Sequence[str]
    arguments: Sequence[str | bytes | float]


class Script:
    """A script with the text `source`."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()  # Redis' name for the script

    async def run(self, client: redis.Redis, runs: Sequence[Run]) -> list[Any]:
        """Run the script several times in one round trip; return the answers. The runs may be repeated.

        Redis does not know the script at first, and after a restart: then text and runs are sent in another round trip.
        Raises the first error of Redis, such as that of a user who may not load scripts.
        """
        answers = await self._sent(client, runs, load=False)
        if any(isinstance(answer, NoScriptError) for answer in answers):
            answers = await self._sent(client, runs, load=True)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers[-len(runs) :]

    async def _sent(self, client: redis.Redis, runs: Sequence[Run], *, load: bool) -> list[Any]:
        async with client.pipeline(transaction=False) as pipe:
            if load:
                pipe.script_load(self._source)
            for keys, arguments in runs:
                pipe.evalsha(self._sha, len(keys), *keys, *arguments)
            answers: list[Any] = await pipe.execute(raise_on_error=False)
            return answers
