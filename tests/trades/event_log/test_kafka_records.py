"""Parsing of Kafka records: many at once gives what one by one gives."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.trades.event_log.records import SOURCE, RecordParser
from aggregator.trades.ingest import Parser
from tests.parts.limits import examples
from tests.parts.processing import CATALOG, as_json, as_protobuf, trade

NOW = time.time()
NS = int(NOW - 10) * 10**9
UPDATES = [as_protobuf(number, f"asset{number % 40}", NS + number)[1] for number in range(5)]
JSON = [as_json(trade(number))[1] for number in range(5)]
VALUES: list[bytes | None] = [
    *UPDATES,
    *JSON,
    b"[" + b",".join(JSON[:2]) + b"]",
    b"".join(b"\n%c%b" % (len(one), one) for one in UPDATES[:3]),
    as_protobuf(1, "unknown", NS)[1],
    as_protobuf(1, "asset" + "1" * 200, NS)[1],
    JSON[0].replace(b",", b",\n"),
    b'{"asset":"asset1"}',
    b"{",
    b"\xff\xff",
    b" ",
    b"",
    None,
]


def parser(format_: str) -> RecordParser:
    """Return a parser of records."""
    return RecordParser(Parser(CATALOG.find, SOURCE), format_)


@settings(max_examples=examples(400))
@given(st.sampled_from(["json", "protobuf"]), st.lists(st.sampled_from(VALUES), max_size=12))
def test_many_at_once(format_: str, values: list[bytes | None]) -> None:
    """The same trades in the same order, and the same rejections of the same records, as one by one."""
    found = parser(format_).parse(values, NOW)
    alone = [parser(format_).parse([value], NOW) for value in values]
    assert found.trades == [one for each in alone for one in each.trades]
    assert [(one.index, one.code) for one in found.rejected] == [
        (index, one.code) for index, each in enumerate(alone) for one in each.rejected
    ]
    assert found.empty == sum(each.empty for each in alone)


@pytest.mark.parametrize("bad", [0, 1700, 2999])
def test_more_than_a_batch_of_protobuf(bad: int) -> None:
    """Records are parsed in parts of at most 1,000; the index of a rejected one is that of the record."""
    values: list[bytes | None] = [as_protobuf(1, "asset1", NS + number)[1] for number in range(3000)]
    values[bad] = as_protobuf(1, "unknown", NS)[1]
    found = parser("protobuf").parse(values, NOW)
    assert len(found.trades) == 2999
    assert [one.index for one in found.rejected] == [bad]
