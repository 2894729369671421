"""Runs `aggregator doctor` as a process and reads its report; sends commands to the Redis that it checks."""

import json
import os
import subprocess
import sys
from typing import Any

from aggregator.stores.redis.client import RedisClient
from tests.parts import commands
from tests.parts.process import ROOT
from tests.parts.redis_server import RedisServer

LOCAL = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}


class Report:
    """A report of the doctor: its exit code, and each finding by its check."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        assert done.stderr == ""
        self.code = done.returncode
        self.text = done.stdout
        said: dict[str, Any] = json.loads(done.stdout)
        self.level = said["level"]
        self.checks: list[dict[str, str]] = said["checks"]

    def finding(self, check: str) -> tuple[str, str]:
        """Return the level and the text of the only finding of a check."""
        (found,) = [one for one in self.checks if one["check"] == check]
        return found["level"], f"{found['says']}; {found['mend']}"

    def problems(self) -> dict[str, str]:
        """Return the level of every check that is not OK."""
        return {one["check"]: one["level"] for one in self.checks if one["level"] != "ok"}


def run_doctor(*command: str, seconds: object = 30, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run the doctor with these settings and no others, and a time limit of `seconds` for each check.

    The words of `command`, which runs its arguments, come before those of the doctor.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGGREGATOR_")}
    environment |= {f"AGGREGATOR_{name.upper()}": str(value) for name, value in settings.items()}
    arguments = ("doctor", "--seconds", str(seconds), "--json")
    if not command:
        return commands.run_command(*arguments, environment=environment)
    return subprocess.run(
        [*command, sys.executable, "-m", "aggregator", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


async def run_command(server: RedisServer, *command: str) -> None:
    """Send Redis a command as its owner."""
    client = RedisClient(server.url, 1)
    await client.redis.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py has no type for it
    await client.close()
