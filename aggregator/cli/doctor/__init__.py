"""`aggregator doctor`: check everything that the service depends on, and report what to mend.

`command` chooses the checks; one module for each part of the deployment has them (`machine`, `stores`, `trades` and so
on). They use the code of the service itself. `checks` runs them one after the other, each within a time limit, and
`report` prints the findings. The checks leave nothing behind: they remove again what they write to try a store.
"""

import argparse

from aggregator.cli.command import ALL_SETTINGS, Command, Flags, seconds_up_to

_LONGEST_CHECK = 300  # seconds


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    parser.add_argument(
        "--seconds", type=seconds_up_to(_LONGEST_CHECK), default=5.0, help="time limit of each check; default 5"
    )


def _run(options: argparse.Namespace, flags: Flags) -> int:
    from aggregator.cli.doctor import command  # noqa: PLC0415  # it imports everything that any setting may need

    return command.command(flags, options.seconds, json=options.json)


COMMAND = Command("check everything that `serve` needs, and report what to mend", _run, ALL_SETTINGS, _add_options)
