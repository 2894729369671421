"""The command line. `aggregator demo` brings its own mock exchanges, `serve` is the service, the others are tools.

A new subcommand is a module in `cli/` with a `COMMAND`, and one line in `COMMANDS`.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence

from aggregator.cli import (
    archive,
    backtest,
    completion,
    cost,
    dead_letters,
    demo,
    doctor,
    drain,
    migrate,
    produce,
    record,
    replay,
    serve,
    sql,
    symbols,
)
from aggregator.cli.command import Command, Parser
from aggregator.observability.version import version
from aggregator.runtime.lifecycle import exit_code

COMMANDS: Mapping[str, Command] = {
    "demo": demo.COMMAND,
    "serve": serve.COMMAND,
    "doctor": doctor.COMMAND,
    "drain": drain.COMMAND,
    "migrate": migrate.COMMAND,
    "dead-letters": dead_letters.COMMAND,
    "record": record.COMMAND,
    "replay": replay.COMMAND,
    "produce": produce.COMMAND,
    "backtest": backtest.COMMAND,
    "sql": sql.COMMAND,
    "archive": archive.COMMAND,
    "symbols": symbols.COMMAND,
    "cost": cost.COMMAND,
    "completion": completion.COMMAND,
}
_DESCRIPTION = """Volume-weighted prices of several exchanges, and a stream of trades, over HTTP.

  aggregator demo                                       an invented market, on http://localhost:8080
  aggregator serve --exchanges binance,coinbase,kraken  real prices
  aggregator doctor                                     checks what `serve` needs

Every setting is a flag of `serve` and an environment variable: --hot-size is AGGREGATOR_HOT_SIZE."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 after success or a stop, 1 after an error, 2 for wrong settings.

    `doctor` returns 0 when all is well, 1 with warnings, 2 with failures.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    options = build_parser(arguments[0] if arguments else None).parse(arguments)
    command = COMMANDS[options.command]
    flags = command.flags(options)
    return exit_code(lambda: command.run(options, flags), flags)


def build_parser(chosen: str | None = None) -> Parser:
    """Return the parser of all commands. The parsed options have it as `parser`.

    With `chosen`, only that command has its options, unless it is none or needs those of all: to make all of them
    takes a quarter of the CPU before the service listens.
    """
    all_of_them = chosen not in COMMANDS or chosen == "completion"
    parser = Parser(
        prog="aggregator",
        description=_DESCRIPTION,
        epilog="`aggregator COMMAND --help` has the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(parser=parser)
    parser.add_argument("--version", action="version", version=f"%(prog)s {version()}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    parser.commands = commands.choices
    for name, command in COMMANDS.items():
        its_parser = commands.add_parser(name, help=command.help)
        if all_of_them or name == chosen:
            command.add_to(its_parser)
    return parser
