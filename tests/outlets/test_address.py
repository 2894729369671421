"""The setting OUTLETS: what it accepts, and what it says about mistakes."""

import pytest

from aggregator.outlets.address import TOPICS, Form, parse_outlets
from aggregator.outlets.filters import Condition, Filter
from aggregator.runtime.process import STREAM_TOPICS

FORMS = {
    "sqs": Form("sqs://queue", ("region",)),
    "kafka": Form("kafka://broker:9092/topic"),
    "https": Form("https://host/path", ("secret",), keeps_rest=True),
    "stdout": Form("stdout://"),
}


def test_filters_and_options_are_parts_of_an_address() -> None:
    """Every option is read; parameters of a webhook's own stay in its address."""
    text = (
        "sqs://queue?topics=prices,anomalies&assets=BTCUSDT,ethusdt&tier=hot&min_gap=10&where=anomaly_score<-0.6"
        "&region=eu-west-1; kafka://broker:9092/events ;https://hooks.example/x?token=abc&secret=env:HOOK&name=ops;"
    )
    queue, kafka, hook = parse_outlets(text, FORMS)
    assert queue.name == "sqs-queue"
    assert queue.options == {"region": "eu-west-1"}
    assert queue.filter.topics == {"prices", "anomalies"}
    assert queue.filter.assets == {"btcusdt", "ethusdt"}
    assert queue.filter.tiers == {"hot"}
    assert queue.filter.min_gap == 10
    assert [(one.field, one.sign, float(one.value)) for one in queue.filter.where] == [("anomaly_score", "<", -0.6)]
    assert (kafka.name, kafka.url, kafka.filter) == (
        "kafka-events",
        "kafka://broker:9092/events",
        Filter(frozenset({"prices"})),
    )
    assert (hook.name, hook.url) == ("ops", "https://hooks.example/x?token=abc")
    assert "abc" not in repr(hook)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("queue", "must be one of sqs://queue"),
        ("ftp://hunter2@host", "must be one of sqs://queue"),
        ("sqs://queue?topic=prices", "not 'topic'"),
        ("sqs://queue?topics=", "topics must be a comma-separated list of prices"),
        ("sqs://queue?topics=hunter2", "topics must be a comma-separated list of prices"),
        ("sqs://queue?assets=BTC/USDT", "assets must be a comma-separated list"),
        ("sqs://queue?tier=warm", "tier must be a comma-separated list of hot, medium, cold"),
        ("sqs://queue?min_gap=-1", "min_gap must be 0 to 86400 seconds"),
        ("sqs://queue?min_gap=nan", "min_gap must be 0 to 86400 seconds"),
        ("sqs://queue?where=hunter2", "where must be a field"),
        ("sqs://queue?where=price<abc", "with a number only"),
        ("sqs://queue?name=A%20b", "name must have 1 to 63"),
        ("sqs://queue?min_gap=1&min_gap=2", "takes min_gap once"),
        ("sqs://queue#hunter2", "takes no # part"),
        ("sqs://queue;sqs://queue", "two outlets have the name sqs-queue"),
        ("stdout://;" * 21, "more than 20 outlets"),
    ],
)
def test_a_mistake_is_named_without_a_secret(text: str, message: str) -> None:
    """The message names the option and what is allowed, and has no part of the address."""
    with pytest.raises(ValueError, match="outlet") as error:
        parse_outlets(text, FORMS)
    assert message in str(error.value)
    assert "hunter2" not in str(error.value)


def test_every_topic_of_the_process_may_be_asked_for() -> None:
    """The list of topics is that of the streams, but for features, which no store has."""
    assert {topic.name for topic in STREAM_TOPICS} - {"features"} | {"prices", "alerts"} == set(TOPICS)


def test_a_condition_of_texts() -> None:
    """Equality compares texts."""
    condition = Condition("label", "=", "positive")
    assert condition.holds({"label": "positive"})
    assert not condition.holds({"label": "negative"})
    assert not condition.holds({})
