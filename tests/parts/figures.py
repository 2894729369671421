"""Print measured figures despite pytest's output capture: at once, or in the summary of an xdist run."""

import pytest

_LINE = "line"


def print_line(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], line: str) -> None:
    """Print one line of figures for this test."""
    if hasattr(request.config, "workerinput"):  # an xdist worker's stdout is discarded
        request.node.user_properties.append((_LINE, line))
        return
    with capsys.disabled():
        print(f"\n  {line}")  # noqa: T201  # the figures are the point of the run


def print_kept_lines(reporter: pytest.TerminalReporter) -> None:
    """Print the lines that xdist workers have kept for the summary."""
    reports = [one for some in reporter.stats.values() for one in some if isinstance(one, pytest.TestReport)]
    lines = [line for one in reports if one.when == "call" for name, line in one.user_properties if name == _LINE]
    if lines:
        reporter.section("figures")
    for line in lines:
        reporter.write_line(f"  {line}")
