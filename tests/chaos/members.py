"""The members of a deployment (processes, or groups of workers) and the supervisor that restarts them."""

import ast
import re
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals
from typing import Self
from urllib.parse import urlsplit

import psutil

from tests.chaos.recorder import Ended, Record
from tests.parts.service import Service

UP_SECONDS = 120.0  # time limit for a process or group to serve, in seconds, on a loaded machine
END_SECONDS = 60.0  # time limit for a process or group to end, in seconds, on a loaded machine
# The last line of a start that was refused because a store is away.
REFUSED = r"aggregator: .*\(AGGREGATOR_(CACHE_URL|HISTORY_URL|OUTBOX_PATH)\)\n$"
TRY_AGAIN = 0.3
LAST_LINES = 12
WATCH = 0.1  # seconds between checks for ended processes


def _socket(port: int, remote_port: int) -> str:
    """Return the socket between two ports of this machine as /proc names it; empty when there is none.

    psutil parses every line once per process. With the thousands of closed connections that other tests leave, that
    takes a quarter of a second, in which no client is served.
    """
    local, remote = f":{port:04X} ", f":{remote_port:04X} "
    for line in Path("/proc/net/tcp").read_text().splitlines():
        if remote in line and local in line:
            _, ours, theirs, *_, inode = line.split()[:10]
            if f"{ours} ".endswith(local) and f"{theirs} ".endswith(remote):
                return f"socket:[{inode}]"
    return ""


def _open_files(pid: int) -> set[str]:
    """Return what the file descriptors of a process stand for; empty when it has ended."""
    found = set()
    with suppress(FileNotFoundError, ProcessLookupError):
        for one in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # closed meanwhile
                found.add(str(one.readlink()))
    return found


class Member:
    """A process or a group of workers; every restart uses a new port, which clients find in `place`."""

    def __init__(self, name: str, record: Record, folder: Path, settings: dict[str, object]) -> None:
        self.name = name
        self.place = ("", "")
        self.folder = folder
        self.runs: list[Service] = []
        self.lock = threading.Lock()  # held while the member is being started or ended
        self._record = record
        self._settings = settings
        self._children: list[psutil.Process] = []
        self._down = True
        self._closed = False
        folder.mkdir(exist_ok=True)

    @property
    def url(self) -> str:
        """Its address; empty while it is down."""
        return self.place[0]

    @property
    def answers(self) -> bool:
        """Whether it serves prices."""
        return self._settings.get("role") != "refresher"

    @property
    def workers(self) -> int:
        """The number of processes behind its port."""
        return int(str(self._settings.get("workers", 1)))

    @property
    def names(self) -> list[str]:
        """The names of its processes, in the order in which a group starts them."""
        if self.workers == 1:
            return [self.name]
        return [f"{self.name}: api-{number}" for number in range(1, self.workers + 1)] + [f"{self.name}: refresher"]

    @property
    def service(self) -> Service:
        """The current run of the service, or the last one."""
        return self.runs[-1]

    def server(self, local_port: int) -> str:
        """Return the name of the process that owns the connection from `local_port`; empty when it is unknown."""
        socket = _socket(urlsplit(self.url).port or 0, local_port)
        owner = next((child.pid for child in self._children if socket in _open_files(child.pid)), None)
        return f"{self.name}:{owner}" if owner else ""

    def start(self) -> None:
        """Start the service and wait until it serves; while a store is away, retry refused starts."""
        with self.lock:
            deadline = time.monotonic() + UP_SECONDS
            while self._down and not self._closed and not self._tried():
                assert time.monotonic() < deadline, f"{self.name} does not start: {self.service.process.output[-2000:]}"
                time.sleep(TRY_AGAIN)

    def end(self, number: Signals) -> None:
        """End the process with this signal; it stays down until `start`."""
        with self.lock:
            if self._down:  # ended by itself; `watch` has recorded it
                return
            self._go_down()
            self.service.process.signal(number)
            code = self.service.process.ended(END_SECONDS)
            self._children_gone()
            if number != SIGKILL and code != 0:
                self._note_end(code)

    def kill_child(self, which: float) -> None:
        """Kill one process of a group: the group must report it and end with exit code 1."""
        with self.lock:
            if self._down:
                return
            self._go_down()
            with suppress(psutil.NoSuchProcess):
                self._children[int(which * len(self._children))].kill()
            code = self.service.process.ended(END_SECONDS)
            if code != 1:
                self._note_end(code)
            self._children_gone()

    def signal(self, number: Signals, nth: int) -> psutil.Process | None:
        """Send a signal to one of its processes; return that process, or None when none runs."""
        with self.lock:
            if self._down:
                return None
            processes = self._children or [psutil.Process(self.service.process.child.pid)]
            with suppress(psutil.NoSuchProcess):
                processes[nth].send_signal(number)
            return processes[nth]

    def watch(self) -> None:
        """Record a process that has ended by itself, and start it again."""
        with self.lock:
            if self._down or self.service.process.child.poll() is None:
                return
            self._go_down()
            self._note_end(self.service.process.ended())
            self._children_gone()
        self.start()

    def close(self) -> None:
        """Stop the member for good with SIGTERM, as an operator does."""
        self._closed = True
        if not self._down:
            self.end(SIGTERM)

    def _go_down(self) -> None:
        self.place, self._down = ("", ""), True

    def _children_gone(self) -> None:
        children, self._children = self._children, []
        _, alive = psutil.wait_procs(children, timeout=20)
        for child in alive:
            child.kill()
        assert not alive, f"{self.name}: {alive} outlived their parent"

    def _note_end(self, code: int) -> None:
        last = "".join(self.service.process.output.splitlines(keepends=True)[-LAST_LINES:])
        self._record.ended.append(Ended(self.name, time.time(), code, last))

    def _tried(self) -> bool:
        service = Service(self.folder, **self._settings)
        self.runs.append(service)
        try:
            service.process.wait_for_line("(?s)" + ".*listening" * self.workers, UP_SECONDS)
            service.started()
            if self.workers > 1:
                pids = service.process.wait_for_line(r"workers .*pids=(\[[\d, ]+\])")[1]
                self._children = [psutil.Process(pid) for pid in ast.literal_eval(pids)]
        except (AssertionError, psutil.NoSuchProcess):
            assert service.process.child.poll() is not None, (
                f"{self.name} is too slow: {service.process.output[-2000:]}"
            )
            code = service.process.ended()
            if code == 1 and re.search(REFUSED, service.process.output) and "workers " not in service.process.output:
                self._record.refused_starts += 1
            else:
                self._note_end(code)
            return False
        only = "" if self._children else f"{self.name}:{service.process.child.pid}"
        self.place, self._down = (service.url, only), False
        return True


class Supervisor:
    """Watches the members during the run: records each that ends by itself, and starts it again."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(UP_SECONDS * len(self._members) + 1)

    def _run(self) -> None:
        while not self._over.wait(WATCH):
            for member in self._members:
                member.watch()
