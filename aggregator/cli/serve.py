"""`aggregator serve`: the service, in one process or in several workers."""

import argparse
import asyncio

import structlog

from aggregator.cli.command import ALL_SETTINGS, Command, Flags, start
from aggregator.runtime.data_folder import make_folder
from aggregator.runtime.lifecycle import run, serve_in_process
from aggregator.runtime.workers import serve_in_workers
from aggregator.settings import SYMBOLS_OF_THE_PACKAGE, Settings

log = structlog.get_logger()


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set. Raises CannotGoOn, or the error that a part crashed with."""
    await asyncio.to_thread(make_folder, settings.data_dir)
    if settings.symbols_file == SYMBOLS_OF_THE_PACKAGE:
        log.info("symbols_of_the_package", note="there is no symbols.csv here, and no --symbols-file")
    if settings.workers > 1:
        await serve_in_workers(settings, stop)
    else:
        await serve_in_process(settings, stop)


def _run(_: argparse.Namespace, flags: Flags) -> int:
    settings = start(flags)
    return run(lambda stop: serve(settings, stop))


COMMAND = Command("run the service, with the exchanges that the settings name", _run, ALL_SETTINGS)
