"""A child process that says on its output when it is ready."""

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
END_SECONDS = 15.0


def wait_for(condition: Callable[[], bool], seconds: float = START_SECONDS, what: str = "") -> None:
    """Wait until `condition()` holds; fail after `seconds`. For conditions no event can announce."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what or condition}")
        time.sleep(0.02)


_running: set["Process"] = set()


def end_all() -> None:
    """End whatever a failed test has left running."""
    for process in list(_running):
        process.stop(SIGKILL)


class Process:
    """A running child, in a group of its own; its output (both streams, in order) is read all the time."""

    def __init__(self, command: Sequence[str], cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> None:
        self.child = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(environment) if environment is not None else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        _running.add(self)

    @property
    def output(self) -> str:
        """What it has said so far."""
        return "".join(self._lines)

    def wait_for_line(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """Wait until its output matches `pattern`; fail at the deadline or when it has ended without."""
        deadline = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.output)
            if match:
                return match
            if self.child.poll() is not None and not self._reader.is_alive():
                raise AssertionError(f"ended with {self.child.returncode} before saying {pattern!r}:\n{self.output}")
            if time.monotonic() > deadline:
                raise AssertionError(f"did not say {pattern!r} within {seconds:g} s:\n{self.output}")
            time.sleep(0.02)

    def signal(self, number: Signals) -> None:
        """Send a signal."""
        os.kill(self.child.pid, number)

    def signal_group(self, number: Signals) -> None:
        """Send a signal to it and all it has started, as a terminal does on Ctrl-C."""
        os.killpg(self.child.pid, number)

    def ended(self, seconds: float = END_SECONDS) -> int:
        """Wait until it has ended by itself and return its exit code."""
        code = self.child.wait(seconds)
        self._reader.join(seconds)
        _running.discard(self)
        return code

    def stop(self, number: Signals = SIGTERM) -> int:
        """Ask it to end, insist if it does not, and return its exit code."""
        if self.child.poll() is None:
            self.signal(number)
        try:
            return self.ended()
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.ended()

    def _read(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self._lines.append(line)
        self.child.stdout.close()
