"""The state of outlets that processes report to one that sends no events, on a real Redis."""

from functools import partial

import pytest

from aggregator.cluster.outlet_board import OutletReporter, OutletView
from aggregator.ports import OutletStates
from aggregator.stores.redis.client import RedisClient
from tests.parts.sharing import running, until

pytestmark = pytest.mark.real


async def test_the_states_of_all_processes_are_seen(redis_client: RedisClient) -> None:
    """Of two processes with one file, the sender knows the problem; dead letters of a file count once."""
    states = {
        "sender": OutletStates({"desk": "HTTP 503", "queue": ""}, 2),
        "other": OutletStates({"desk": "", "queue": ""}, 2),
        "elsewhere": OutletStates({"far": ""}, 3),
    }
    reporters = [
        OutletReporter(redis_client, file, partial(states.__getitem__, name))
        for name, file in (("sender", "f1"), ("other", "f1"), ("elsewhere", "f2"))
    ]
    view = OutletView(redis_client)
    assert view.states == OutletStates()
    async with running(view.run, *(one.run for one in reporters)):
        await until(lambda: view.states == OutletStates({"desk": "HTTP 503", "queue": "", "far": ""}, 5))
        states["sender"] = OutletStates({"desk": "", "queue": ""}, 2)
        await until(lambda: view.states.problems["desk"] == "")


async def test_what_others_have_written_is_left_out(redis_client: RedisClient) -> None:
    """An entry that is unreadable, or of a process that has ended."""
    await redis_client.redis.hset(
        f"{redis_client.prefix}outlets",
        mapping={"a": "garbage", "b": '1 {"problems":{"old":""},"dead_letters":1}', "c": "x {}"},
    )
    assert await OutletView(redis_client).look() == OutletStates()
