"""Calls through a circuit breaker: one that succeeds, one that fails, one that is under way until a test ends it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from aggregator.errors import ExchangeError, ExchangeHttpError, ExchangeTimeout
from aggregator.resilience.circuit_breaker import CircuitBreaker


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


async def call(breaker: CircuitBreaker[ExchangeError], work: Callable[[], Awaitable[str]]) -> str:
    """Make a call that the breaker must admit."""
    with breaker.attempt():
        return await work()


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


async def fail(breaker: CircuitBreaker[ExchangeError], times: int) -> None:
    """Fail so often."""
    for _ in range(times):
        with pytest.raises(ExchangeHttpError):
            await call(breaker, bad)


async def begin(breaker: CircuitBreaker[ExchangeError]) -> tuple[Gate, asyncio.Task[str]]:
    """Start a call and leave it under way."""
    gate = Gate()
    task = asyncio.create_task(call(breaker, gate))
    await gate.entered.wait()
    return gate, task
