"""The service as several processes behind one port: a parent, two API workers and a refresher."""

import ast
import shutil
import tempfile
import weakref
from pathlib import Path

import psutil
import pytest

from tests.parts.limits import allowed
from tests.parts.redis_server import RedisServer
from tests.parts.service import Service
from tests.parts.short_list import INTERVALS, SIZES

STOP_SECONDS = allowed(5.0)


class Workers(Service):
    """A parent with two API workers and a refresher, and the temporary folder where they must leave nothing."""

    prefix = "workers-"  # of the folder's name

    def __init__(self, folder: Path, redis: RedisServer, symbols_file: Path, *command: str, **settings: object) -> None:
        self.left = Path(tempfile.mkdtemp(prefix=self.prefix))  # `folder` may be too long for a socket in it
        weakref.finalize(self, shutil.rmtree, self.left, ignore_errors=True)
        settings = {
            "workers": 2,
            "cache_url": redis.url,
            "symbols_file": symbols_file,
            **SIZES,
            **INTERVALS,
            **settings,
        }
        settings["refresh_cooldown"] = 0
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TMPDIR", str(self.left))
            super().__init__(folder, *command, **settings)
        self.children: list[psutil.Process] = []

    def born(self) -> "Workers":
        """Wait until all processes exist; they may not serve yet."""
        pids = self.process.wait_for_line(r"workers .*pids=(\[[\d, ]+\])")[1]
        self.children = [psutil.Process(pid) for pid in ast.literal_eval(pids)]
        return self

    def ready(self) -> "Workers":
        """Wait until both workers listen and every tier is filled."""
        self.born()
        self.process.wait_for_line(r"(?s)listening.*listening")
        self.filled()
        return self

    def gone(self) -> bool:
        """Return whether all children have ended; zombies count as ended."""
        return all(not child.is_running() or child.status() == psutil.STATUS_ZOMBIE for child in self.children)

    def ended_well(self, processes: int = 4) -> None:
        """Check that all `processes` stop in time, with exit code 0, no traceback, no child and no file left."""
        assert self.process.ended(STOP_SECONDS) == 0, self.process.output
        assert self.process.output.count(" stopped") == processes, self.process.output
        assert "Traceback" not in self.process.output
        assert self.gone()
        assert list(self.left.iterdir()) == []
