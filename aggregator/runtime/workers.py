"""Several processes on one port: workers that answer, one more that refreshes if the role is all, and their parent.

The parent takes the port, starts the others, and ends them all when it is told to stop or when one of them ends.
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
from multiprocessing.context import SpawnProcess

import structlog

from aggregator.api.server.server import address_of, listening
from aggregator.errors import CannotGoOn
from aggregator.observability.logs import configure
from aggregator.observability.metrics import SHARED_FOLDER
from aggregator.runtime.roles import serve_on, try_out
from aggregator.runtime.stores import catalog_of, patient
from aggregator.runtime.tuning import run
from aggregator.settings import Settings

_STOP_SECONDS = 15.0
_REAP_SECONDS = 1.0

log = structlog.get_logger()


async def serve_in_workers(settings: Settings, stop: asyncio.Event) -> None:
    """Run the processes until `stop` is set. Raises CannotGoOn, also when one of them ends by itself."""
    with listening(settings.host, settings.port) as listener, tempfile.TemporaryDirectory() as folder:
        await try_out(settings)
        os.environ[SHARED_FOLDER] = folder  # read by the children's interpreters as they start
        processes = _processes(settings, listener)
        async with _running(processes) as one_has_ended:
            log.info("workers", address=address_of(listener), pids=[process.pid for process in processes])
            stopping = asyncio.create_task(stop.wait())
            ending = asyncio.create_task(one_has_ended.wait())
            await asyncio.wait([stopping, ending], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            ending.cancel()
            if not stop.is_set():
                raise CannotGoOn("; ".join(f"{name} has ended by itself, {how}" for name, how in _ended(processes)))
            log.info("stopping")
    log.info("stopped")


def _processes(settings: Settings, listener: socket.socket) -> list[SpawnProcess]:
    context = multiprocessing.get_context("spawn")  # a fork would take over halves of the parent's loop and threads
    roles: list[tuple[str, socket.socket | None]] = [("api", listener)] * settings.workers
    if settings.role == "all":
        roles.append(("refresher", None))
    return [
        context.Process(
            target=_worker,
            args=(settings.model_copy(update={"role": role, "workers": 1}), ours),
            name=f"{role}-{number}",
        )
        for number, (role, ours) in enumerate(roles, start=1)
    ]


def _worker(settings: Settings, listener: socket.socket | None) -> None:
    """Be one of them, in a new interpreter; end when the parent does, however that comes about."""
    configure(settings.log_format, settings.log_level, settings.role)

    async def serve_while_parent_lives(stop: asyncio.Event) -> None:
        loop, parent = asyncio.get_running_loop(), multiprocessing.parent_process()
        assert parent is not None  # noqa: S101  # it has started us
        sentinel = parent.sentinel

        def orphaned() -> None:
            loop.remove_reader(sentinel)  # it stays readable
            stop.set()

        loop.add_reader(sentinel, orphaned)
        await serve_on(listener, settings, catalog_of(settings), stop, patient(stop))

    sys.exit(run(serve_while_parent_lives))


@asynccontextmanager
async def _running(processes: Sequence[SpawnProcess]) -> AsyncIterator[asyncio.Event]:
    """Run the processes while the block does; yield what is set when one of them has ended."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    with _deaf_to_interrupts():
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
def _deaf_to_interrupts() -> Iterator[None]:
    """Let who is started meanwhile never hear a Ctrl-C: the terminal sends it to all, but it is for the parent."""
    resource_tracker.ensure_running()  # else the first start does, which ends the block
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _ended(processes: Sequence[SpawnProcess]) -> list[tuple[str, str]]:
    """Return who has ended, and how."""
    ended = wait([process.sentinel for process in processes], timeout=0)
    return [(process.name, _how(process)) for process in processes if process.sentinel in ended]


def _how(process: SpawnProcess) -> str:
    process.join(_REAP_SECONDS)  # the sentinel is a moment ahead of the exit code
    code = process.exitcode
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"with exit code {code}; the log says why"


def _stop(processes: Sequence[SpawnProcess]) -> None:
    """End those who answer before the one who refreshes: requests in flight may be waiting for it."""
    for role in ("api", "refresher"):
        _stop_all([process for process in processes if process.name.startswith(role)])


def _stop_all(processes: Sequence[SpawnProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_STOP_SECONDS)
        if process.is_alive():
            log.error("worker_killed", worker=process.name)
            process.kill()
            process.join()
