"""The address of the stream of a DynamoDB table: `dynamodb://table?region=us-east-1`. Pure.

| option | values | default |
| --- | --- | --- |
| region | the region of the table | none, required |
| endpoint | http(s)://host:port of a DynamoDB other than Amazon's | Amazon's |
| table | the table of leases; processes with the same one share the shards | aggregator-TABLE |
| table_endpoint | http(s)://host:port of a DynamoDB for that table | that of `endpoint` |
| start | trim_horizon or latest, for a stream that is read for the first time | trim_horizon |
| lease | seconds (3 to 300) after which a lease that is not renewed may be taken | 10 |
"""

from aggregator.trades.event_log.kinesis.address import LATEST, TRIM_HORIZON, KinesisAddress, parse_kinesis_url

FORM = "dynamodb://table?region=us-east-1[&endpoint=http://…&start=trim_horizon|latest&table=LEASES]"
TableStreamAddress = KinesisAddress
"""`stream` is the table whose stream is read, `table` that of the leases."""


def parse_table_stream_url(url: str) -> TableStreamAddress:
    """Return the address that a URL names. Raises ValueError, whose message has no secret of the URL in it."""
    address = parse_kinesis_url(url, "dynamodb")
    if address.start not in (TRIM_HORIZON, LATEST):
        raise ValueError("start of dynamodb:// must be trim_horizon or latest: a stream has no positions in time")
    if address.format != "json":
        raise ValueError("dynamodb:// takes no format")
    if address.table == address.stream:
        raise ValueError("table of dynamodb:// is that of the leases, and must be another one")
    return address
