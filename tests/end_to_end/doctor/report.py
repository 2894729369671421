"""`aggregator doctor` run as a process, what it has said, and commands to the Redis it looks at."""

import json
import os
import subprocess
import sys
from typing import Any

from aggregator.stores.redis.client import RedisClient
from tests.parts.process import ROOT
from tests.parts.redis_server import RedisServer

LOCAL = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}


class Report:
    """What the doctor has said: its exit code, and each finding by what was looked at."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        assert done.stderr == ""
        self.code = done.returncode
        self.text = done.stdout
        said: dict[str, Any] = json.loads(done.stdout)
        self.level = said["level"]
        self.checks: list[dict[str, str]] = said["checks"]

    def of(self, check: str) -> tuple[str, str]:
        """Return the one finding of a check: its level, and what it says."""
        (found,) = [one for one in self.checks if one["check"] == check]
        return found["level"], f"{found['says']}; {found['mend']}"

    def amiss(self) -> dict[str, str]:
        """Return the level of every check that is not well."""
        return {one["check"]: one["level"] for one in self.checks if one["level"] != "ok"}


def ran(*command: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """Run the doctor with these settings and no others; faults that hang it are cut short."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AGGREGATOR_")}
    environment |= {f"AGGREGATOR_{name.upper()}": str(value) for name, value in settings.items()}
    command = (*command, sys.executable, "-m", "aggregator", "doctor")
    return subprocess.run(
        [*command, "--seconds", "4", "--json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def told(server: RedisServer, *command: str) -> None:
    """Send Redis a command as its owner."""
    client = RedisClient(server.url, 1)
    await client.redis.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py has not typed it
    await client.close()
