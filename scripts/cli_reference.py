#!/usr/bin/env python3
"""Write docs/cli.md from the commands of the program. Run it with .venv/bin/python."""

import argparse
from pathlib import Path

from aggregator.cli.command import ALL_SETTINGS, Command
from aggregator.cli.main import COMMANDS

_MOST_LISTED = 12
FILE = Path(__file__).parents[1] / "docs" / "cli.md"

_HEAD = """# Commands

`scripts/cli_reference.py` makes this file from `aggregator/cli/`. A test checks it.

`aggregator COMMAND --help` prints the same. Exit codes are 0 after success, 1 after an error and 2 for wrong settings
or wrong usage, where a command does not say otherwise. Commands take [settings](settings.md) as flags, or from
variables of the environment.
"""


def reference() -> str:
    """Return the text of docs/cli.md."""
    return _HEAD + "".join(_section(name, command) for name, command in COMMANDS.items())


def _section(name: str, command: Command) -> str:
    parser = argparse.ArgumentParser(prog=f"aggregator {name}", add_help=False)
    command.add_options(parser)
    paragraphs = [f"## {name}", _sentence(command.help), *filter(None, [command.description])]
    rows = [row for action in parser._actions for row in _rows(action)]  # noqa: SLF001  # argparse lists them nowhere else
    if rows:
        paragraphs.append("| argument | |\n| --- | --- |\n" + "\n".join(rows))
    paragraphs.append(_settings(command))
    return "\n" + "\n\n".join(paragraphs) + "\n"


def _rows(action: argparse.Action) -> list[str]:
    if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # the only type that has subcommands
        helps = {choice.dest: choice.help for choice in action._choices_actions}  # noqa: SLF001  # the subcommands of such an action
        return [f"| `{name}` | {_cell(helps.get(name) or '')} |" for name in action.choices]
    choices = "{" + ",".join(str(choice) for choice in action.choices) + "}" if action.choices else ""
    name = ", ".join(action.option_strings) or choices or str(action.metavar or action.dest)
    if action.option_strings and action.nargs != 0:
        name += f" {choices or action.metavar or action.dest.upper()}"
    return [f"| `{_cell(name)}` | {_cell((action.help or '').replace('%%', '%'))} |"]


def _settings(command: Command) -> str:
    if tuple(command.settings) == ALL_SETTINGS:
        taken = "every setting"
    elif len(command.settings) > _MOST_LISTED:
        taken = "most settings; `--help` lists them"
    else:
        taken = ", ".join(f"`--{name.replace('_', '-')}`" for name in command.settings)
    defaults = ", ".join(f"`--{name.replace('_', '-')} {value}`" for name, value in command.defaults.items())
    own = f" Own defaults: {defaults}." if defaults else ""
    return f"Settings: {taken or 'none'}.{own}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    FILE.write_text(reference(), encoding="utf-8")
