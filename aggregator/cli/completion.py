"""`aggregator completion`: a script with which a shell completes commands, flags and their values."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from aggregator.cli.command import Command, Flags, Parser, choices_of
from aggregator.settings import Settings

SHELLS = ("bash", "zsh", "fish")
_DESCRIPTION = """Print a script that completes commands, flags and values. To use it:

  bash  aggregator completion bash >~/.local/share/bash-completion/completions/aggregator
  zsh   aggregator completion zsh >"${fpath[1]}/_aggregator"
  fish  aggregator completion fish >~/.config/fish/completions/aggregator.fish

Open a new shell afterwards. Make the script again after an upgrade."""


def completion(parser: Parser, shell: str) -> str:
    """Return the script of a shell for all commands of a parser."""
    import shtab  # noqa: PLC0415  # no other command needs it

    for action in _actions(parser):
        name = action.dest
        if name in Settings.model_fields and (choices := choices_of(name)):
            action.choices = choices
        elif name.endswith(("_path", "_file", "_ca")) or action.metavar == "FILE" or action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # the attribute that shtab reads
        elif name.endswith("_dir"):
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]  # shtab reads it
    script: str = shtab.complete(parser, shell=shell)
    return script


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Return every option of a parser and of its commands."""
    for action in parser._actions:  # noqa: SLF001  # argparse has no public list of them; shtab reads this one, too
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # no public name for what has the commands
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shell", choices=SHELLS, help="the shell that reads the script")


def _run(options: argparse.Namespace, _: Flags) -> int:
    sys.stdout.write(completion(options.parser, options.shell))
    return 0


COMMAND = Command(
    "print a script that completes commands and flags in bash, zsh or fish",
    _run,
    (),
    _add_options,
    description=_DESCRIPTION,
)
