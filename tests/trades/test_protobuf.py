"""Protobuf bodies: updates and batches, how one is told from the other, junk, and the generated code."""

import importlib.util
import math
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.trades.market_pb2 import MarketUpdate, MarketUpdates
from aggregator.trades.protobuf import MOST_UPDATES, TooManyUpdates, batch_of, decode, raw_of, seconds_of
from tests.parts.process import ROOT

NS = 1_795_241_427_123_456_789
BYTES = (  # btcusdt, 1.5, 3, 1 ns; written by hand, field by field
    b"\x0a\x07btcusdt" + b"\x11" + struct.pack("<d", 1.5) + b"\x18\x03" + b"\x20\x01"
)
FIELD_ENDS = (9, 18, 20)  # where BYTES can be cut and is still an update

INT64 = st.integers(-(2**63), 2**63 - 1)
UPDATES = st.builds(MarketUpdate, ticker=st.text(max_size=20), price=st.floats(), volume=INT64, timestamp_ns=INT64)


def update(volume: int = 3) -> MarketUpdate:
    """Return an update with this volume."""
    return MarketUpdate(ticker="btcusdt", price=77_896.49245, volume=volume, timestamp_ns=NS)


def test_an_update() -> None:
    """An update is read as it was sent."""
    assert list(decode(update().SerializeToString(), batch=False)) == [update()]


@given(st.integers(10**18, 5 * 10**18) | st.integers(10**15, 5 * 10**15).map(lambda us: us * 1000 + 500) | INT64)
def test_seconds(nanoseconds: int) -> None:
    """A time is in seconds, rounded to microseconds."""
    assert seconds_of(nanoseconds) == round(nanoseconds / 1e9, 6)


def test_the_wire_format() -> None:
    """Bytes written by hand are read, whichever encoder the sender uses."""
    (found,) = decode(BYTES, None)
    assert found == MarketUpdate(ticker="btcusdt", price=1.5, volume=3, timestamp_ns=1)
    assert raw_of(found) == BYTES


def test_a_batch_keeps_its_order() -> None:
    """One record for each update, in the order of the body."""
    body = MarketUpdates(updates=[update(volume=number) for number in range(MOST_UPDATES)]).SerializeToString()
    assert [found.volume for found in decode(body, batch=True)] == list(range(MOST_UPDATES))


def test_too_many_updates() -> None:
    """A batch of one more than allowed is refused whole."""
    body = MarketUpdates(updates=[update()] * (MOST_UPDATES + 1)).SerializeToString()
    with pytest.raises(TooManyUpdates, match="1001 updates; at most 1000"):
        decode(body, batch=True)


@given(st.lists(UPDATES, min_size=1, max_size=5))
def test_a_batch_is_recognised(updates: list[MarketUpdate]) -> None:
    """Without a message type, a batch is read as a batch, whatever its updates contain."""
    body = MarketUpdates(updates=updates).SerializeToString()
    assert [found.ticker for found in decode(body, None)] == [one.ticker for one in updates]


@given(UPDATES)
def test_an_update_is_recognised(one: MarketUpdate) -> None:
    """Without a message type, an update that has a price is read as an update."""
    one.price = one.price or 1.0
    (found,) = decode(one.SerializeToString(), None)
    assert found.ticker == one.ticker
    assert found.price == one.price or math.isnan(one.price)


@given(UPDATES)
def test_the_same_bytes_alone_and_in_a_batch(one: MarketUpdate) -> None:
    """The bytes identify the trade, so a repeat in another form of body has the same ones."""
    (alone,) = decode(b"\x7a\x01x" + one.SerializeToString(), batch=False)  # an unknown field, before the others
    batch = MarketUpdates(updates=[MarketUpdate.FromString(raw_of(alone))]).SerializeToString()
    assert raw_of(decode(batch, batch=True)[0]) == raw_of(alone)


@given(st.binary(max_size=200), st.sampled_from([True, False, None]))
def test_any_bytes(body: bytes, batch: bool | None) -> None:  # noqa: FBT001  # a parameter of `decode`
    """Junk gives records or ValueError, and no other error."""
    with suppress(ValueError):
        assert decode(body, batch)


@pytest.mark.parametrize("length", [one for one in range(1, len(BYTES)) if one not in FIELD_ENDS])
def test_an_update_cut_short(length: int) -> None:
    """An update that ends within a field is refused."""
    with pytest.raises(ValueError, match="cannot be decoded"):
        decode(BYTES[:length], batch=False)


@pytest.mark.parametrize("length", range(1, len(BYTES) + 2))
def test_a_batch_cut_short(length: int) -> None:
    """A batch that ends within its update is refused."""
    body = MarketUpdates(updates=[MarketUpdate.FromString(BYTES)]).SerializeToString()
    with pytest.raises(ValueError, match="cannot be decoded"):
        decode(body[:length], batch=True)


@pytest.mark.parametrize("body", [b"", b"\x7a\x01x"])
@pytest.mark.parametrize("batch", [True, None])
def test_nothing_in_it(body: bytes, batch: bool | None) -> None:  # noqa: FBT001  # a parameter of `decode`
    """An empty body, and one of unknown fields only, are refused."""
    with pytest.raises(ValueError, match="the body"):
        decode(body, batch)


def test_a_ticker_that_is_not_utf_8() -> None:
    """It is refused; no replacement characters appear in a symbol."""
    with pytest.raises(ValueError, match=r"cannot be decoded as a marketdata\.MarketUpdate"):
        decode(BYTES.replace(b"btc", b"\xff\xfe\xfd"), batch=False)


def test_a_deep_group() -> None:
    """Nested groups of an unknown field end in a refusal instead of a stack overflow."""
    with pytest.raises(ValueError, match="cannot be decoded"):
        decode(b"\x7b" * 100_000, batch=False)


@pytest.mark.parametrize(
    ("content_type", "batch"),
    [
        ("application/x-protobuf", None),
        ("application/x-protobuf; charset=utf-8", None),
        ("application/x-protobuf; messageType=marketdata.MarketUpdates", True),
        ('application/x-protobuf;messagetype="marketdata.MarketUpdate"', False),
    ],
)
def test_the_message_type(content_type: str, batch: bool | None) -> None:  # noqa: FBT001  # expected value
    """The parameter of the Content-Type says whether the body is a batch."""
    assert batch_of(content_type) is batch


def test_an_unknown_message_type() -> None:
    """It is refused with the names that are allowed."""
    with pytest.raises(ValueError, match=r"marketdata\.MarketUpdate or marketdata\.MarketUpdates"):
        batch_of("application/x-protobuf; messageType=marketdata.Quote")


@pytest.mark.skipif(importlib.util.find_spec("grpc_tools") is None, reason="grpcio-tools is missing; see the header")
def test_the_generated_code_is_current(tmp_path: Path) -> None:
    """scripts/protobuf.sh would write the same files. The compiler's version may differ."""
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT / 'proto'}"]
    subprocess.run([*command, f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", "market.proto"], check=True)
    for name in ("market_pb2.py", "market_pb2.pyi"):
        assert _code(tmp_path / name) == _code(ROOT / "aggregator/trades" / name), "run scripts/protobuf.sh"


def _code(path: Path) -> list[str]:
    """Return the lines of generated code, without those that have the version of the compiler."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if "Protobuf Python Version" not in line and not line.strip(" ,").isdigit()]
