"""`aggregator doctor` where all is well: its checks, its output, and that it leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

import aioboto3
import pytest

from aggregator.stores.redis.client import RedisClient
from tests.end_to_end.doctor.report import LOCAL, Report, run_command, run_doctor
from tests.parts.dynamodb import DynamoServer
from tests.parts.process import ROOT
from tests.parts.redis_server import RedisServer

pytestmark = pytest.mark.real


def test_all_is_well(on_dynamodb: dict[str, object], redis_running: RedisServer) -> None:
    """Every check is OK, exit code 0."""
    report = Report(run_doctor(**on_dynamodb, cache_url=redis_running.url))
    assert report.problems() == {}, report.text
    assert (report.code, report.level) == (0, "ok")
    assert [one["check"] for one in report.checks] == [
        *("settings", "symbols", "port", "files", "redis", "outbox", "dynamodb", "trades", "events"),
        *("exchange exchange1", "exchange exchange2", "exchange exchange3", "clock"),
    ]


async def test_it_leaves_nothing_behind(
    on_dynamodb: dict[str, object], own_redis: RedisServer, dynamodb_running: DynamoServer, table: str, tmp_path: Path
) -> None:
    """No key in Redis, no item in the table, no file on disk."""
    await run_command(own_redis, "FLUSHALL")
    assert Report(run_doctor(**on_dynamodb, cache_url=own_redis.url)).code == 0
    client = RedisClient(own_redis.url, 1)
    assert await client.redis.keys("*") == []
    await client.close()
    endpoint = dynamodb_running.endpoint
    async with aioboto3.Session().client("dynamodb", "us-east-1", endpoint_url=endpoint, **LOCAL) as dynamodb:
        assert (await dynamodb.scan(TableName=table))["Items"] == []
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240  # nothing else runs in this loop


def test_a_line_for_each_check(healthy: dict[str, object]) -> None:
    """Without --json, each line has the level, the check and the result."""
    environment = os.environ | {f"AGGREGATOR_{name.upper()}": str(value) for name, value in healthy.items()}
    command = [sys.executable, "-m", "aggregator", "doctor", "--max-deviation", "0.04"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout
    assert [line[:6] for line in lines] == ["ok    "] * 12
    assert lines[1].split()[1] == "symbols"
