"""The reader of a source: pauses, counts and log lines, whatever the source does."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from aggregator.news import reader
from aggregator.news.articles import Sent
from aggregator.news.ports import SourceError
from aggregator.news.reader import Reader, pause_after
from aggregator.observability.metrics import Metrics
from tests.news.desk_parts import Desk, sent
from tests.parts.examples import NOW


class Source:
    """A source that does what a test says."""

    name = "mock"
    interval = 60.0

    def __init__(self, *steps: Exception | Sequence[Sent]) -> None:
        self._steps = [*steps]

    async def read(self) -> Sequence[Sent]:
        """Return or raise the next step; hang after the last one."""
        if not self._steps:
            await asyncio.Event().wait()
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


@pytest.mark.parametrize(
    ("failures", "asked", "expected"),
    [(1, None, 60), (2, None, 120), (5, None, 600), (10**9, None, 600), (1, 90, 90), (1, 1e9, 3600), (2, 1, 120)],
)
def test_pauses(failures: int, asked: float | None, expected: float) -> None:
    """They double up to ten minutes; a pause that the source asks for is kept, up to an hour."""
    assert pause_after(failures, 60, asked) == expected


def test_the_pauses_of_slow_and_fast_sources() -> None:
    """They are never shorter than the usual one, and at most 20 times as long."""
    assert pause_after(3, 86_400, None) == 86_400
    assert pause_after(99, 0.25, None) == 5


async def test_a_source_that_fails_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line is logged at the begin and one at the end; each failure is counted by its reason."""
    monkeypatch.setattr(reader, "LONGEST_CALL", 0.01)
    metrics = Metrics(CollectorRegistry())
    async with Desk().running() as one:
        steps = SourceError("rate_limited", "HTTP 429", 700), RuntimeError("x"), [sent("1")], SourceError("timeout", "")
        reading = Reader(Source(*steps), one.desk, metrics.news, lambda: NOW)
        with capture_logs() as logs:
            pauses = [await reading.read_once() for _ in range(5)]
        await one.settled()
    assert [line["event"] for line in logs] == [
        "news_source_failed",
        "news_source_answers_again",
        "news_source_failed",
    ]
    assert pauses[0] >= 700
    assert pauses[2] == 60
    assert one.strengths == [("btcusdt", "1", "none")]
    count: Callable[[str], float] = lambda reason: metrics.news.source_errors.labels("mock", reason)._value.get()  # noqa: E731  # short
    assert [count(reason) for reason in ("rate_limited", "undecodable", "timeout")] == [1, 1, 2]
