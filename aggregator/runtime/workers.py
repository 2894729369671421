"""Several processes on one port: `api` workers, and their parent.

With the role `all` there is one `refresher` more, and one `processor` if processes share the log of trades.
The parent opens the port, starts the children, and stops all of them when it is told to stop or when one of them ends.
The children are forks of multiprocessing's fork server, a process without threads that has imported `fork_server`.
They are new interpreters where the path of its socket would be too long.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

import structlog

from aggregator.api.server.server import address_of, listening
from aggregator.errors import CannotGoOn
from aggregator.observability.logs import configure
from aggregator.observability.metrics import SHARED_FOLDER
from aggregator.runtime.attempts import patient
from aggregator.runtime.catalog import catalog_of
from aggregator.runtime.lifecycle import exit_code, run, serve_on, try_opening
from aggregator.runtime.supervisor import READY, STOPPING, notify
from aggregator.settings import Settings

_STOP_SECONDS = 15.0  # for a child to end after SIGTERM
_LONGEST_TEMPORARY = 70  # bytes; a socket's path has at most 103 on some systems, and multiprocessing adds 30
_REAP_SECONDS = 1.0  # for the exit code of a child that has ended

log = structlog.get_logger()


async def serve_in_workers(settings: Settings, stop: asyncio.Event) -> None:
    """Run the children until `stop` is set. Raises CannotGoOn, also when a child ends by itself."""
    with listening(settings.host, settings.port) as listener, tempfile.TemporaryDirectory() as folder:
        await try_opening(settings)
        os.environ[SHARED_FOLDER] = folder  # prometheus_client reads it when the children import it
        processes = _processes(settings, listener)
        async with _running(processes) as child_ended:
            log.info("workers", address=address_of(listener), pids=[process.pid for process in processes])
            notify(READY)
            waits = [asyncio.create_task(event.wait()) for event in (stop, child_ended)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in waits:
                task.cancel()
            if not stop.is_set():
                raise CannotGoOn("; ".join(f"{name} has ended by itself, {how}" for name, how in _ended(processes)))
            log.info("stopping")
            notify(STOPPING)
    log.info("stopped")


def _processes(settings: Settings, listener: socket.socket) -> list[BaseProcess]:
    forking, anew = multiprocessing.get_context("forkserver"), multiprocessing.get_context("spawn")
    forking.set_forkserver_preload(["aggregator.runtime.fork_server"])
    make = forking.Process if _are_forks() else anew.Process
    roles: list[tuple[str, socket.socket | None]] = [("api", listener)] * settings.workers
    if settings.role == "all":
        roles.append(("refresher", None))
        roles += [("processor", None)] if settings.shares_log else []
    return [
        make(target=_worker, args=(_of_child(settings, role), socket_of_role), name=f"{role}-{number}")
        for number, (role, socket_of_role) in enumerate(roles, start=1)
    ]


def _are_forks() -> bool:
    """Whether the path of the fork server's socket is not too long. A fork of this process would copy its threads."""
    return len(os.fsencode(tempfile.gettempdir())) <= _LONGEST_TEMPORARY


def _of_child(settings: Settings, role: str) -> Settings:
    return settings.model_copy(update={"role": role, "workers": 1})


def _worker(settings: Settings, listener: socket.socket | None) -> None:
    """Run one child until it is told to stop or the parent has ended, even by a kill."""
    configure(settings.log_format, settings.log_level, settings.role)
    os.environ.pop("NOTIFY_SOCKET", None)  # only the parent reports

    async def serve_while_parent_lives(stop: asyncio.Event) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # `run` handles it from now on
        parent = multiprocessing.parent_process()
        if parent is not None:  # None only where this is no child
            _set_at_end_of(parent.sentinel, stop)
        await serve_on(listener, settings, catalog_of(settings), stop, patient(stop))

    sys.exit(exit_code(lambda: run(serve_while_parent_lives)))


def _set_at_end_of(sentinel: int, stop: asyncio.Event) -> None:
    """Set `stop` when the process of the sentinel has ended."""
    loop = asyncio.get_running_loop()

    def orphaned() -> None:
        loop.remove_reader(sentinel)  # it would stay readable
        stop.set()

    loop.add_reader(sentinel, orphaned)


@asynccontextmanager
async def _running(processes: Sequence[BaseProcess]) -> AsyncIterator[asyncio.Event]:
    """Run the children during the `with` block; yield an event that is set when one of them has ended."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    with _signals_blocked():
        for process in processes:
            process.start()
            loop.add_reader(process.sentinel, ended.set)
    try:
        yield ended
    finally:
        for process in processes:
            loop.remove_reader(process.sentinel)
        await asyncio.to_thread(_stop, processes)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block the signals that a terminal or a supervisor sends to all processes, for those started meanwhile.

    Only the parent handles SIGINT. The fork server must outlive the children, whose exit codes it reports, so it never
    handles SIGTERM, and a fork does once it is ready to. A new interpreter needs seconds until then: SIGTERM ends it.
    """
    blocked = {signal.SIGINT, signal.SIGTERM} if _are_forks() else {signal.SIGINT}
    resource_tracker.ensure_running()  # the first start of a child would run it, and unblock both
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)


def _ended(processes: Sequence[BaseProcess]) -> list[tuple[str, str]]:
    """Return the names of the children that have ended, each with its exit code or signal."""
    ended = wait([process.sentinel for process in processes], timeout=0)
    return [(process.name, _how(process)) for process in processes if process.sentinel in ended]


def _how(process: BaseProcess) -> str:
    process.join(_REAP_SECONDS)  # the exit code is known a moment after the sentinel is readable
    code = process.exitcode
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"with exit code {code}; the log says why"


def _stop(processes: Sequence[BaseProcess]) -> None:
    """Stop the `api` workers before the others: their requests in flight may wait for a refresh."""
    api = [process for process in processes if process.name.startswith("api")]
    _stop_all(api)
    _stop_all([process for process in processes if process not in api])


def _stop_all(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_STOP_SECONDS)
        if process.is_alive():
            log.error("worker_killed", worker=process.name)
            process.kill()
            process.join()
