#!/usr/bin/env python3
"""Writes docs/settings.md from the settings as the program knows them; run it with .venv/bin/python."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aggregator.settings import PREFIX, Settings

FILE = Path(__file__).parents[1] / "docs" / "settings.md"

_HEAD = f"""# Settings

Made from `aggregator/settings.py` by `scripts/settings_reference.py`; the tests see to it that it is current.

Each is an environment variable with the prefix `{PREFIX}`, or a flag of `aggregator serve` and `aggregator demo`, which
goes before it: `{PREFIX}HOT_SIZE=50` is `--hot-size 50`. An empty variable counts as none. All are read once, at
start. A wrong one, or a variable with the prefix that is none of these, ends it with exit code 2 and a line for every
mistake.

| variable | default | allowed | |
| --- | --- | --- | --- |
"""
_BOUNDS = (("minimum", "≥ "), ("exclusiveMinimum", "> "), ("maximum", "≤ "), ("exclusiveMaximum", "< "))
# Which pydantic knows as lists, and their users as texts.
_LISTS = ("api_keys", "read_keys", "allowed_hosts", "cors_origins", "trusted_proxies", "pinned", "conversions")


def reference() -> str:
    """Return the text of docs/settings.md."""
    properties = Settings.model_json_schema()["properties"]
    return _HEAD + "".join(_row(name, properties[name]) for name in Settings.model_fields)


def _row(name: str, schema: Mapping[str, Any]) -> str:
    cells = [f"`{PREFIX}{name.upper()}`", _default(name), _allowed(name, schema), schema["description"]]
    escaped = " | ".join(cell.replace("|", "\\|") for cell in cells)
    return f"| {escaped} |\n"


def _default(name: str) -> str:
    default = Settings.model_fields[name].default
    if default in (None, ()):
        return "none"
    return f"`{default}`"


def _allowed(name: str, schema: Mapping[str, Any]) -> str:
    """Return what a value may be: its choices, or its kind and bounds; the form of a text is told beside."""
    if name in _LISTS:
        return "texts, comma-separated"
    kind = next((one for one in schema.get("anyOf", ()) if one["type"] in ("number", "integer")), schema)
    if "enum" in kind:
        return ", ".join(f"`{choice}`" for choice in kind["enum"])
    bounds = [f"{sign}{kind[bound]:.12g}" for bound, sign in _BOUNDS if bound in kind]
    words = {"integer": "whole number", "number": "number", "string": "path" if kind.get("format") else "text"}
    return " ".join([words[kind["type"]], ", ".join(bounds)]).strip()


if __name__ == "__main__":
    FILE.write_text(reference(), encoding="utf-8")
