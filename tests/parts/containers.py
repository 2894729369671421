"""Run docker-compose.yml on this machine's Docker engine, as a project of its own."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from signal import SIGKILL
from typing import Any

from tests.parts.process import ROOT, wait_for

PROJECT = "price-check"
UP_SECONDS = 1800  # the first build downloads everything
HEAL_SECONDS = 90.0


def run(*command: str, seconds: float = 120) -> str:
    """Run a command in the repository's root; return its output, or fail with it."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=seconds)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def compose_command() -> list[str] | None:
    """Return the command for Compose, `docker compose` or `docker-compose`; None when neither is installed."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    with suppress(AssertionError, OSError):
        run("docker", "compose", "version")
        return ["docker", "compose"]
    return None


class Container:
    """One container, as Docker lists it."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def service(self) -> str:
        """Its service name in docker-compose.yml."""
        label: str = self.inspect()["Config"]["Labels"]["com.docker.compose.service"]
        return label

    def inspect(self) -> dict[str, Any]:
        """Return what `docker inspect` reports."""
        found: dict[str, Any] = json.loads(run("docker", "inspect", self.name))[0]
        return found

    def is_healthy(self) -> bool:
        """Return whether the container runs and its own health check passes."""
        state = self.inspect()["State"]
        return bool(state["Running"]) and state["Health"]["Status"] == "healthy"

    def do(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside the container."""
        command = ("docker", "exec", self.name, *command)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def do_outside(self, what: str) -> None:
        """Run a docker command on the container, such as start or stop."""
        run("docker", what, self.name)

    def crash(self) -> None:
        """Kill its process from outside: after `docker kill` the engine would not restart it."""
        before = self.inspect()["State"]
        try:
            os.kill(before["Pid"], SIGKILL)
        except PermissionError:
            run("sudo", "--non-interactive", "kill", "-KILL", str(before["Pid"]))
        wait_for(
            lambda: self.inspect()["State"]["StartedAt"] != before["StartedAt"],
            HEAL_SECONDS,
            f"{self.name} started again",
        )

    def heal(self) -> None:
        """Wait until the container is healthy again."""
        wait_for(self.is_healthy, HEAL_SECONDS, f"{self.name} healthy again")


class Containers:
    """All containers of the Compose project, with both profiles."""

    def __init__(self, compose: Sequence[str]) -> None:
        self._compose = [*compose, "--project-name", PROJECT, "--profile", "scale", "--profile", "stream"]

    def up(self) -> None:
        """Build and start all services."""
        run(*self._compose, "up", "--detach", "--build", seconds=UP_SECONDS)

    def down(self) -> None:
        """Remove all containers, networks and volumes of the project."""
        run(*self._compose, "down", "--volumes", seconds=300)

    def all(self) -> list[Container]:
        """Return all existing containers, running or stopped."""
        return [Container(name) for name in self.listed("ps", "--all", "{{.Names}}")]

    def of(self, service: str) -> Container:
        """Return the first container of a service."""
        return next(one for one in self.all() if one.service == service)

    def listed(self, *what: str) -> list[str]:
        """Return what `docker WHAT` lists for this project; the last argument is the output format."""
        *command, form = what
        label = f"label=com.docker.compose.project={PROJECT}"
        return sorted(run("docker", *command, "--filter", label, "--format", form).split())
