"""The map in the docstring of `aggregator`: every module it names exists, and every package is in it."""

import re
import tomllib
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


def test_the_table_of_packages_is_the_order_of_imports() -> None:
    """The table in CONTRIBUTING.md has every package and module of `aggregator/`, in the layers of import-linter."""
    contracts = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = [one["layers"] for one in contracts if one.get("containers") == ["aggregator"]]
    named = [sorted(layer.replace("|", " ").split()) for layer in layers]
    table = (ROOT.parent / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("| package | has |")[2]
    rows = re.findall(r"^\| ([^|]*) \|", table.partition("\n\n")[0], re.MULTILINE)
    listed = [sorted(name.removesuffix(".py") for name in re.findall(r"`([a-z_.]+)/?`", row)) for row in rows[1:]]
    assert listed == [layer for layer in named if layer != ["__main__"]]
