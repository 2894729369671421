#!/usr/bin/env python3
"""Write docs/settings.md from the settings of the program. Run it with .venv/bin/python."""

from pathlib import Path

from aggregator.cli.command import allowed_of, default_of, schema_of
from aggregator.settings import DERIVED, PREFIX, Settings
from aggregator.settings.groups import grouped

FILE = Path(__file__).parents[1] / "docs" / "settings.md"

_HEAD = f"""# Settings

`scripts/settings_reference.py` makes this file from `aggregator/settings/`. A test checks it.

Each setting is an environment variable with the prefix `{PREFIX}`, or a flag of `aggregator serve` and `demo`:
`{PREFIX}HOT_SIZE=50` is `--hot-size 50`. A flag overrides the variable. An empty variable is not set. The service
reads all settings once, at start. A wrong value, or an unknown variable with the prefix, ends the start with exit code
2 and one line for every mistake. Variables that Kubernetes sets for a Service named `aggregator`
(`{PREFIX}PORT=tcp://…`, `{PREFIX}SERVICE_HOST` and the like) are ignored, with a line in the log.

"""
_TABLE = """
## {title}

| variable | default | allowed | |
| --- | --- | --- | --- |
"""


def reference() -> str:
    """Return the text of docs/settings.md."""
    return _HEAD + "".join(
        _TABLE.format(title=title[0].upper() + title[1:]) + "".join(map(_row, names))
        for title, names in grouped(list(Settings.model_fields)).items()
    )


def _row(name: str) -> str:
    cells = [f"`{PREFIX}{name.upper()}`", _default(name), allowed_of(name, "`"), schema_of(name)["description"]]
    escaped = " | ".join(cell.replace("|", "\\|") for cell in cells)
    return f"| {escaped} |\n"


def _default(name: str) -> str:
    default = default_of(name)
    return default if default == "none" or name in DERIVED else f"`{default}`"


if __name__ == "__main__":
    FILE.write_text(reference(), encoding="utf-8")
