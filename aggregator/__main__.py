"""The command line: `aggregator demo` brings mock exchanges, `serve` is the service, the others are tools."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import structlog

from aggregator.cli import dead_letters
from aggregator.cli.demo import NAMES, DemoError, mock_exchanges
from aggregator.cli.drain import drain
from aggregator.cli.options import Parser
from aggregator.cli.options import add_setting as _add_setting
from aggregator.cli.record import record
from aggregator.cli.symbols import MOST_ROWS, TOP, Wanted, symbols
from aggregator.errors import StoreError
from aggregator.exchanges.targets import DIALECTS
from aggregator.observability.logs import configure
from aggregator.observability.version import version
from aggregator.runtime.lifecycle import complain, run, serve_in_process
from aggregator.runtime.stores import catalog_of
from aggregator.runtime.workers import serve_in_workers
from aggregator.settings import PREFIX, Settings
from aggregator.settings.loader import SettingsError, load, service_variables

_LONGEST_LOOK, _DAY = 300, 86_400  # seconds
_DEMO_DAYS = "1"  # of history, 660 MB
_RECORDING = [
    name for name in Settings.model_fields if name.startswith(("exchange", "symbols", "hot", "medium", "cold", "log"))
]
_SURVEYING = ("exchanges", "log_format", "log_level")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code: 0 told to stop, 1 could not start or crashed, 2 wrong settings.

    `doctor` has its own: 0 all is well, 1 warnings, 2 failures.
    """
    options = _parser().parse(sys.argv[1:] if arguments is None else arguments)
    flags = {
        name: value for name, value in vars(options).items() if name in Settings.model_fields and value is not None
    }
    if options.command == "demo" and not os.environ.get(f"{PREFIX}RETENTION_DAYS"):
        flags.setdefault("retention_days", _DEMO_DAYS)
    if options.command == "doctor":
        from aggregator.cli.doctor import command as doctor  # noqa: PLC0415  # with it comes all that `serve` may need

        return doctor.command(flags, options.seconds, json=options.json)
    try:
        settings = load(flags)
    except SettingsError as error:
        return complain(2, *error.mistakes)
    configure(settings.log_format, settings.log_level)
    if ignored := service_variables(os.environ):
        structlog.get_logger().info("variables_of_kubernetes_ignored", names=ignored)
    if options.command == "dead-letters":
        return _dead_letters(settings, options.action, options.ids)
    return run(_work_of(options, settings))


def _work_of(options: argparse.Namespace, settings: Settings) -> Callable[[asyncio.Event], Coroutine[Any, Any, None]]:
    """Return what the command does until it is told to stop."""
    if options.command == "demo":
        return lambda stop: _demo(settings, options.mock_port, stop)
    if options.command == "drain":
        return lambda stop: drain(settings, options.patience, stop)
    if options.command == "symbols":
        wanted = Wanted(options.top, options.min_venues, options.file)
        return lambda stop: symbols(settings, wanted, stop)
    if options.command == "record":
        return lambda stop: record(settings, options.file, options.seconds, stop)
    return lambda stop: _serve(settings, stop)


async def _demo(settings: Settings, mock_port: int, stop: asyncio.Event) -> None:
    catalog_of(settings)  # so that a bad symbols file is told in our words, and before anything starts
    if mock_port and settings.port in range(mock_port, mock_port + len(NAMES)):
        raise DemoError(f"--mock-port {mock_port} takes three ports, of which one is --port {settings.port}")
    async with mock_exchanges(settings.symbols_file, mock_port) as exchanges:
        await _serve(settings.model_copy(update={"exchanges": exchanges}), stop)


async def _serve(settings: Settings, stop: asyncio.Event) -> None:
    if settings.workers > 1:
        await serve_in_workers(settings, stop)
    else:
        await serve_in_process(settings, stop)


def _dead_letters(settings: Settings, action: str, ids: Sequence[str]) -> int:
    if not settings.outbox_path.exists():
        return complain(1, f"there is no outbox at {settings.outbox_path}; name it with --outbox-path")
    try:
        asyncio.run(dead_letters.command(settings.outbox_path, action, ids))
    except (StoreError, dead_letters.NoSuchLetter) as error:
        return complain(1, str(error))
    return 0


def _parser() -> Parser:
    parser = Parser(prog="aggregator", description="Aggregated prices over HTTP.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version()}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="demo|serve|doctor|drain|dead-letters|record|symbols"
    )
    parser.commands = commands.choices
    demo = commands.add_parser("demo", help="the service with three mock exchanges of its own; keeps a day of history")
    demo.add_argument("--mock-port", type=_port, default=8081, help="first of their three ports; 0 picks free ones")
    serve_ = commands.add_parser("serve", help="the service, with the exchanges the settings name")
    doctor_ = commands.add_parser("doctor", help="whether what `serve` needs is there, and what to mend")
    doctor_.add_argument("--json", action="store_true", help="for machines")
    doctor_.add_argument(
        "--seconds", type=_up_to(_LONGEST_LOOK), default=5.0, help="after which a check is given up; default 5"
    )
    for name in Settings.model_fields:
        _add_setting(serve_, name)
        _add_setting(doctor_, name)
        if name != "exchanges":  # the demo brings its own
            _add_setting(demo, name)
    drain_ = commands.add_parser("drain", help="sends what waits in the outbox; ends with 1 when something is left")
    drain_.add_argument("--patience", type=_up_to(_DAY), default=60.0, help="seconds it may take; default 60")
    for name in ("history_url", "outbox_path"):
        _add_setting(drain_, name)
    letters = commands.add_parser("dead-letters", help="what DynamoDB refused for good, and why")
    letters.add_argument("action", choices=["list", "show", "replay", "delete"])
    letters.add_argument("ids", nargs="*", metavar="id", help="as `list` shows them, or `all`")
    _add_setting(letters, "outbox_path")
    recorder = commands.add_parser("record", help="writes down what an exchange answers, to be replayed later")
    recorder.add_argument("--file", type=Path, required=True, help="where to; a new file, as binance.rec.gz")
    recorder.add_argument("--seconds", type=_up_to(_DAY), default=60.0, help="for how long, unless it is told to stop")
    for name in _RECORDING:
        _add_setting(recorder, name)
    _add_symbols(commands.add_parser("symbols", help="makes a symbols file of what exchanges list and trade most"))
    return parser


def _add_symbols(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Asks each exchange once for its listing and its 24-hour volumes, and writes the pairs that several of them"
        " list, the largest turnover in US dollars first."
    )
    parser.add_argument("--top", type=_count(MOST_ROWS), default=TOP, help=f"rows at most; default {TOP}")
    parser.add_argument(
        "--min-venues",
        type=_count(len(DIALECTS)),
        help="exchanges that have to list a pair; default 2, or 1 where one exchange is named",
    )
    parser.add_argument("--file", type=Path, help="where to, replaced only when all have answered; default stdout")
    for name in _SURVEYING:
        _add_setting(parser, name)


def _count(most: int) -> Callable[[str], int]:
    """Return what reads a whole number from 1 to so many."""

    def count(text: str) -> int:
        digits = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        if not digits or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"is not a whole number from 1 to {most}")
        return int(text)

    return count


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_533:  # noqa: PLR2004  # the last of three fits
        raise argparse.ArgumentTypeError("is not a port from 0 to 65533")
    return int(text)


def _up_to(most: int) -> Callable[[str], float]:
    """Return what reads seconds, at most so many."""

    def seconds(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = 0.0
        if not 0 < found <= most:
            raise argparse.ArgumentTypeError(f"is not a number of seconds up to {most}")
        return found

    return seconds


if __name__ == "__main__":
    sys.exit(main())
