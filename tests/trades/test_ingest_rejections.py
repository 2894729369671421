"""What the parser rejects, with which code; and that no bytes cause another exception or a trade beyond the bounds."""

import json
from collections.abc import Sequence
from contextlib import suppress
from decimal import Context, Decimal, Inexact, Rounded

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.models import Trade, encode, encode_as_strings, trade_key
from aggregator.stores.trades.sqlite import SqliteTrades
from aggregator.trades.ingest import MOST_RAW, Parser, Taken, TooManyRecords
from aggregator.trades.market_pb2 import MarketUpdate, MarketUpdates
from aggregator.trades.rejection import REJECTION_CODES
from aggregator.trades.validation import MOST_ID, MOST_VENUE, InvalidTrade
from tests.parts.examples import NOW
from tests.parts.limits import examples
from tests.trades.test_ingest import MICROSECONDS, PARSER, find, with_field


def code_of(raw: bytes) -> str:
    """Return the code with which a record is rejected."""
    with pytest.raises(InvalidTrade) as refused:
        PARSER.one(raw, NOW)
    assert str(refused.value)
    assert refused.value.code in REJECTION_CODES
    return refused.value.code


@pytest.mark.parametrize("field", ["price", "qty"])
def test_a_text_that_is_no_number(field: str) -> None:
    """The reason names the field as it was sent, in words."""
    with pytest.raises(InvalidTrade, match=f"^the {field} must be a number$"):
        PARSER.one(with_field(field, b'"cheap"'), NOW)


LONG_NUMBER = b"9" * 1_000_000
REJECTED = [
    *((raw, "malformed") for raw in (b"", b"{", b"[]", b"null", b"7", b'"text"', b"{}x", b"\xff", b"[" * 100_000)),
    (b'{"x":' * 100_000, "malformed"),
    *((with_field("volume", value), "malformed") for value in (b"NaN", b"Infinity", b"-Infinity", b"01", b"0x1")),
    *(
        (with_field(name, value), "malformed")  # bytes and escapes that are no text
        for name in ("id", "venue", "asset", "side")
        for value in (b'"\xff"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\udfff\\ud800"')
    ),
    (b'{"price": 1, "timestamp": 1759999940}', "asset"),
    *((with_field("asset", value), "asset") for value in (b'""', b'"nosuch"', b"7", b'"' + LONG_NUMBER + b'"')),
    (b'{"asset": "btcusdt", "timestamp": 1759999940}', "price"),
    *((with_field("price", value), "price") for value in (b"0", b"-1", b"null", b"true", b"[]", b'"x"', b'""')),
    *(
        (with_field(name, value), name)
        for name in ("price", "volume")
        for value in (
            LONG_NUMBER,
            b"0." + LONG_NUMBER,
            b'"' + LONG_NUMBER + b'"',
            b"1e999999",
            b"1e-999999",
            b"1e999999999999999999999",
            b"1e30",
            b"1e-31",
            b"1.23456789012345678901234567890123456789",
            *(b'"%s"' % one for one in (b"NaN", b"sNaN", b"Infinity", b"-Infinity", b"1e999999")),
            b"-1",
        )
    ),
    (with_field("size", b'"x"'), "volume"),
    (b'{"asset": "btcusdt", "price": 1}', "timestamp"),
    *(
        (with_field("timestamp", value), "timestamp")
        for value in (
            *(b"0", b"999999999", b"-1759999940", b"1e20", b"1e400", b"true", b"[]", LONG_NUMBER),
            *(b'"%s"' % one for one in (b"", b"x", b"nan", b"inf", b"1e400", b"9" * 5000, b"2025-10-09T25:00:00Z")),
            *(b'"%s"' % one for one in (b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59", b"2025-13-01")),
        )
    ),
    (with_field("time", b"[]").replace(b'"timestamp"', b'"ignored"'), "timestamp"),
    (with_field("timestamp_ns", b"[]"), "timestamp"),
    *((with_field("timestamp", value), "future") for value in (b"1760000006", b"1760000006000", b'"2025-10-10"')),
    *((with_field("venue", value), "venue") for value in (b"7", b'"a\\nb"', b'"%s"' % (b"v" * (MOST_VENUE + 1)))),
    *((with_field("exchange", value), "venue") for value in (b"7", b'"a\\u0000b"')),
    *((with_field("id", value), "id") for value in (b'""', b"1.5", b"true", b'"a\\u001fb"', b"9" * 5000)),
    (with_field("trade_id", b'"%s"' % (b"x" * (MOST_ID + 1))), "id"),
    *((with_field("side", value), "side") for value in (b'"hold"', b'""', b"1")),
    *(
        (with_field("sequence", value), "sequence")
        for value in (b"-1", b"1.5", b'"-1"', b'"1.0"', b'"\xc2\xb2"', b"[]", b"1e300", b"9223372036854775808")
    ),
    (with_field("sequence_number", b"9" * 4000), "sequence"),
]


@pytest.mark.parametrize(("raw", "code"), REJECTED, ids=lambda value: repr(value[-30:]))
def test_a_record_that_is_no_trade_is_rejected_with_its_field(raw: bytes, code: str) -> None:
    """A record that is no trade is rejected with the field at fault, whichever way it comes."""
    assert code_of(raw) == code
    for taken in (PARSER.document(b"[" + raw + b"]", NOW), PARSER.document(raw, NOW), PARSER.lines(raw, NOW)):
        assert taken.trades == []
        assert all(one.code in REJECTION_CODES for one in taken.rejected)


def test_every_code_is_tried() -> None:
    """Each documented code has records above."""
    assert {code for _, code in REJECTED} == set(REJECTION_CODES)


def test_a_rejection_says_where_it_comes_from() -> None:
    """It has the source, our time and the first 4,096 bytes of what was sent."""
    raw = with_field("volume", LONG_NUMBER)
    (rejection,) = Parser(find, "kraken").document(raw, NOW).rejected
    assert (rejection.source, rejection.at, rejection.raw) == ("kraken", NOW, raw[:MOST_RAW])
    assert "volume" in rejection.reason


STORABLE = Context(prec=38, traps=[Inexact, Rounded])  # as DynamoDB stores numbers
NUMBERS = st.one_of(
    st.decimals(allow_nan=True, allow_infinity=True).map(str),
    st.tuples(st.integers(0, 10**38), st.integers(-32, 32)).map(lambda parts: f"{parts[0]}e{parts[1]}"),
    st.integers(-1, 10**40).map(str),
    st.floats().map(repr),
)
TIMES = st.one_of(
    st.integers(MICROSECONDS - 10**12, MICROSECONDS + 10**8),
    st.integers(10**17, int(NOW * 1e9)),
    st.floats(1e9, NOW + 10),
    st.integers(),
    st.datetimes().map(lambda moment: moment.isoformat()),
)
TEXTS = st.text(max_size=6) | st.sampled_from(["btcusdt", "buy", "SELL", "\udc00", "\x1f"]) | st.none()
RECORDS = st.fixed_dictionaries(
    {"asset": st.sampled_from(["btcusdt", "ETHUSDT"]), "price": NUMBERS, "timestamp": TIMES},
    optional={
        "volume": NUMBERS,
        "size": NUMBERS,
        "id": TEXTS | st.integers(),
        "venue": TEXTS,
        "side": TEXTS,
        "sequence": st.integers(-1, 2**64) | st.none(),
        "ticker": TEXTS,
    },
)
USUAL = st.fixed_dictionaries(
    {
        "asset": st.sampled_from(["btcusdt", "ethusdt"]),
        "price": st.integers(1, 10**6) | st.floats(1e-9, 1e9) | st.sampled_from(["1.50", "1e-30"]),
        "volume": st.integers(0, 10**6) | st.floats(0, 1e9),
        "timestamp": st.floats(NOW - 1e6, NOW + 5) | st.sampled_from([NOW + 5, NOW, 1e9]),
        "venue": st.sampled_from(["kraken", "okx"]),
        "id": st.sampled_from(["a-1", "x" * MOST_ID]),
    },
    optional={"side": st.sampled_from(["buy", "sell", None])},
)
UNUSUAL = st.sampled_from(
    [
        {},
        *({"asset": one} for one in ("BTC-USDT", "nosuch", "")),
        *(
            {name: one}
            for name in ("price", "volume")
            for one in ("NaN", "sNaN", "-Infinity", "Infinity", -1, 0, "1e30")
        ),
        *({name: "1." + 37 * "1"} for name in ("price", "volume")),
        *({"timestamp": one} for one in (NOW + 5.0000004, NOW + 5.000002, 999999999.9999999, 1e300, int(NOW * 1000))),
        *({"venue": one} for one in ("v" * MOST_VENUE, "v" * (MOST_VENUE + 1), "a\nb", "")),
        *({"id": one} for one in ("x" * (MOST_ID + 1), "a\x1fb", "", 7)),
        *({"side": one} for one in ("BUY", "hold")),
        *({"size": one} for one in (1, "x")),
        {"sequence": 7},
    ]
)
UPDATES = st.builds(
    MarketUpdate,
    ticker=st.sampled_from(["btcusdt", "nosuch"]),
    price=st.floats(),
    volume=st.integers(-(2**63), 2**63 - 1),
    timestamp_ns=st.integers(10**18, int(NOW * 1e9)) | st.integers(-(2**63), 2**63 - 1),
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Draw records or updates, some of whose bytes are changed, left out or doubled; or any bytes."""
    texts = [json.dumps(one).encode() for one in draw(st.lists(RECORDS, max_size=4))]
    batch = MarketUpdates(updates=draw(st.lists(UPDATES, max_size=3))).SerializeToString()
    body: bytes = draw(
        st.sampled_from([b"\n".join(texts), b"[" + b",".join(texts) + b"]", b"\r\n\n".join(texts), batch])
    )
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.integers(0, len(body)))
        body = body[:place] + draw(st.binary(max_size=3)) + body[place + draw(st.integers(0, 3)) :]
    return body


def all_ways(body: bytes) -> list[Taken]:
    """Return what the parser makes of the bytes in each form of a body."""
    found = [PARSER.lines(body, NOW, 7), PARSER.document(body, NOW)]
    for content_type in ("", "application/x-protobuf; messageType=marketdata.MarketUpdate"):
        try:
            found.append(PARSER.protobuf(body, content_type, NOW))
        except TooManyRecords:  # the only exception
            continue
    return found


def assert_bounded(trade: Trade) -> None:
    """Assert that a trade is within the bounds, and that its numbers fit where trades are stored."""
    assert find(trade.asset) is not None
    assert trade.price > 0
    for number in (trade.price, Decimal(0) if trade.volume is None else trade.volume):
        assert 0 <= number < Decimal("1e30")
        assert STORABLE.create_decimal(number) == number
        assert number == number.quantize(Decimal("1e-30"), context=Context(prec=70, traps=[Inexact]))
    assert 1e9 <= trade.timestamp <= NOW + 5
    assert trade.timestamp == round(trade.timestamp * 1e6) / 1e6
    assert 0 < len(trade.id) <= MOST_ID
    assert 0 < len(trade.venue) <= MOST_VENUE
    (trade.id + trade.venue).encode()
    assert trade.sequence is None or 0 <= trade.sequence < 2**63


@settings(max_examples=examples(200))
@given(st.lists(USUAL, max_size=3), USUAL, UNUSUAL)
def test_the_shortcut_for_lines(
    usual: list[dict[str, object]], last: dict[str, object], unusual: dict[str, object]
) -> None:
    """Lines in the usual form give the same trades and rejections as each of them alone."""
    raws = [json.dumps(one).encode() for one in [*usual, last | unusual]]
    parser, trades, codes = Parser(find), [], []
    for raw in raws:
        try:
            trades.append(PARSER.one(raw, NOW))
        except InvalidTrade as error:
            codes.append(error.code)
    for _ in range(2):  # at the second time the parser knows the venues
        taken = parser.lines(b"\n".join(raws), NOW)
        assert (taken.trades, [one.code for one in taken.rejected]) == (trades, codes)


@settings(max_examples=examples(160))
@given(bodies() | st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    """Any bytes become trades within the bounds and rejections with a documented code; nothing else is raised."""
    with suppress(InvalidTrade):  # a single record, as dead letters are tried again
        assert_bounded(PARSER.one(body, NOW))
    for taken in all_ways(body):
        for one in taken.trades:
            assert_bounded(one)
        assert all(one.code in REJECTION_CODES and one.reason for one in taken.rejected)


def good(records: Sequence[dict[str, object]]) -> list[Trade]:
    """Return the trades of these records, of each key the first."""
    taken = PARSER.lines(b"\n".join(json.dumps(one).encode() for one in records), NOW)
    found: dict[object, Trade] = {}
    for one in taken.trades:
        found.setdefault((one.asset, *trade_key(one)), one)
    return list(found.values())


@settings(max_examples=25)
@given(st.lists(RECORDS, max_size=8))
def test_trades_survive_json(records: list[dict[str, object]]) -> None:
    """Each trade is the same after JSON with numbers, and with strings."""
    trades = good(records)
    assert msgspec.json.decode(encode(trades), type=list[Trade]) == trades
    assert msgspec.json.decode(encode_as_strings(trades), type=list[Trade]) == trades


@settings(max_examples=8)
@given(st.lists(RECORDS, min_size=1, max_size=8))
async def test_trades_survive_sqlite(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, object]]
) -> None:
    """Each trade is the same when it is read from the journal, and from the sorted table."""
    trades = good(records)
    path = tmp_path_factory.mktemp("trades") / "trades.db"
    for opening in range(3):  # first as it was written, then from the journal, then from the sorted table
        store = SqliteTrades(path, 1e12, lambda: NOW)
        await store.open()
        await store.add(trades)
        for asset in ("btcusdt", "ethusdt"):
            expected = sorted((one for one in trades if one.asset == asset), key=trade_key)
            assert await store.trades(asset, 0, 2 * NOW, 100, newest_first=False) == expected
        if opening:
            await store.tidy()
        await store.close()
