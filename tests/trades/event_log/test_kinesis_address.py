"""The address of a Kinesis stream."""

import pytest

from aggregator.trades.event_log.kinesis.address import KinesisAddress, parse_kinesis_url


def test_defaults() -> None:
    """A stream and a region are enough."""
    assert parse_kinesis_url("kinesis://trades?region=eu-central-1") == KinesisAddress(
        "trades", "eu-central-1", None, "aggregator-trades", None, "json", "TRIM_HORIZON", 10
    )


def test_all_options() -> None:
    """Every option can be named; the endpoint is also that of the table."""
    url = "kinesis://a.b?region=us-gov-west-1&endpoint=http://127.0.0.1:4566/&table=our.leases&format=protobuf"
    found = parse_kinesis_url(f"{url}&start=latest&lease=30")
    assert found == KinesisAddress(
        "a.b",
        "us-gov-west-1",
        "http://127.0.0.1:4566",
        "our.leases",
        "http://127.0.0.1:4566",
        "protobuf",
        "LATEST",
        30,
    )
    assert parse_kinesis_url(f"{url}&table_endpoint=https://[::1]").table_endpoint == "https://[::1]"


@pytest.mark.parametrize(
    "text", ["1700000000.5", "2023-11-14T22:13:20.5Z", "2023-11-14T23:13:20.5+01:00", "2023-11-14T22:13:20.5"]
)
def test_a_time(text: str) -> None:
    """`start` may be unix seconds or RFC 3339; without a zone it is UTC."""
    assert parse_kinesis_url(f"kinesis://trades?region=us-east-1&start={text}").start == 1_700_000_000.5


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("kinesis:trades", "must be kinesis://stream"),
        ("kinesis://?region=us-east-1", "stream of"),
        ("kinesis://a/b?region=us-east-1", "must be"),
        ("kinesis://KEY:SECRET@trades?region=us-east-1", "no credentials"),
        (f"kinesis://{'a' * 129}?region=us-east-1", "1 to 128"),
        ("kinesis://trades", "region of"),
        ("kinesis://trades?region=", "region of"),
        ("kinesis://trades?region=us-east-1.evil.example/", "region of"),
        ("kinesis://trades?region=us-east-1&region=us-east-2", "takes region once"),
        ("kinesis://trades?region=us-east-1&secret=x", "takes region, endpoint"),
        ("kinesis://trades?region=us-east-1&endpoint=ftp://a", "endpoint of"),
        ("kinesis://trades?region=us-east-1&endpoint=http://user:pass@a", "endpoint of"),
        ("kinesis://trades?region=us-east-1&endpoint=http://a:99999", "endpoint of"),
        ("kinesis://trades?region=us-east-1&table_endpoint=a", "table_endpoint of"),
        ("kinesis://trades?region=us-east-1&table=a", "table of"),
        ("kinesis://trades?region=us-east-1&format=avro", "json or protobuf"),
        ("kinesis://trades?region=us-east-1&start=yesterday", "start of"),
        ("kinesis://trades?region=us-east-1&start=99999999999999", "start of"),
        ("kinesis://trades?region=us-east-1&lease=2", "3 to 300"),
        ("kinesis://trades?region=us-east-1&lease=1e1", "3 to 300"),
    ],
)
def test_wrong_addresses(url: str, message: str) -> None:
    """A wrong address is refused with what is allowed, and without anything secret."""
    with pytest.raises(ValueError, match=message) as caught:
        parse_kinesis_url(url)
    assert "SECRET" not in str(caught.value)
    assert "pass@" not in str(caught.value)
