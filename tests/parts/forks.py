"""Processes of `aggregator`, `mock_exchange` and the fault proxy as forks of one process that has imported all three.

The imports take nine tenths of a start: a second of CPU, two with the libraries of DynamoDB. `python -m
tests.parts.forks` is the process with the imports, one for each process of pytest. It receives a `Start` with the files
of the child's output, forks, and reports the child's pid and exit code. `share` adds one for processes with a preloaded
library.
"""

import atexit
import contextlib
import gc
import importlib
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NoReturn

import msgspec

ROOT = Path(__file__).parents[2]
_MODULES = (
    "aggregator.__main__",
    "mock_exchange.__main__",
    "aggregator.cli.main",
    # Modules that commands import when they need them:
    "aggregator.libraries.aws",
    "aggregator.cli.doctor.command",
    "aggregator.cli.replay.command",
    "aggregator.stores.dynamodb.table",
    "aggregator.stores.trades.dynamodb",
    "tests.parts.dynamodb_proxy",
    "tests.parts.kinesis_proxy",
    "tests.chaos.load_generator",
)
_MOST = 1 << 17  # bytes of a request; an environment takes about ten thousand
_READ_AT_START = ("LD_", "PYTHON", "FAKETIME", "PROMETHEUS_")  # an interpreter or a library reads them as it starts
_servers: dict[frozenset[tuple[str, str]], "_Server"] = {}  # by what an interpreter reads as it starts


class Start(msgspec.Struct, frozen=True):
    """A child to start: a package or module with `main()`, its arguments, whole environment and working directory."""

    program: str
    arguments: list[str]
    environment: dict[str, str]
    folder: str


def _at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_READ_AT_START)}


_INHERITED = _at_start(os.environ)  # before a test changes any
_shared = [_INHERITED]


def share(environment: Mapping[str, str]) -> None:
    """Fork all processes with this preloaded library, module path and the like, from one of their own."""
    if not possible(environment):
        _shared.append(_at_start(environment))


def possible(environment: Mapping[str, str]) -> bool:
    """Return whether a fork equals a start: not with another preloaded library and the like, unless it is shared."""
    return _at_start(environment) in _shared


def start(program: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path = ROOT) -> "Fork":
    """Start a program whose stdout and stderr, in order, are the `stdout` of the fork. It has no input."""
    reading, writing = os.pipe()
    try:
        fork = started(Start(program, list(arguments), dict(environment), str(folder)), writing, writing)
    finally:
        os.close(writing)
    fork.stdout = os.fdopen(reading, errors="replace")  # its reader closes it
    return fork


def started(request: Start, stdout: int, stderr: int) -> "Fork":
    """Start a program with these file descriptors as its output."""
    at_start = _at_start(request.environment) if possible(request.environment) else _INHERITED
    key = frozenset(at_start.items())
    if key not in _servers:
        _servers[key] = _Server(at_start)
    return _servers[key].start(request, stdout, stderr)


def end() -> None:
    """End the processes with the imports; their children go on."""
    while _servers:
        _servers.popitem()[1].end()


def leave(code: int | None) -> NoReturn:
    """End as the interpreter does, up to the point where it would free all that the imports made.

    To free it takes 0.15 s of CPU, as long as a start: each page that a fork shares is copied first.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # private: the interpreter's wait for threads, not in the stubs
    atexit._run_exitfuncs()
    gc.collect()  # reports coroutines that were not awaited, and tasks that were not done
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


class Fork:
    """A running child, with the methods of `subprocess.Popen` that tests use."""

    stdout: IO[str] | None = None

    def __init__(self, reports: int) -> None:
        self._reports = reports
        self.pid = int(self._line())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while the child runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit code. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(f"fork {self.pid}", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the child has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, unless the child has ended."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._reports], [], [], seconds)[0]:
            self.returncode = int(self._line())
            os.close(self._reports)
        return self.returncode

    def _line(self) -> bytes:
        # The server writes each report at once, and the second at the end of the child.
        line = os.read(self._reports, 32)
        assert line, "the process of forks has ended"
        return line


class _Server:
    """The process with the imports, seen from the tests."""

    def __init__(self, at_start: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_READ_AT_START)}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.parts.forks", str(theirs.fileno())],
                cwd=ROOT,
                env=environment | dict(at_start),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for pytest, whose end closes the socket
            )

    def start(self, request: Start, stdout: int, stderr: int) -> Fork:
        reports, reporting = os.pipe()
        try:
            socket.send_fds(self._socket, [msgspec.json.encode(request)], [stdout, stderr, reporting])
        finally:
            os.close(reporting)
        return Fork(reports)

    def end(self) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()


class _Starter:
    """The loop of the process with the imports."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._children: dict[int, int] = {}  # the pipe for reports by pid
        self._woken, self._waking = os.pipe()
        os.set_blocking(self._waking, False)
        os.set_blocking(self._woken, False)

    def run(self) -> Start | None:
        """Start children until the tests end. Returns None then, and in each child the request that is its own."""
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler, no byte is written to the pipe
        signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._requests, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if self._woken in ready:
                    os.read(self._woken, 4096)
                    self._report_ends()
                if self._requests.fileno() in ready:
                    text, descriptors, _, _ = socket.recv_fds(self._requests, _MOST, 3)
                    if not text:
                        return None
                    request = msgspec.json.decode(text, type=Start)
                    if self._fork(descriptors):
                        break
        self._in_child(request, *descriptors)
        return request

    def _fork(self, descriptors: Sequence[int]) -> bool:
        """Fork; return whether this is the child."""
        pid = os.fork()
        if pid == 0:
            return True
        stdout, stderr, reports = descriptors
        os.close(stdout)
        os.close(stderr)
        self._children[pid] = reports
        os.write(reports, b"%d" % pid)
        return False

    def _report_ends(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            reports = self._children.pop(pid)
            with contextlib.suppress(BrokenPipeError):  # the tests have ended without waiting
                os.write(reports, b"%d" % os.waitstatus_to_exitcode(status))
            os.close(reports)

    def _in_child(self, request: Start, stdout: int, stderr: int, reports: int) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        self._requests.close()
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        for descriptor in {stdout, stderr, reports, self._woken, self._waking, *self._children.values()}:
            os.close(descriptor)
        os.chdir(request.folder)
        os.environ.clear()
        os.environ.update(request.environment)
        time.tzset()


def _serve(descriptor: int) -> Start | None:
    gc.disable()  # as aggregator/__main__.py does
    for module in _MODULES:
        importlib.import_module(module)
    sys.modules["aggregator.cli.main"].build_parser()  # keeps the schema of the settings, which each start asks for
    for kind in ("service-2", "endpoint-rule-set-1"):  # kept as well; they take a client of DynamoDB 0.1 s
        sys.modules["aggregator.libraries.aws"].descriptions().load_service_model("dynamodb", kind)
    gc.freeze()
    gc.enable()
    with socket.socket(fileno=descriptor) as requests:
        return _Starter(requests).run()


def _main() -> int | None:
    request = _serve(int(sys.argv[1]))
    if request is None:
        return 0
    # What the program's own processes see of it: its name, and the module that is __main__.
    main = sys.modules.get(f"{request.program}.__main__") or sys.modules[request.program]
    sys.argv = [str(main.__file__), *request.arguments]
    sys.modules["__main__"] = main
    leave(main.main())


if __name__ == "__main__":
    sys.exit(_main())
