"""`aggregator doctor` on Redis: away, hanging, without a right, and with a policy that drops data."""

from signal import SIGCONT, SIGSTOP

import pytest

from tests.end_to_end.doctor.report import Report, run_command, run_doctor
from tests.parts.ports import free_port
from tests.parts.redis_server import RedisServer

pytestmark = pytest.mark.real

ENOUGH = "+@all -@dangerous +info ~aggregator:* &aggregator:*"  # the rights that the doctor recommends


def test_redis_away(healthy: dict[str, object]) -> None:
    """The message is that of the service at its start."""
    report = Report(run_doctor(**healthy, cache_url=f"redis://:hush@127.0.0.1:{free_port()}/0"))
    assert (report.code, report.problems()) == (2, {"redis": "fail"})
    assert "start Redis there" in report.finding("redis")[1]
    assert "hush" not in report.text


def test_redis_hangs(healthy: dict[str, object], own_redis: RedisServer) -> None:
    """The check ends after the Redis timeout of the service."""
    own_redis.process.signal(SIGSTOP)
    try:
        report = Report(run_doctor(**healthy, cache_url=own_redis.url))
    finally:
        own_redis.process.signal(SIGCONT)
    assert report.problems() == {"redis": "fail"}


@pytest.mark.parametrize(
    ("rights", "refused"),
    [
        ("-xadd", "share jobs"),
        ("-xautoclaim", "share jobs"),
        ("-evalsha", "keep prices"),
        ("-hset", "keep last trades"),
        ("-subscribe", "receive prices"),
        ("-zadd -zincrby", "rank by popularity"),
        ("resetchannels", "receive prices"),
        ("resetkeys ~other:*", "keep prices"),
        ("-hkeys", "save windows"),
        ("-hdel", "save windows"),
        ("-expire", "save windows"),
        ("resetkeys ~aggregator:doctor:* ~aggregator:outlet_key:*", "save windows"),
        ("resetkeys ~aggregator:doctor:* ~aggregator:windows:*", "claim events of outlets"),
    ],
)
async def test_redis_without_a_right(
    healthy: dict[str, object], own_redis: RedisServer, rights: str, refused: str
) -> None:
    """The refused operation and the rights to grant are named; the password is not shown."""
    await run_command(own_redis, "ACL", "SETUSER", "one", "reset", "on", ">hush", *ENOUGH.split(), *rights.split())
    report = Report(run_doctor(**healthy, cache_url=f"redis://one:hush@127.0.0.1:{own_redis.port}/0"))
    assert (report.code, report.problems()) == (2, {"redis": "fail"}), report.text
    level, says = report.finding("redis")
    assert refused in says
    assert ENOUGH in says
    assert "hush" not in report.text
    assert level == "fail"


async def test_redis_with_enough_rights(healthy: dict[str, object], own_redis: RedisServer) -> None:
    """The recommended rights are enough for every check."""
    await run_command(own_redis, "ACL", "SETUSER", "one", "reset", "on", ">hush", *ENOUGH.split())
    assert Report(run_doctor(**healthy, cache_url=f"redis://one:hush@127.0.0.1:{own_redis.port}/0")).code == 0


async def test_redis_that_drops_data(healthy: dict[str, object], own_redis: RedisServer) -> None:
    """A memory limit with a policy that refuses prices or drops jobs is a warning; volatile-ttl is not."""
    found = []
    for policy in ("noeviction", "allkeys-lru", "volatile-ttl"):
        await run_command(own_redis, "CONFIG", "SET", "maxmemory", "100mb", "maxmemory-policy", policy)
        found.append(Report(run_doctor(**healthy, cache_url=own_redis.url)).problems())
    await run_command(own_redis, "CONFIG", "SET", "maxmemory", "0")
    assert found == [{"redis": "warn"}, {"redis": "warn"}, {}]


async def test_redis_that_is_a_replica(healthy: dict[str, object], own_redis: RedisServer) -> None:
    """A failure that says so."""
    await run_command(own_redis, "REPLICAOF", "127.0.0.1", str(free_port()))
    report = Report(run_doctor(**healthy, cache_url=own_redis.url))
    await run_command(own_redis, "REPLICAOF", "NO", "ONE")
    assert report.code == 2
    assert "is a replica" in report.text
