"""A process from its start to its exit code: signals, the run of its role, the stop in order."""

import asyncio
import ctypes
import gc
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Any

import structlog
import uvloop

from aggregator.api.server.server import Server, address_of, limits_of, listening
from aggregator.api.trades.ingest import INGEST_PATH
from aggregator.errors import CannotGoOn
from aggregator.observability.metrics import Metrics
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.prices.tiers import Catalog
from aggregator.runtime.attempts import Attempt, attempt
from aggregator.runtime.catalog import catalog_of
from aggregator.runtime.event_stores import open_events_and_positions
from aggregator.runtime.parts.analytics.build_alerts import rules_of_file
from aggregator.runtime.process import Process
from aggregator.runtime.roles import build_role
from aggregator.runtime.stores import open_history, open_redis
from aggregator.runtime.supervisor import READY, STOPPING, notify
from aggregator.runtime.trade_stores import open_trade_reader
from aggregator.settings import Settings
from aggregator.settings.loader import SettingsError, named_as_given

_LONGEST_STOP = 10.0  # seconds for requests in flight at a stop, however long the exchange timeout is
_MMAP_THRESHOLD, _MMAP_MAX = -3, -4  # options of mallopt
_SEND_SECONDS = 2.0  # to send the last traces when the process ends
_LEAST_MAPPED = 32 << 10  # bytes; the times of 4,096 trades
_MOST_MAPPED = 16_384  # blocks, of the 65,530 mappings that Linux allows a process

Work = Callable[[asyncio.Event], Awaitable[None]]

log = structlog.get_logger()


def run(work: Work) -> int:
    """Run `work` with an event that SIGTERM or SIGINT sets; return the exit code, 0 after a stop and 1 after a crash.

    Raises CannotGoOn, and SettingsError where a setting names a file with mistakes.
    """
    try:
        uvloop.run(_until_signalled(work))
    except (CannotGoOn, SettingsError):
        raise
    except Exception as error:
        log.exception("crashed", exc_info=_cause(error))
        return 1
    return 0


def _cause(error: BaseException) -> BaseException:
    """Return the error inside nested groups of one: there is a group for each part, and a log shows ten of them."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def exit_code(command: Callable[[], int], flags: Collection[str] = ()) -> int:
    """Return the exit code of `command`; tell in words what ended it: 1 for CannotGoOn, 2 for wrong settings.

    Settings that are among the flags are named as these.
    """
    try:
        return command()
    except CannotGoOn as error:
        return complain(1, named_as_given(str(error), flags))
    except SettingsError as error:
        return complain(2, *(named_as_given(one, flags) for one in error.mistakes))


def complain(code: int, *lines: str) -> int:
    """Write the lines to stderr, each after the name of the program; return `code`."""
    for line in lines:
        sys.stderr.write(f"aggregator: {line}\n")
    return code


async def _until_signalled(work: Work) -> None:
    """Run `work`. SIGTERM or SIGINT sets its event; a second SIGINT ends the process at once.

    A second SIGTERM does not: a supervisor sends SIGTERM to every process of a group, and the parent of the workers
    sends it to each of them once more.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def interrupt() -> None:
        if stop.is_set():
            loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler would print a traceback
            signal.raise_signal(signal.SIGINT)
        stop.set()

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, interrupt)
    await work(stop)


def checked_files(settings: Settings) -> Catalog:
    """Return the assets of the symbols file, after a check of the alerts file: nothing runs yet that must be stopped.

    Raises CannotGoOn or SettingsError.
    """
    catalog = catalog_of(settings)
    rules_of_file(settings, catalog)
    return catalog


async def serve_in_process(settings: Settings, stop: asyncio.Event) -> None:
    """Serve in this process, on a port that it opens, until `stop` is set. Raises CannotGoOn, or a part's crash."""
    catalog = checked_files(settings)
    with listening(settings.host, settings.port) as listener:
        await serve_on(listener, settings, catalog, stop)


async def serve_on(
    listener: socket.socket | None,
    settings: Settings,
    catalog: Catalog,
    stop: asyncio.Event,
    attempt: Attempt = attempt,
) -> None:
    """As `serve_in_process`, on a socket that already listens; with None, the process accepts no connections."""
    async with AsyncExitStack() as stack:
        process = Process(settings, catalog, await _open_tracer(settings, stack), stack, stop)
        app = await build_role(process, attempt)
        settle_memory()
        map_large_blocks()
        hurry_threads()
        if listener is not None:
            log.info("listening", address=address_of(listener), assets=len(catalog.assets), role=settings.role)
            notify(READY)
        patience = min(process.longest_refresh, _LONGEST_STOP)
        limits = limits_of(settings.max_connections, frozenset({INGEST_PATH}))
        has_fast_path = settings.role not in ("refresher", "streams")  # else nothing takes it out of the scope
        direct_write = settings.fast_path and has_fast_path
        server = Server(
            app,
            limits,
            process.metrics,
            patience,
            settings.trusted_proxies,
            direct_write=direct_write,
            handler=process.handler,
            respond=process.respond,
        )
        await _serve_until(stop, server, listener, process.beside_server)
    log.info("stopped")


async def _open_tracer(settings: Settings, stack: AsyncExitStack) -> Tracer:
    """Return the tracer, which is closed with the stack. Raises CannotGoOn."""
    if settings.traces == "none":
        return UNTRACED
    from aggregator.observability.telemetry import otlp  # noqa: PLC0415  # an optional dependency

    tracer = otlp(settings.role)
    stack.push_async_callback(tracer.close, _SEND_SECONDS)
    return tracer


async def try_opening(settings: Settings) -> None:
    """Read the files of the settings, and open and close the stores, so that an error is not reported by each worker.

    Raises CannotGoOn or SettingsError.
    """
    checked_files(settings)
    async with AsyncExitStack() as stack:
        await open_redis(settings, stack)
        await open_history(settings, Metrics(), stack)
        await open_trade_reader(settings, Metrics(), stack)
        await open_events_and_positions(settings, Metrics(), stack)


def settle_memory() -> None:
    """Run the garbage collector less often, and never over objects that live as long as the process.

    Requests leave no reference cycles behind, so there is little to collect. Gain: 8 % more requests a second, and no
    pauses for collections of the whole heap.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def map_large_blocks() -> None:
    """Let malloc take a block of 32 KiB or more from the system, and give it back as a whole, where no gap fits.

    The arrays of thousands of windows grow and shrink all the time. If the heap grew for them, they would leave gaps
    behind that no other array fits into. By itself, malloc raises the bound from 128 KiB to 32 MiB as large blocks are
    freed. Another C library than that of GNU does without.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LEAST_MAPPED)
        mallopt(_MMAP_MAX, _MOST_MAPPED)


def hurry_threads() -> None:
    """Let a thread that waits for the interpreter's lock have it after 0.5 ms instead of 5.

    The threads of SQLite need the lock some ten times in a transaction, and the event loop holds it while it is busy.
    """
    sys.setswitchinterval(0.0005)


async def _serve_until(
    stop: asyncio.Event, server: Server, listener: socket.socket | None, beside: list[Coroutine[Any, Any, None]]
) -> None:
    """Serve until `stop` is set, in one task group with the coroutines `beside`: a crash of either ends both.

    Uvicorn by itself would keep answering with old prices after a crash of the refresher.
    """

    async def stopping() -> None:
        await stop.wait()
        log.info("stopping")
        notify(STOPPING)
        server.should_exit = True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work) for work in (*beside, stopping())]
        if listener is not None:
            await server.serve(sockets=[listener])
        else:
            await stop.wait()
        for task in tasks:
            task.cancel()
