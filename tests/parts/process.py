"""Child processes whose output says when they are ready."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

from tests.parts import forks
from tests.parts.forks import Fork

ROOT = forks.ROOT
# Time limits on a loaded machine, not promises; a promise has its own limit where it is tested.
START_SECONDS = 120.0
END_SECONDS = 60.0


def wait_for(condition: Callable[[], bool], seconds: float = START_SECONDS, what: str = "") -> None:
    """Poll until `condition()` holds; fail after `seconds`. For conditions that no event announces."""
    started = time.monotonic()
    while not condition():
        waited = time.monotonic() - started
        if waited > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what or condition}")
        # Most conditions are a call to the service: 20 calls a second through a long wait take a twentieth of a core.
        time.sleep(min(max(waited / 20, 0.01), 0.2))


_running: set["Process"] = set()


def end_all() -> None:
    """Kill all processes that failed tests have left running."""
    for process in list(_running):
        process.stop(SIGKILL)


class Process:
    """A running child in its own process group; a thread reads its output (stdout and stderr, in order)."""

    def __init__(self, command: Sequence[str], cwd: Path = ROOT, environment: Mapping[str, str] | None = None) -> None:
        self._follow(
            subprocess.Popen(
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
        )

    @classmethod
    def of_program(cls, program: str, *arguments: str, environment: Mapping[str, str] | None = None) -> "Process":
        """Start a program that `forks.py` imports: as a fork, without the imports, where that makes no difference."""
        environment = os.environ if environment is None else environment
        if not forks.possible(environment):
            return cls([sys.executable, "-m", program, *arguments], environment=environment)
        process = cls.__new__(cls)
        process._follow(forks.start(program, arguments, environment))
        return process

    def _follow(self, child: subprocess.Popen[str] | Fork) -> None:
        self.child = child
        self._lines: list[str] = []
        self._at_end = False
        self._said = threading.Condition()  # guards the two above
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        _running.add(self)

    @property
    def output(self) -> str:
        """The output so far."""
        return "".join(self._lines)

    def wait_for_line(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        """Wait until the output matches `pattern`; fail at the deadline, or when the process ends without a match."""
        deadline = time.monotonic() + seconds
        while True:
            ended, lines = self._at_end, len(self._lines)
            match = re.search(pattern, self.output)
            if match:
                return match
            if ended:
                code = self.child.wait(END_SECONDS)
                raise AssertionError(f"ended with {code} before saying {pattern!r}:\n{self.output}")
            if not self._says_more(lines, deadline - time.monotonic()):
                raise AssertionError(f"did not say {pattern!r} within {seconds:g} s:\n{self.output}")

    def _says_more(self, lines: int, seconds: float) -> bool:
        """Wait until there are more than `lines` lines of output, or there will be no more; return whether it is so."""
        with self._said:
            return self._said.wait_for(lambda: self._at_end or len(self._lines) > lines, seconds)

    def signal(self, number: Signals) -> None:
        """Send a signal to the process."""
        os.kill(self.child.pid, number)

    def signal_group(self, number: Signals) -> None:
        """Send a signal to the whole process group, as a terminal does on Ctrl-C."""
        os.killpg(self.child.pid, number)

    def ended(self, seconds: float = END_SECONDS) -> int:
        """Wait until the process has ended by itself; return its exit code."""
        code = self.child.wait(seconds)
        self._reader.join(seconds)
        _running.discard(self)
        return code

    def stop(self, number: Signals = SIGTERM) -> int:
        """Send a signal, kill the process if it does not end in time, and return its exit code."""
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
            with self._said:
                self._lines.append(line)
                self._said.notify_all()
        self.child.stdout.close()
        with self._said:
            self._at_end = True
            self._said.notify_all()
