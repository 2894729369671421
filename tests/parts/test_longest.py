"""The order of test files for processes of pytest that share a run."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.parts.longest import LONGEST, longest_first
from tests.parts.process import ROOT

TESTS = ROOT / "tests"


def item(path: Path, *, real: bool, name: str = "test") -> Any:
    """Return what the order needs of a test: its file, its name, and whether it has the mark."""
    return SimpleNamespace(path=path, name=name, get_closest_marker=lambda mark: mark if real else None)


def test_each_file_is_there_once() -> None:
    """The list names existing files, each once."""
    assert [name for name in LONGEST if not (TESTS / name).is_file()] == []
    assert len(set(LONGEST)) == len(LONGEST)


def test_long_files_come_first_and_files_without_processes_last() -> None:
    """Listed files come first in the order of the list, then other files with processes; a file stays together."""
    unit, mixed, second, first = TESTS / "a.py", TESTS / "b.py", TESTS / LONGEST[1], TESTS / LONGEST[0]
    items = [
        item(unit, real=False),
        item(mixed, real=False, name="without"),
        item(mixed, real=True, name="with"),
        item(second, real=True),
        item(first, real=True),
    ]
    found = longest_first(items)
    assert [one.path for one in found] == [first, second, mixed, mixed, unit]
    assert [one.name for one in found if one.path == mixed] == ["without", "with"]
