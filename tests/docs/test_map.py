"""The map in the docstring of `aggregator`: every module it names exists, and every package is in it."""

import re
from pathlib import Path

import aggregator

ROOT = Path(aggregator.__file__).parent
MAP = aggregator.__doc__ or ""


def test_every_module_on_the_map_exists() -> None:
    """Paths are relative to `aggregator/`."""
    named = re.findall(r"[a-z_]+(?:/[a-z_]+)*\.py", MAP)
    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_package_is_on_the_map() -> None:
    """With a line of its own."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages <= set(re.findall(r"^    ([a-z_]+)  ", MAP, re.MULTILINE))
