"""A process of pytest beside the others that uses what they leave of the CPU, for the files without processes.

The files with processes wait for half of their time: four at once leave a fifth of two cores idle, and more at once
disturb each other. Files without processes depend on no time, so one more process can run them all along, at a lower
priority. Other processes take these files at the end, if any are left.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import pytest
from xdist.scheduler.loadfile import LoadFileScheduling  # type: ignore[import-untyped]  # xdist has no types

from tests.parts.process import ROOT

OPTION = "--patient"
NICER = 5  # a third of the CPU that another process gets while both cores are busy
_MARK = "patient"  # in the input of the process
_MARKED = "mark.real"


class Node(Protocol):
    """A process that xdist starts, as seen from the first one."""

    workerinput: dict[str, Any]

    def shutdown(self) -> None:
        """End the process once it has run what it has."""


def tell(node: Node, config: pytest.Config) -> None:
    """Tell the last process that xdist starts that it is the patient one, if there is to be one."""
    if config.getoption("patient"):
        last = f"gw{node.workerinput['workercount'] - 1}"
        node.workerinput[_MARK] = node.workerinput["workerid"] == last


def lower_priority(config: pytest.Config) -> None:
    """Lower the priority of this process, if it is the patient one."""
    if getattr(config, "workerinput", {}).get(_MARK):
        os.nice(NICER)


class PatientScheduling(LoadFileScheduling):  # type: ignore[misc]  # a class of xdist, which has no types
    """Gives files as `--dist loadfile` does, but only those without processes to the patient process."""

    def _assign_work_unit(self, node: Node) -> None:
        if _is_patient(node):
            file = next((one for one in self.workqueue if not may_start_processes(ROOT / one)), None)
            if file is None:
                node.shutdown()
                return
            self.workqueue.move_to_end(file, last=False)
        super()._assign_work_unit(node)


def _is_patient(node: Node) -> bool:
    return bool(node.workerinput.get(_MARK))


@cache  # the same files are looked at for each that the patient process takes
def may_start_processes(file: Path) -> bool:
    """Return whether a test file, or a conftest.py that it shares, marks tests as `real`."""
    inside = [folder for folder in file.parents if folder.is_relative_to(ROOT / "tests")]
    written = [file, *(folder / "conftest.py" for folder in inside)]
    return any(_MARKED in one.read_text(encoding="utf-8") for one in written if one.exists())
