"""`aggregator demo`: the service with three mock exchanges as child processes; everything but the market is real."""

import argparse
import asyncio
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import structlog

from aggregator.api.server.server import listening
from aggregator.cli.command import ALL_SETTINGS, Command, Flags, start
from aggregator.cli.serve import serve
from aggregator.errors import CannotGoOn
from aggregator.libraries.extras import has_extra, install
from aggregator.runtime.lifecycle import checked_files, run
from aggregator.settings import Settings

NAMES = ("exchange1", "exchange2", "exchange3")

_FIRST_PORT = 8081
_MOST_PLANTS = 10  # what mock_exchange takes
_AT_ONCE = 1 << 16  # bytes
_START_SECONDS = 60.0  # one second on an idle machine; the first start on a busy one also compiles the modules
_NEEDS = {"analytics": "unusual trades", "archive": "the archive", "news": "headlines"}  # parts of the demo, by extra

log = structlog.get_logger()


class DemoError(CannotGoOn):
    """A mock exchange did not start; the message is that of the mock exchange."""


async def demo(settings: Settings, first_port: int, plants: float, stop: asyncio.Event) -> None:
    """Serve prices and trades of three mock exchanges until `stop` is set. Raises CannotGoOn or SettingsError.

    `plants` is how often the exchanges plant unusual events: 0 for never.
    """
    checked_files(settings)  # a bad file is reported before any process starts
    if first_port and settings.port in range(first_port, first_port + len(NAMES)):
        raise DemoError(
            f"--mock-port {first_port} takes three ports, and one of them is --port {settings.port}",
            "choose another --mock-port or --port",
        )
    with listening(settings.host, settings.port):
        pass  # a port that is taken is reported before any process starts, too
    async with mock_exchanges(settings.symbols_file, first_port, plants) as addresses:
        _announce(settings, addresses[NAMES[0]] if plants else None)
        _announce_missing()
        await serve(settings.model_copy(update=own_settings(settings, addresses)), stop)


def own_settings(settings: Settings, addresses: Mapping[str, str]) -> dict[str, object]:
    """Return the settings that the demo sets itself; `addresses` of the mock exchanges by name."""
    return {
        "exchanges": ",".join(f"{name}=mock+{address}" for name, address in addresses.items()),
        "archive_url": _archive_url(settings),
    }


def _archive_url(settings: Settings) -> str:
    """Return the address of the archive: the folder `lake` in the folder of the demo's files, unless it is set."""
    if "archive_url" in settings.model_fields_set or not has_extra("archive"):
        return settings.archive_url
    return f"file://{settings.data_dir / 'lake'}"


def _announce(settings: Settings, planted: str | None) -> None:
    """Log that the market is invented; `planted` is the address of an exchange that tells what it plants."""
    address = f"curl -sS localhost:{settings.port or 'PORT'}"
    log.info(
        "invented_market",
        note="prices and trades are made up by three mock exchanges",
        trades=f"{address}/trades/btcusdt",
        aggregations=f"{address}/aggregations/btcusdt",
        **({"planted": f"curl -sS {planted}/mock/plants"} if planted else {}),
    )


def _announce_missing() -> None:
    """Log which parts of the demo are off because their extras are not installed, and how to install them."""
    missing = [extra for extra in _NEEDS if not has_extra(extra)]
    if missing:
        parts = ", ".join(_NEEDS[extra] for extra in missing)
        log.info("extras_not_installed", off=parts, install=install(",".join(missing)))


@asynccontextmanager
async def mock_exchanges(symbols: Path, first_port: int, plants: float) -> AsyncIterator[dict[str, str]]:
    """Run the exchanges on `first_port` and the next two (0: on free ports); yield their addresses by name.

    They start together: each takes about a second.
    """
    processes: list[Process] = []
    discarding: list[asyncio.Task[None]] = []
    try:
        for number, name in enumerate(NAMES):
            port = first_port + number if first_port else 0
            processes.append(await _start(name, "--port", str(port), "--symbols", symbols, "--plants", f"{plants:.6f}"))
        addresses = await _addresses(processes)
        discarding += [asyncio.create_task(_discard(one.stderr)) for one in processes]
        yield addresses
    finally:
        await asyncio.gather(*map(_end, processes), *discarding)


async def _start(name: str, *options: str | Path) -> Process:
    """Start one exchange. It ends when its stdin is closed, so it cannot outlive this process."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mock_exchange", "--name", name, *options, "--exit-with-stdin"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,  # Ctrl-C must not reach it: the service stops first, then its exchanges
    )


async def _addresses(processes: Sequence[Process]) -> dict[str, str]:
    """Return the address of each exchange by name. Raises DemoError for the first one that did not start."""
    found = await asyncio.gather(*map(_address, NAMES, processes), return_exceptions=True)
    addresses = {}
    for name, address in zip(NAMES, found, strict=True):
        if isinstance(address, BaseException):
            raise address
        addresses[name] = address
        log.info("mock_exchange", name=name, address=address)
    return addresses


async def _address(name: str, process: Process) -> str:
    """Return the address that the exchange prints. Raises DemoError."""
    assert process.stdout is not None  # noqa: S101  # `_start` has asked for this pipe
    assert process.stderr is not None  # noqa: S101  # `_start` has asked for this pipe
    try:
        async with asyncio.timeout(_START_SECONDS):
            line = (await process.stdout.readline()).decode()
    except TimeoutError as error:
        raise DemoError(f"{name} did not start within {_START_SECONDS:g} s") from error
    match = re.search(r"http://\S+", line)
    if match is None:
        complaint = (await process.stderr.read()).decode().strip().rpartition("\n")[2].partition(";")[0]
        mend = "choose other ports with --mock-port (0 for free ones)" if "listen" in complaint else "see above"
        raise DemoError(f"{name} did not start: {complaint or 'it printed nothing'}; {mend}")
    return match[0]


async def _discard(pipe: asyncio.StreamReader | None) -> None:
    """Read a pipe until its end. A full one would block the exchange, and then `Process.wait`, for ever."""
    while pipe is not None and await pipe.read(_AT_ONCE):
        pass


async def _end(process: Process) -> None:
    """Kill an exchange: it has nothing to save, and its only client has stopped. Its own stop takes half a second."""
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_533:  # noqa: PLR2004  # the last of three fits
        raise argparse.ArgumentTypeError("is not a port from 0 to 65533")
    return int(text)


def _plants(text: str) -> float:
    if not re.fullmatch(r"\d{1,2}(\.\d{1,6})?", text, re.ASCII) or float(text) > _MOST_PLANTS:
        raise argparse.ArgumentTypeError(f"is not a number from 0 to {_MOST_PLANTS}")
    return float(text)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mock-port",
        type=_port,
        default=_FIRST_PORT,
        help=f"first of the three ports of the mock exchanges; 0 picks free ones; default {_FIRST_PORT}",
    )
    parser.add_argument(
        "--plants",
        type=_plants,
        default=1.0,
        help="how often the mock exchanges plant spikes, bursts, drops and headlines: 2 is twice as often, 0 never;"
        f" at most {_MOST_PLANTS}; default 1",
    )


def _run(options: argparse.Namespace, flags: Flags) -> int:
    settings = start(flags)
    return run(lambda stop: demo(settings, options.mock_port, options.plants, stop))


COMMAND = Command(
    "run the service with three mock exchanges of its own; keeps one day of history",
    _run,
    [name for name in ALL_SETTINGS if name != "exchanges"],  # the demo has its own
    _add_options,
    defaults={
        "data_dir": "data",
        "retention_days": "1",  # 660 MB of history
        "trade_feeds": "true",
        "strategy": "true",
        "news": "mock",
    },
)
