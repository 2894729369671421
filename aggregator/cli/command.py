"""One subcommand of the command line: its help, its options, and the function that runs it.

Settings are options too: each flag is made from the field of `Settings`.
"""

import argparse
import difflib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, NoReturn

import msgspec
import structlog

from aggregator.numerals import number_of
from aggregator.observability.logs import configure
from aggregator.settings import DERIVED, PREFIX, Settings
from aggregator.settings.groups import grouped
from aggregator.settings.loader import load, secret_flags, service_variables

Flags = Mapping[str, str]
"""Settings that are given as flags: texts by field name."""

ALL_SETTINGS = tuple(Settings.model_fields)
_MOST_IN_USAGE = 8
_ADDRESS = re.compile(r"\w+://\S*")


def _no_options(_: argparse.ArgumentParser) -> None:
    """Add nothing."""


class Command(msgspec.Struct, frozen=True):
    """A subcommand. `aggregator/cli/main.py` lists all of them, each under its name."""

    help: str
    run: Callable[[argparse.Namespace, Flags], int]
    """Runs it and returns the exit code. Raises SettingsError."""

    settings: Sequence[str]
    """The settings that it takes as flags."""

    add_options: Callable[[argparse.ArgumentParser], None] = _no_options
    """Adds its options that are no settings."""

    defaults: Flags = {}
    """Defaults that differ from those of the settings."""

    description: str | None = None
    """A longer text for its --help."""

    def add_to(self, parser: argparse.ArgumentParser) -> None:
        """Give the parser every option of this command."""
        parser.description = self.description or f"{self.help[0].upper()}{self.help[1:]}."
        self.add_options(parser)
        if len(self.settings) > _MOST_IN_USAGE:  # a usage of 30 lines hides the options of the command
            parser.usage = parser.format_usage().removeprefix("usage: ").strip().replace("%", "%%") + " [settings]"
        for title, names in grouped(self.settings).items():
            group = parser.add_argument_group(f"settings: {title}")
            for name in names:
                add_setting(group, name, self.defaults.get(name))

    def flags(self, options: argparse.Namespace) -> Flags:
        """Return the settings given as flags, and the command's own defaults of those given nowhere."""
        given = {name: text for name in self.settings if (text := getattr(options, name)) is not None}
        own = {name: text for name, text in self.defaults.items() if not os.environ.get(f"{PREFIX}{name.upper()}")}
        return {**own, **given}


def start(flags: Flags) -> Settings:
    """Return the settings, and set up the log as they say. Raises SettingsError."""
    settings = load(flags)
    configure(settings.log_format, settings.log_level)
    if shown := secret_flags(flags):
        structlog.get_logger().warning("secrets_on_command_line", flags=shown, note="set the variables instead")
    if ignored := service_variables(os.environ):
        structlog.get_logger().info("variables_of_kubernetes_ignored", names=ignored)
    return settings


_BOUNDS = (("minimum", "≥ "), ("exclusiveMinimum", "> "), ("maximum", "≤ "), ("exclusiveMaximum", "< "))
_TYPES = {"integer": "whole number", "number": "number", "string": "text", "array": "texts, comma-separated"}


class Parser(argparse.ArgumentParser):
    """An argument parser that suggests the command or flag closest to a misspelt one."""

    commands: Mapping[str, argparse.ArgumentParser] | None = None

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, with a suggestion where a flag is unknown; exit with code 2."""
        _, _, unknown = message.partition("unrecognized arguments: ")
        flag = unknown.split("=")[0].split(" ")[0]
        super().error(message + (_suggestion(flag, self._flags()) if flag.startswith("-") else ""))

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return the parsed arguments; exit with code 2 where one is wrong."""
        command = arguments[0] if arguments else ""
        found = (self.commands or {}).get(command)
        if command and not command.startswith("-") and found is None:
            self.error(f"there is no command {command!r}{_suggestion(command, list(self.commands or {}))}")
        if command.startswith("-") and not any(flag.startswith(command.partition("=")[0]) for flag in self._flags()):
            self.error(f"unrecognized arguments: {command}")
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            shown = (_ADDRESS.sub("…", one) for one in unknown)  # the address of an outlet may have a secret
            (found or self).error(f"unrecognized arguments: {' '.join(shown)}")
        return options

    def _flags(self) -> list[str]:
        return list(self._option_string_actions)


def add_setting(parser: argparse._ActionsContainer, name: str, own_default: str | None = None) -> None:
    """Add a setting as a flag, with its description, bounds and default, or the command's own default, as help."""
    allowed = allowed_of(name).capitalize() if choices_of(name) is None else f"One of {allowed_of(name)}"
    known = "" if allowed in ("Text", "Path") else f" {allowed}."
    text = f"{schema_of(name)['description']}{known} Default: {own_default or default_of(name)}."
    parser.add_argument(f"--{name.replace('_', '-')}", metavar="…", help=text.replace("%", "%%"))


def choices_of(name: str) -> Sequence[str] | None:
    """Return the allowed values of a setting that has few of them; else None."""
    schema = schema_of(name)
    found: Sequence[str] | None = ("true", "false") if schema.get("type") == "boolean" else schema.get("enum")
    return found


def whole_number_up_to(most: int) -> Callable[[str], int]:
    """Return an argument type: a whole number from 1 to `most`."""

    def parse(text: str) -> int:
        digits = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        if not digits or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"is not a whole number from 1 to {most}")
        return int(text)

    return parse


def seconds_up_to(most: int) -> Callable[[str], float]:
    """Return an argument type: a number of seconds above 0, at most `most`."""

    def parse(text: str) -> float:
        seconds = number_of(text)
        if not 0 < seconds <= most:
            raise argparse.ArgumentTypeError(f"is not a number of seconds up to {most}")
        return seconds

    return parse


def schema_of(name: str) -> Mapping[str, Any]:
    """Return a setting's JSON schema."""
    found: Mapping[str, Any] = _schemas()[name]
    return found


@cache
def _schemas() -> Mapping[str, Any]:
    return MappingProxyType(Settings.model_json_schema()["properties"])  # takes 4 ms, and is needed a hundred times


def default_of(name: str) -> str:
    """Return a setting's default as a user would write it; `none` where there is none."""
    if name in DERIVED:
        return DERIVED[name]
    default = Settings.model_fields[name].default
    if isinstance(default, bool):
        return str(default).lower()
    return "none" if default in (None, ()) else str(default) or "none"


def allowed_of(name: str, mark: str = "") -> str:
    """Return the allowed values in words: the choices, each between two `mark`s, or the type and its bounds."""
    schema = schema_of(name)
    kind = next((one for one in schema.get("anyOf", ()) if one["type"] in ("number", "integer")), schema)
    if "enum" in kind:
        return ", ".join(f"{mark}{choice}{mark}" for choice in kind["enum"])
    if kind["type"] == "boolean":
        return f"{mark}true{mark} or {mark}false{mark}"
    bounds = [f"{sign}{kind[bound]:.12g}" for bound, sign in _BOUNDS if bound in kind]
    words = "path" if kind.get("format") == "path" else _TYPES[kind["type"]]
    return " ".join([words, ", ".join(bounds)]).strip()


def _suggestion(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
