"""Log lines of events that come at any rate."""

from collections import Counter

from structlog.testing import capture_logs

from aggregator.observability.bounded_log import MOST_LINES, BoundedLog
from tests.parts.clock import Clock


def test_each_event_has_a_bounded_number_of_lines_a_minute() -> None:
    """The others are at debug."""
    clock = Clock()
    with capture_logs() as logs:
        log = BoundedLog(clock, exchange="exchange1")
        for _ in range(2):
            for number in range(1000):
                log.info("push_gap", pair=f"coin{number}")
                log.error("refused_by_outlet", asset=f"coin{number}")
            log.info("push_refused", pair="btcusdt")
            clock.now += 60
    shown = Counter((line["event"], line["log_level"]) for line in logs if line["log_level"] != "debug")
    assert shown == {
        ("push_gap", "info"): 2 * MOST_LINES,
        ("refused_by_outlet", "error"): 2 * MOST_LINES,
        ("push_refused", "info"): 2,
    }
    assert logs[0] == {"event": "push_gap", "log_level": "info", "exchange": "exchange1", "pair": "coin0"}
