"""The pace of a load."""

import pytest

from aggregator.cli.produce.pace import Pace


@pytest.mark.parametrize(
    ("elapsed", "sent", "due"),
    [
        (0.0, 0, 0),
        (0.5, 0, 500),
        (0.5, 499, 1),
        (0.5, 500, 0),
        (3.0, 500, 600),  # no more than `most`
        (9.0, 1_900, 100),  # no more than two seconds have
        (9.0, 2_000, 0),
    ],
)
def test_trades_are_due_by_the_time(elapsed: float, sent: int, due: int) -> None:
    """1,000 a second for two seconds, at most 600 at once."""
    assert Pace(1_000, 2, None).due(elapsed, sent, 600) == due


def test_a_count_ends_it() -> None:
    """No trade is due after the last one."""
    pace = Pace(1_000, None, 50)
    assert pace.due(10, 0, 500) == 50
    assert not pace.is_over(10, 49)
    assert pace.is_over(0.01, 50)


def test_the_seconds_end_it() -> None:
    """Also where trades are still due, because the producer did not take them."""
    assert Pace(1_000, 2, None).is_over(2, 100)
    assert not Pace(1_000, 2, None).is_over(1.99, 1_990)


def test_without_a_rate_all_are_due() -> None:
    """As many as are allowed at once."""
    pace = Pace(None, 2, None)
    assert pace.due(0, 0, 500) == 500
    assert pace.due(1, 123_456, 500) == 500


@pytest.mark.parametrize(
    ("pace", "total"),
    [
        (Pace(20_000, 10, None), 200_000),
        (Pace(20_000, None, 70), 70),
        (Pace(None, None, 70), 70),
        (Pace(None, 10, None), None),
        (Pace(20_000, None, None), None),
    ],
)
def test_the_total(pace: Pace, total: int | None) -> None:
    """The total is None where the trades have no end, or where their number depends on the brokers."""
    assert pace.total == total
