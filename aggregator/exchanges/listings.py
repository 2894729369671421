"""Keeps the listings: read at start, once a day, and when an exchange refuses a pair that its listing has.

Where that fails, what is known stays, and it is tried again.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from aggregator.exchanges.guarded_exchange import GuardedExchange
from aggregator.resilience.backoff import Backoff

DAY = 86_400.0
_FIRST_PATIENCE = 10.0  # seconds the start waits; it goes on without those that take longer
_RETRY, _LONGEST_RETRY = 15.0, 900.0  # seconds
_REST = 900.0  # seconds from one reading to the next, whatever is in doubt


class Listings:
    """Those of all exchanges; `every` in seconds."""

    def __init__(
        self, exchanges: Sequence[GuardedExchange], every: float = DAY, retry: float = _RETRY, rest: float = _REST
    ) -> None:
        self.exchanges = exchanges
        self._every = every
        self._retry = retry
        self._rest = rest
        self._read: set[str] = set()
        self._on_read: Callable[[], None] = lambda: None

    def listen(self, on_read: Callable[[], None]) -> None:
        """Call this, now and whenever one was read."""
        self._on_read = on_read
        on_read()

    async def open(self) -> None:
        """Read each once, all at the same time; who cannot say what it trades is asked for everything meanwhile."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_PATIENCE), asyncio.TaskGroup() as group:
                for exchange in self.exchanges:
                    group.create_task(self._try(exchange))

    async def run(self) -> None:
        """Read them again, for ever."""
        async with asyncio.TaskGroup() as group:
            for exchange in self.exchanges:
                group.create_task(self._keep(exchange))

    async def _keep(self, exchange: GuardedExchange) -> None:
        backoff = Backoff(_LONGEST_RETRY, self._retry, jitter=False)
        while True:
            if exchange.name in self._read:
                await self._until_due(exchange)
                backoff = Backoff(_LONGEST_RETRY, self._retry, jitter=False)
            else:
                await backoff.pause()
            await self._try(exchange)

    async def _until_due(self, exchange: GuardedExchange) -> None:
        rest = min(self._rest, self._every)
        await asyncio.sleep(rest)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._every - rest):
                await exchange.listing_doubted.wait()

    async def _try(self, exchange: GuardedExchange) -> None:
        self._read.discard(exchange.name)
        if await exchange.read_listing() is None:
            self._read.add(exchange.name)
            self._on_read()
