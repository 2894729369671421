"""Calls that a guard is to let through or not: well, badly, and under way for as long as a test wants."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from aggregator.errors import ExchangeHttpError, ExchangeTimeout
from aggregator.exchanges.breaker import CircuitBreaker


class Gate:
    """A call under way, to be ended by hand."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self._end: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        """Wait for the end."""
        self.entered.set()
        return await self._end

    def succeed(self) -> None:
        """End well."""
        self._end.set_result("late success")

    def fail(self) -> None:
        """End badly."""
        self._end.set_exception(ExchangeTimeout("late failure"))


async def good() -> str:
    """Succeed."""
    return "ticker"


async def bad() -> str:
    """Fail in a way that speaks against the exchange."""
    raise ExchangeHttpError("HTTP 500")


def failing_with(error: Exception) -> Callable[[], Awaitable[str]]:
    """Return a call that fails so."""

    async def call() -> str:
        raise error

    return call


async def fail(guard: CircuitBreaker, times: int) -> None:
    """Fail so often."""
    for _ in range(times):
        with pytest.raises(ExchangeHttpError):
            await guard.call(bad)


async def begin(guard: CircuitBreaker) -> tuple[Gate, asyncio.Task[str]]:
    """Start a call and leave it under way."""
    gate = Gate()
    task = asyncio.create_task(guard.call(gate))
    await gate.entered.wait()
    return gate, task
