"""The log names the kind of stream that cannot be read."""

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from aggregator.observability.metrics import Metrics
from aggregator.trades.event_log.kinesis.address import parse_kinesis_url
from aggregator.trades.event_log.kinesis.client import KinesisClients, ShardClients
from aggregator.trades.event_log.kinesis.consumer import KinesisConsumer
from aggregator.trades.event_log.kinesis.page_queue import PageQueue
from aggregator.trades.event_log.kinesis.table_stream import TableStreamClients
from aggregator.trades.event_log.kinesis.table_stream_address import parse_table_stream_url

PLACE = "?region=us-east-1"


@pytest.mark.parametrize(
    ("clients", "events"),
    [
        (KinesisClients(parse_kinesis_url(f"kinesis://one{PLACE}")), ["kinesis_failing", "kinesis_recovered"]),
        (
            TableStreamClients(parse_table_stream_url(f"dynamodb://one{PLACE}")),
            ["table_stream_failing", "table_stream_recovered"],
        ),
    ],
)
def test_failures_are_logged_once_under_the_name_of_the_source(clients: ShardClients, events: list[str]) -> None:
    """A failing shard, another one, and both back: two lines."""
    metrics = Metrics(CollectorRegistry())
    consumer = KinesisConsumer(clients, 0.0, "TRIM_HORIZON", metrics.trades, PageQueue(lambda: None))
    with capture_logs() as logs:
        for shard in ("one", "two"):
            consumer.failing(shard, "away")
        assert consumer.trouble == "away"
        for shard in ("one", "two"):
            consumer.failing(shard, "")
    assert [line["event"] for line in logs] == events
    assert consumer.trouble == ""
