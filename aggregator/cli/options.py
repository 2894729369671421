"""The settings as options of a command, and what --help and docs/settings.md say of each."""

import argparse
import difflib
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, NoReturn

from aggregator.settings import DERIVED, Settings

_BOUNDS = (("minimum", "≥ "), ("exclusiveMinimum", "> "), ("maximum", "≤ "), ("exclusiveMaximum", "< "))
# Which pydantic knows as lists, and their users as texts.
_LISTS = ("api_keys", "read_keys", "allowed_hosts", "cors_origins", "trusted_proxies", "pinned", "conversions")


class Parser(argparse.ArgumentParser):
    """A parser that says which command or flag was probably meant."""

    commands: Mapping[str, argparse.ArgumentParser] | None = None

    def error(self, message: str) -> NoReturn:
        """Print the usage and what is wrong; exit with 2."""
        _, _, unknown = message.partition("unrecognized arguments: ")
        flag = unknown.split("=")[0].split(" ")[0]
        super().error(message + (_meant(flag, self._flags()) if flag.startswith("-") else ""))

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Return what `arguments` say; exit with 2 where they cannot be."""
        command = arguments[0] if arguments else ""
        found = (self.commands or {}).get(command)
        if command and not command.startswith("-") and found is None:
            self.error(f"there is no command {command!r}{_meant(command, list(self.commands or {}))}")
        if command.startswith("-") and not any(flag.startswith(command.partition("=")[0]) for flag in self._flags()):
            self.error(f"unrecognized arguments: {command}")
        options, unknown = self.parse_known_args(arguments)
        if unknown:
            (found or self).error(f"unrecognized arguments: {' '.join(unknown)}")
        return options

    def _flags(self) -> list[str]:
        return list(self._option_string_actions)


def add_setting(parser: argparse.ArgumentParser, name: str) -> None:
    """Let the parser take a setting, unless it is given as an environment variable."""
    schema = schema_of(name)
    one_of = "One of " if "enum" in schema else ""
    allowed = one_of + allowed_of(name) if one_of else allowed_of(name).capitalize()
    told = f"{schema['description']} {allowed}. Default: {default_of(name)}."
    parser.add_argument(f"--{name.replace('_', '-')}", metavar="…", help=told.replace("%", "%%"))


def schema_of(name: str) -> Mapping[str, Any]:
    """Return a setting's JSON schema."""
    found: Mapping[str, Any] = _schemas()[name]
    return found


@cache
def _schemas() -> Mapping[str, Any]:
    return MappingProxyType(Settings.model_json_schema()["properties"])  # 4 ms, and asked for a hundred times


def default_of(name: str) -> str:
    """Return a setting's default as one would write it; `none` where there is none."""
    if name in DERIVED:
        return DERIVED[name]
    default = Settings.model_fields[name].default
    if isinstance(default, bool):
        return str(default).lower()
    return "none" if default in (None, ()) else str(default)


def allowed_of(name: str, mark: str = "") -> str:
    """Return what a value may be: its choices, each in marks, or its kind and bounds."""
    schema = schema_of(name)
    if name in _LISTS:
        return "texts, comma-separated"
    kind = next((one for one in schema.get("anyOf", ()) if one["type"] in ("number", "integer")), schema)
    if "enum" in kind:
        return ", ".join(f"{mark}{choice}{mark}" for choice in kind["enum"])
    bounds = [f"{sign}{kind[bound]:.12g}" for bound, sign in _BOUNDS if bound in kind]
    words = {
        "boolean": f"{mark}true{mark} or {mark}false{mark}",
        "integer": "whole number",
        "number": "number",
        "string": "path" if kind.get("format") else "text",
    }
    return " ".join([words[kind["type"]], ", ".join(bounds)]).strip()


def _meant(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
