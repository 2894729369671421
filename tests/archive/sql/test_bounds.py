"""The times that a query reads, from its filters."""

import math

import pytest

from aggregator.archive.bounds import EVER, Span, span_of
from aggregator.archive.duck import connect
from aggregator.archive.sql.session import Bounds, SqlSession

DAY = 1_700_006_400.0  # 2023-11-15
HOUR = 3600
INF = math.inf
SINCE = Span(DAY, INF)
THAT_DAY = Span(DAY, DAY + 24 * HOUR - 1e-6)
_AT = "'2023-11-15 00:00:00+00'::TIMESTAMP WITH TIME ZONE"


def spans(query: str) -> dict[str, Span]:
    """Return the spans of a query."""
    session = SqlSession(connect, query, Bounds([], None, 60, 0))
    try:
        return dict(session.spans())
    finally:
        session.close()


@pytest.mark.parametrize(
    ("condition", "span"),
    [
        ("timestamp >= '2023-11-15'", SINCE),
        ("timestamp >= '2023-11-15' AND timestamp < '2023-11-16' AND asset = 'btcusdt' AND price > 2", THAT_DAY),
        ("timestamp >= '2023-11-14' AND timestamp >= TIMESTAMPTZ '2023-11-15 00:00:00+00' AND late", SINCE),
        ("timestamp BETWEEN '2023-11-15' AND TIMESTAMPTZ '2023-11-15' + INTERVAL 1 DAY", Span(DAY, DAY + 24 * HOUR)),
        ("date_trunc('day', timestamp) = '2023-11-15'", THAT_DAY),
        ("timestamp >= to_timestamp(1700006400)", SINCE),
        ("timestamp = '2023-11-15'", Span(DAY, DAY)),
        ("timestamp >= '2023-11-16' OR timestamp >= '2023-11-15'", SINCE),
        ("timestamp >= '2023-11-15' OR asset = 'btcusdt'", EVER),
        ("NOT (timestamp < '2023-11-15')", SINCE),
        ("asset = '(timestamp >= ''2023-11-15 00:00:00+00''::TIMESTAMP WITH TIME ZONE)'", EVER),
        ("epoch(timestamp) >= 1700006400", EVER),
        ("timestamp >= (SELECT max(timestamp) FROM prices)", EVER),
        ("year = 2023 AND month = 11 AND day = 15", EVER),  # DuckDB prunes the folders itself
        ("timestamp <> '2023-11-15'", EVER),
    ],
)
def test_conditions(condition: str, span: Span) -> None:
    """DuckDB's own plan of a condition on trades gives the span."""
    assert spans(f"SELECT asset, count(*) FROM trades WHERE {condition} GROUP BY asset")["trades"] == span  # noqa: S608  # our own examples


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT 1", {}),
        ("DESCRIBE trades", {}),
        ("SELECT count(*) FROM trades WHERE timestamp < '2023-11-15' AND timestamp > '2023-11-15'", {}),
        ("FROM (FROM trades) WHERE timestamp >= '2023-11-15'", {"trades": SINCE}),
        (
            "FROM trades WHERE timestamp >= '2023-11-16' UNION ALL FROM trades WHERE timestamp >= '2023-11-15'",
            {"trades": SINCE},
        ),
        (
            "SELECT * FROM trades t JOIN prices p USING (asset) WHERE t.timestamp >= '2023-11-15'",
            {"trades": SINCE, "prices": EVER},
        ),
        (
            "WITH t AS (FROM trades) SELECT 1 FROM t a JOIN t b USING (id) WHERE a.timestamp >= '2023-11-15'",
            {"trades": EVER},
        ),
        (
            "WITH t AS (FROM trades) FROM t WHERE timestamp >= '2023-11-15' UNION FROM t WHERE timestamp > now()",
            {"trades": SINCE},
        ),
        ("SELECT * FROM trades WHERE price > (SELECT avg(price) FROM trades)", {"trades": EVER}),
    ],
)
def test_queries(query: str, expected: dict[str, Span]) -> None:
    """Each dataset that is read has the span of all its scans; one that is not read has none."""
    assert spans(query) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(",
        ")",
        "(" * 5000,
        f"(NOT (timestamp >= {_AT}))",
        f"CASE WHEN a AND timestamp >= {_AT} AND b THEN c END",
        f"timestamp >= {_AT} AND x OR timestamp >= {_AT}",
        "timestamp >= 'infinity'::TIMESTAMP WITH TIME ZONE",
        f"xtimestamp >= {_AT}",
    ],
)
def test_what_is_not_understood(text: str) -> None:
    """A filter that is not understood bounds nothing."""
    assert span_of(text) == EVER
