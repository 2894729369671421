"""Malformed and hostile bodies of POST /ingest: documented statuses only, bounded memory, no trade lost.

`CHAOS=full` tries twenty times as many random bodies.
"""

import gzip
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.trades.market_pb2 import MarketUpdate, MarketUpdates
from tests.chaos.ingest_client import JSON, LINES, NOW, PROTOBUF, TYPES, Ingest, trade, with_value
from tests.parts.process import wait_for

pytestmark = pytest.mark.real

FULL = os.environ.get("CHAOS") == "full"
EXAMPLES = 2_000 if FULL else 100
NUMBERS = [
    b"9" * 1_000,
    b"9" * 50_000,
    b"9" * 900_000,
    b"0." + b"9" * 50_000,
    b"1" + b"0" * 50_000 + b".5",
    b"1e999999",
    b"1e-999999",
    b"-1e999999",
    b"1e999999999999999999999999",
    b"1e" + b"9" * 50_000,
    b"NaN",
    b"Infinity",
    b'"NaN"',
    b'"sNaN"',
    b'"Infinity"',
    b'"-Infinity"',
    b'"1e999999"',
    b'"' + b"9" * 50_000 + b'"',
    b'"1_000"',
    b'"\\ud800"',
    b"-0",
    b"0",
    b"01",
    b"+1",
    b"0x10",
    b"true",
    b"null",
    b"{}",
    b"[" * 5_000 + b"]" * 5_000,
]


@pytest.mark.parametrize("content_type", [JSON, LINES])
@pytest.mark.parametrize("field", ["price", "volume", "timestamp", "sequence"])
@pytest.mark.parametrize("value", NUMBERS, ids=range(len(NUMBERS)))
def test_numbers(ingest: Ingest, field: str, value: bytes, content_type: str) -> None:
    """Huge, tiny, endless and impossible numbers are refused or taken, but nothing breaks."""
    assert ingest.send(with_value(field, value), content_type).status in (200, 400, 413)


TEXTS = [b'"' + b"x" * 60_000 + b'"', b'""', b'"\\u0000"', b'"\\ud800"', b'"\xff"', b"1", b"9" * 5_000, b"[]", b"true"]


@pytest.mark.parametrize("content_type", [JSON, LINES])
@pytest.mark.parametrize("field", ["asset", "venue", "id", "side"])
@pytest.mark.parametrize("value", TEXTS, ids=range(len(TEXTS)))
def test_texts(ingest: Ingest, field: str, value: bytes, content_type: str) -> None:
    """Long, empty and undecodable texts are refused or taken, but nothing breaks."""
    assert ingest.send(with_value(field, value), content_type).status in (200, 400, 413)


DOCUMENTS = [
    b"",
    b" ",
    b"\n" * 10_000,
    b"\0" * 10_000,
    b"{",
    b"[",
    b"[]",
    b"{}",
    b"null",
    b'"text"',
    b"[[]]",
    b"[" * 900_000,
    b'{"a":' * 150_000,
    b"[" * 400_000 + b"]" * 400_000,
    b"\xff\xfe\xfd" * 1000,
    b"\xef\xbb\xbf" + trade("bom"),
    trade("utf-16").decode().encode("utf-16"),
    trade("cut")[:-1],
    trade("two") + trade("two"),
    b"[" + trade("comma") + b",]",
    b"[" + b"0," * 499_000 + b"0]",
    gzip.compress(trade("gzip")),
    MarketUpdate(ticker="btcusdt", price=1, volume=1, timestamp_ns=int(NOW * 1e9)).SerializeToString()[:-1],
    b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x0a" * 100_000,
    b"\x0b" * 100_000,
    b"\x0a\x00" * 400_000,
    b"\x7a\xff\xff\xff\x07",
]


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize("body", DOCUMENTS, ids=range(len(DOCUMENTS)))
def test_bodies(ingest: Ingest, body: bytes, content_type: str) -> None:
    """Empty, deep, cut and foreign bodies of each type are refused, but for the line with a mark of the byte order."""
    assert ingest.send(body, content_type).status in (200, 400, 413)


@pytest.mark.parametrize(
    ("content_type", "headers", "status"),
    [
        ("text/plain", {}, 415),
        ("application/xml", {}, 415),
        ("multipart/form-data; boundary=x", {}, 415),
        ("application/x-www-form-urlencoded", {}, 415),
        ("application/json" + "x" * 5_000, {}, 415),
        ("application/x-protobuf; messageType=other.Message", {}, 400),
        (JSON, {"Content_Encoding": "gzip"}, 415),
        (LINES, {"Content_Encoding": "gzip"}, 415),
        (PROTOBUF, {"Content_Encoding": "deflate, gzip"}, 415),
        (LINES, {"Content_Encoding": "br"}, 415),
    ],
)
def test_types(ingest: Ingest, content_type: str, headers: dict[str, str], status: int) -> None:
    """A foreign type and any compression are refused; a gzip bomb is not unpacked."""
    bomb = gzip.compress(b"0" * (64 << 20), 9)
    before = ingest.memory
    assert ingest.send(bomb, content_type, **headers).status == status
    assert ingest.memory - before < 32 << 20


def updates(count: int) -> bytes:
    """Return a batch of updates."""
    one = MarketUpdate(ticker="ethusdt", price=3_000.5, volume=1, timestamp_ns=int(NOW * 1e9))
    return bytes(MarketUpdates(updates=[one] * count).SerializeToString())


def array(count: int) -> bytes:
    """Return an array of trades of ethusdt."""
    return b"[" + b",".join(trade(f"array-{number}", "ethusdt") for number in range(count)) + b"]"


@pytest.mark.parametrize(
    ("body", "content_type"), [(array(1_001), JSON), (updates(1_001), PROTOBUF)], ids=["json", "protobuf"]
)
def test_too_many_trades(ingest: Ingest, body: bytes, content_type: str) -> None:
    """1,001 trades in a body are refused as a whole."""
    before = ingest.stored("ethusdt")
    assert ingest.send(body, content_type).status == 413
    assert ingest.stored("ethusdt") == before


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_too_many_bytes(ingest: Ingest, content_type: str) -> None:
    """One byte more than 1 MB is refused."""
    assert ingest.send(b" " * 1_000_001, content_type).status == 413


def test_too_long_a_line(ingest: Ingest) -> None:
    """A line without an end is refused; the lines before it are stored."""
    answer = ingest.send(trade("before-the-long-line") + b"\n" + b"x" * 2_000_000, LINES)
    assert answer.status == 413
    wait_for(lambda: "before-the-long-line" in ingest.stored("btcusdt"))


def test_good_among_bad(ingest: Ingest) -> None:
    """What is good is stored, each trade once, also when the body is sent three times; what is bad is listed."""
    bad = [b"{", b"\xff", b"[1]", with_value("price", b"0"), with_value("price", b"1e999999"), b"[" * 1_000]
    numbers = [f"mixed-{number}" for number in range(300)]
    lines = [line for number, one in enumerate(numbers) for line in (trade(one), bad[number % len(bad)])]
    answers = [json.loads(ingest.send(b"\n".join(lines), LINES).body) for _ in range(3)]
    assert [answer["accepted"] for answer in answers] == [300, 0, 0]
    assert [answer["duplicates"] for answer in answers] == [0, 300, 300]
    assert [[one["index"] for one in answer["rejected"]] for answer in answers] == [list(range(1, 600, 2))] * 3
    assert sorted(one for one in ingest.stored("btcusdt") if one.startswith("mixed-")) == sorted(numbers)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("asset", "symbol", "ticker", "price", "volume", "size", "timestamp", "time", "venue", "id", "side", "sequence")
RECORDS = st.dictionaries(st.sampled_from(NAMES), VALUES | st.just("btcusdt") | st.just(NOW), max_size=8)
UPDATES = st.builds(
    MarketUpdate,
    ticker=st.just("btcusdt") | st.text(max_size=10),
    price=st.floats(),
    volume=st.integers(-(2**63), 2**63 - 1),
    timestamp_ns=st.just(int(NOW * 1e9)) | st.integers(-(2**63), 2**63 - 1),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a body that is nearly right: records or updates, some of whose bytes are changed, left out or doubled."""
    kind = draw(st.sampled_from(TYPES))
    if kind == PROTOBUF:
        body = bytes(MarketUpdates(updates=draw(st.lists(UPDATES, max_size=4))).SerializeToString())
    else:
        texts = [json.dumps(record) for record in draw(st.lists(RECORDS, max_size=4))]
        body = ("\n".join(texts) if kind == LINES else f"[{','.join(texts)}]").encode()
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(body)))
        cut = draw(st.integers(0, 3))
        body = body[:place] + draw(st.binary(max_size=3)) + body[place + cut :]
    return body


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(body=mutated() | st.binary(max_size=300), content_type=st.sampled_from(TYPES))
def test_random_bodies(ingest: Ingest, body: bytes, content_type: str) -> None:
    """Random bodies, most of them nearly right, get 200 or 400."""
    assert ingest.send(body, content_type).status in (200, 400)
