"""Lines with figures, which pytest would keep: printed at once, or at the end where tests run side by side."""

import pytest

_LINE = "line"


def say(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], line: str) -> None:
    """Say a line of this test's."""
    if hasattr(request.config, "workerinput"):  # a worker of pytest-xdist, whose output goes nowhere
        request.node.user_properties.append((_LINE, line))
        return
    with capsys.disabled():
        print(f"\n  {line}")  # noqa: T201  # the figures are the point of the run


def say_the_rest(reporter: pytest.TerminalReporter) -> None:
    """Say what workers have kept."""
    reports = [one for some in reporter.stats.values() for one in some if isinstance(one, pytest.TestReport)]
    lines = [line for one in reports if one.when == "call" for name, line in one.user_properties if name == _LINE]
    if lines:
        reporter.section("figures")
    for line in lines:
        reporter.write_line(f"  {line}")
