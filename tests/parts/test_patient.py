"""The process of pytest that runs files without processes beside the others."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]  # xdist has no types

from tests.parts import patient

REAL = ("tests/end_to_end/test_roles.py", "tests/end_to_end/test_clock.py")
UNIT = "tests/parts/test_longest.py"
ALSO_UNIT = "tests/parts/test_patient.py"


class Worker:
    """A process of xdist that keeps what it is told."""

    def __init__(self, number: int, of: int) -> None:
        self.workerinput: dict[str, Any] = {"workerid": f"gw{number}", "workercount": of}
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.tests: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        """Keep the numbers of the tests."""
        self.tests += indices

    def shutdown(self) -> None:
        """Take no more tests."""
        self.shutting_down = True


def scheduling(workers: list[Worker], tests: list[str]) -> patient.PatientScheduling:
    """Return what gives these tests to these workers, the last of which is patient."""
    config: Any = SimpleNamespace(
        getvalue=lambda _: ["popen"] * len(workers),
        getoption=lambda _: True,
        option=SimpleNamespace(loadscopereorder=False),
    )
    found = patient.PatientScheduling(config, Producer("", enabled=False))
    for worker in workers:
        patient.tell(worker, config)
        found.add_node(worker)
    for worker in workers:
        found.add_node_collection(worker, tests)
    found.schedule()
    return found


def test_the_patient_process_runs_only_files_without_processes() -> None:
    """The others take the files in their order, and the last one a file without processes, then no more."""
    first, patient_one = Worker(0, of=2), Worker(1, of=2)
    tests = [f"{file}::test_{number}" for file in (*REAL, UNIT) for number in range(3)]
    found = scheduling([first, patient_one], tests)
    assert first.tests == [0, 1, 2]
    assert patient_one.tests == [6, 7, 8]
    assert not patient_one.shutting_down
    found.mark_test_complete(patient_one, 6)
    assert patient_one.shutting_down
    for number in range(3):
        found.mark_test_complete(first, number)
    assert first.tests == [0, 1, 2, 3, 4, 5]


def test_other_processes_run_what_the_patient_one_has_left() -> None:
    """Without files that start processes, all share those that do not."""
    first, patient_one = Worker(0, of=2), Worker(1, of=2)
    tests = [f"{file}::test_{number}" for file in (UNIT, ALSO_UNIT) for number in range(3)]
    scheduling([first, patient_one], tests)
    assert (first.tests, patient_one.tests) == ([0, 1, 2], [3, 4, 5])


def test_files_of_tests_that_are_marked_are_found_by_their_text(request: pytest.FixtureRequest) -> None:
    """No test of this run that is marked `real` is in a file that counts as one without processes."""
    marked = {item.path for item in request.session.items if item.get_closest_marker("real")}
    assert [file for file in marked if not patient.may_start_processes(file)] == []
    assert not patient.may_start_processes(Path(__file__))
