"""Single flight: one task per key at a time, shared by its callers."""

import asyncio

import pytest

from aggregator.resilience.single_flight import SingleFlight


async def test_concurrent_callers_share_one_task() -> None:
    """A thousand callers, one run; the next caller starts a new task."""
    flights, runs = SingleFlight[str, int](), 0

    async def work() -> int:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        return runs

    assert await asyncio.gather(*(flights.do("a", work) for _ in range(1000))) == [1] * 1000
    assert "a" not in flights
    assert await flights.do("a", work) == 2


async def test_keys_do_not_wait_for_each_other() -> None:
    """One task hangs, the other finishes."""
    flights, forever = SingleFlight[str, int](), asyncio.Event()

    async def hang() -> int:
        await forever.wait()
        return 1

    async def fly() -> int:
        return 2

    hanging = asyncio.create_task(flights.do("a", hang))
    assert await flights.do("b", fly) == 2
    forever.set()
    assert await hanging == 1


async def test_an_error_reaches_every_caller_and_is_not_kept() -> None:
    """Every waiting caller gets it; a later caller starts a new task."""
    flights = SingleFlight[str, int]()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise ValueError

    outcomes = await asyncio.gather(*(flights.do("a", fail) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ValueError] * 3

    async def work() -> int:
        return 1

    assert await flights.do("a", work) == 1


async def test_a_cancelled_caller_does_not_cancel_the_task() -> None:
    """The first caller is cancelled; the second one gets the result."""
    flights, go = SingleFlight[str, int](), asyncio.Event()

    async def work() -> int:
        await go.wait()
        return 1

    first = asyncio.create_task(flights.do("a", work))
    second = asyncio.create_task(flights.do("a", work))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    go.set()
    assert await second == 1


async def test_closing_waits_and_then_cancels() -> None:
    """Tasks that can finish do; a task that hangs is cancelled, which raises in its callers."""
    flights = SingleFlight[str, int]()

    async def hang() -> int:
        await asyncio.Event().wait()
        return 1

    async def finish() -> int:
        await asyncio.sleep(0.01)
        return 2

    hanging = asyncio.create_task(flights.do("a", hang))
    finishing = asyncio.create_task(flights.do("b", finish))
    await asyncio.sleep(0)
    await flights.close(0.1)
    assert await finishing == 2
    with pytest.raises(asyncio.CancelledError):
        await hanging
    await flights.close(0)
