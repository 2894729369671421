"""The doctor checks the stores that a process of its role opens."""

import pytest

from aggregator.cli.doctor.events import event_checks
from aggregator.cli.doctor.trades import trade_checks
from aggregator.settings.loader import load

STORES = {
    "cache_url": "redis://127.0.0.1",
    "trades_log": "kinesis://trades?region=us-east-1",
    "trades_url": "dynamodb://trades?region=us-east-1",
    "events_url": "dynamodb://events?region=us-east-1",
}


@pytest.mark.parametrize(
    ("role", "trade_feeds", "checks"),
    [
        ("api", "false", ["kinesis", "trades", "events"]),
        ("processor", "false", ["kinesis", "trades outbox", "trades", "events"]),
        ("refresher", "false", ["events"]),
        ("refresher", "true", ["kinesis", "trades outbox", "trades", "events"]),
    ],
)
def test_the_stores_of_a_role(role: str, trade_feeds: str, checks: list[str]) -> None:
    """A refresher stores alerts, and with TRADE_FEEDS it takes trades in and processes them."""
    settings = load({**STORES, "role": role, "trade_feeds": trade_feeds})
    assert [*trade_checks(settings, 5), *event_checks(settings)] == checks
