"""The parser: names of fields, forms of numbers and times, ids, lines, arrays and protobuf."""

import json
from collections.abc import Mapping
from decimal import Decimal

import pytest
from google.protobuf.json_format import MessageToJson

from aggregator.models import Asset, Side, Trade
from aggregator.prices.tiers import assign
from aggregator.trades.ingest import Parser, Taken, TooManyRecords
from aggregator.trades.market_pb2 import MarketUpdate, MarketUpdates
from aggregator.trades.validation import MOST_ID, MOST_VENUE, InvalidTrade
from tests.parts.examples import CADENCE, NOW

CATALOG = assign([("btcusdt", "", ""), ("ethusdt", "", "")], 1, 0, CADENCE)
MICROSECONDS = 1_759_999_940_123_457  # a minute before NOW; the last digit does not survive a sloppy conversion
SECONDS = 1_759_999_940.123457
HASHED = "5ca39db066ea96213adc377d"  # of LEAST; a change of it makes trades that are stored already new ones
LEAST = {"asset": "btcusdt", "price": 1.5, "timestamp": SECONDS}


def find(symbol: str) -> Asset | None:
    """Return a listed asset."""
    return CATALOG.find(symbol)


PARSER = Parser(find)


def parsed(fields: Mapping[str, object]) -> Trade:
    """Return the trade of a record with these fields."""
    return PARSER.one(json.dumps(fields).encode(), NOW)


def with_field(name: str, value: bytes) -> bytes:
    """Return LEAST as JSON, with raw JSON in one more field."""
    rest = {key: one for key, one in LEAST.items() if key != name}
    return json.dumps(rest).encode()[:-1] + b', "%s": %s}' % (name.encode(), value)


ALIASES = [
    *(("asset", name, "BTCUSDT", "btcusdt") for name in ("asset", "symbol", "ticker")),
    *(("volume", name, 0.25, Decimal("0.25")) for name in ("volume", "size", "quantity", "qty", "amount")),
    *(("timestamp", name, SECONDS, SECONDS) for name in ("timestamp", "time")),
    *(("timestamp", name, MICROSECONDS * 1000, SECONDS) for name in ("timestamp_ns", "timestampNs")),
    *(("timestamp", name, str(MICROSECONDS * 1000), SECONDS) for name in ("timestamp_ns", "timestampNs")),
    *(("venue", name, "Kraken", "Kraken") for name in ("venue", "exchange")),
    *(("id", name, "a-1", "a-1") for name in ("id", "trade_id")),
    *(("id", name, 4711, "4711") for name in ("id", "trade_id")),
    *(("sequence", name, sent, 7) for name in ("sequence", "sequence_number") for sent in (7, 7.0, "7")),
    *(("side", "side", sent, Side.BUY) for sent in ("buy", "BUY", "b", "Bid")),
    *(("side", "side", sent, Side.SELL) for sent in ("sell", "Sell", "S", "ask")),
]


@pytest.mark.parametrize(("field", "name", "sent", "expected"), ALIASES)
def test_names_of_fields(field: str, name: str, sent: object, expected: object) -> None:
    """Each field has the names of several systems, and each name is read."""
    rest = {key: value for key, value in LEAST.items() if key != field}
    assert getattr(parsed(rest | {name: sent}), field) == expected


@pytest.mark.parametrize("name", ["BTC-USDT", "BTC/USDT", "btc_usdt", "BTCUSDT"])
def test_a_separator_in_the_asset(name: str) -> None:
    """As in other requests, one separator may stand between base and quote, and case does not matter."""
    assert parsed(LEAST | {"asset": name}) == parsed(LEAST)


def test_the_first_name_counts() -> None:
    """Where two names of a field are there, ours wins; a name with null is not there."""
    both = parsed(LEAST | {"symbol": "ethusdt", "volume": 1, "size": 2, "id": "ours", "trade_id": "theirs"})
    assert (both.asset, both.volume, both.id) == ("btcusdt", Decimal(1), "ours")
    assert parsed(LEAST | {"volume": None, "qty": 0}).volume == 0
    assert parsed(LEAST | {"venue": "", "exchange": "okx"}).venue == "okx"


@pytest.mark.parametrize("text", ["67123.45000", "1e-30", "0.00000012345678901234", "12345678901234567890123456789"])
def test_numbers_as_strings(text: str) -> None:
    """A price and a volume may be JSON numbers or strings; every digit arrives."""
    for written in (text, f'"{text}"'):
        found = PARSER.one(with_field("volume", written.encode()).replace(b"1.5", written.encode()), NOW)
        assert (str(found.price), str(found.volume)) == (str(Decimal(text)), str(Decimal(text)))


SAME_TIMES = [
    "1759999940.123457",
    "1759999940123.457",
    "1759999940123457",
    "1759999940123457000",
    '"1759999940.123457"',
    '"1759999940123.457"',
    '"1759999940123457"',
    '"1759999940123457000"',
    '"2025-10-09T08:52:20.123457Z"',
    '"2025-10-09t08:52:20.123457z"',
    '"2025-10-09 08:52:20.123457"',
    '"2025-10-09T08:52:20.123457+00:00"',
    '"2025-10-09T10:52:20.123457+02:00"',
    '"2025-10-09T03:22:20.123457-05:30"',
]


@pytest.mark.parametrize("written", SAME_TIMES)
def test_forms_of_a_time(written: str) -> None:
    """Seconds, ms, us, ns, and RFC 3339 with a zone or without: the same float, exact to the microsecond."""
    assert PARSER.one(with_field("timestamp", written.encode()), NOW).timestamp == SECONDS


def test_whole_numbers_for_a_time() -> None:
    """A whole number of seconds and of milliseconds is read by its magnitude."""
    assert parsed(LEAST | {"timestamp": 1_759_999_940}).timestamp == 1_759_999_940
    assert parsed(LEAST | {"timestamp": 1_759_999_940_123}).timestamp == 1_759_999_940.123


@pytest.mark.parametrize("ahead", [5.0, 5.000001])
def test_a_time_ahead(ahead: float) -> None:
    """A time may be five seconds ahead of our clock, and no more."""
    raw = json.dumps(LEAST | {"timestamp": round(NOW + ahead, 6)}).encode()
    if ahead == 5.0:
        assert PARSER.one(raw, NOW).timestamp == NOW + 5
    else:
        with pytest.raises(InvalidTrade, match="ahead of our clock"):
            PARSER.one(raw, NOW)


def test_a_hashed_id_is_stable() -> None:
    """A record without an id gets the same id in every process; a repeat of it is the same trade."""
    assert parsed(LEAST).id == HASHED
    assert parsed(LEAST | {"event_type": "trade", "symbol": "ethusdt"}).id == HASHED  # fields that have no part in it
    assert parsed(LEAST | {"timestamp": MICROSECONDS, "asset": "BTCUSDT"}).id == HASHED


def test_a_hashed_id_depends_on_every_field() -> None:
    """Records that differ in any field are different trades."""
    others: list[dict[str, object]] = [
        {"asset": "ethusdt"},
        {"price": 1.25},
        {"timestamp": SECONDS + 0.000001},
        {"volume": 1},
        {"volume": 2},
        {"venue": "kraken"},
        {"side": "buy"},
        {"side": "sell"},
        {"sequence": 1},
        {"sequence": 2},
    ]
    hashes = {parsed(LEAST | other).id for other in others}
    assert len(hashes | {HASHED}) == len(others) + 1


def test_the_records_of_other_systems() -> None:
    """Ticks in ms without a volume, records with a volume, records with an ISO time: each is a trade as it is."""
    tick = parsed({"symbol": "BTCUSDT", "timestamp": 1_759_999_940_123, "price": 100.5})
    assert (tick.asset, tick.price, tick.volume, tick.timestamp) == (
        "btcusdt",
        Decimal("100.5"),
        None,
        SECONDS - 457e-6,
    )
    record = parsed({"symbol": "BTCUSDT", "price": 100.5, "volume": 3, "timestamp": 1_759_999_940})
    assert (record.volume, record.timestamp, record.venue) == (Decimal(3), 1_759_999_940.0, "ingest")
    iso = {
        "ticker": "BTCUSDT",
        "price": "100.5",
        "volume": "3",
        "timestamp": "2025-10-09T08:52:20.123457",
        "event_type": "trade",
        "sequence_number": 8,
    }
    assert (parsed(iso).timestamp, parsed(iso).sequence, parsed(iso).side) == (SECONDS, 8, None)


def test_protobuf_as_json() -> None:
    """The JSON form of a `MarketUpdate`, whose 64-bit integers are texts, is the same trade as its bytes."""
    (found,) = PARSER.protobuf(update(), "application/x-protobuf", NOW).trades
    names = (MessageToJson(_update()), MessageToJson(_update(), preserving_proto_field_name=True))
    assert [PARSER.one(text.encode(), NOW) for text in names] == [found, found]


def update(**fields: object) -> bytes:
    """Return a `MarketUpdate`."""
    return bytes(_update(**fields).SerializeToString())


def _update(**fields: object) -> MarketUpdate:
    sent: dict[str, object] = {"ticker": "BTCUSDT", "price": 1.5, "volume": 3, "timestamp_ns": MICROSECONDS * 1000}
    return MarketUpdate(**(sent | fields))  # type: ignore[arg-type]  # of the types that each test needs


def test_a_protobuf_update() -> None:
    """A `MarketUpdate` is the trade that the same record is as JSON, with the same id."""
    (found,) = PARSER.protobuf(update(), "application/x-protobuf", NOW).trades
    assert found == parsed({"ticker": "BTCUSDT", "price": 1.5, "volume": 3, "timestamp_ns": MICROSECONDS * 1000})


def test_a_protobuf_batch() -> None:
    """What is good in a batch is taken; what is not is rejected with its place, its bytes and its reason."""
    bad: list[dict[str, object]] = [
        {"price": float("nan")},
        {"price": float("inf")},
        {"price": -1.0},
        {"price": 5e-324},
        {"volume": -1},
        {"ticker": "nosuch"},
        {"timestamp_ns": -(2**63)},
        {"timestamp_ns": int((NOW + 6) * 1e9)},
    ]
    updates = [_update(), *(_update(**one) for one in bad), _update(volume=9)]
    body = MarketUpdates(updates=updates).SerializeToString()
    taken = PARSER.protobuf(body, "application/x-protobuf; messageType=marketdata.MarketUpdates", NOW)
    assert [one.volume for one in taken.trades] == [3, 9]
    assert [(one.index, one.code) for one in taken.rejected] == list(
        enumerate(["price", "price", "price", "price", "volume", "asset", "timestamp", "future"], 1)
    )
    assert taken.rejected[4].raw == update(**bad[4])


def test_protobuf_that_is_none() -> None:
    """Junk and a foreign message type are one malformed record; too many updates raise TooManyRecords."""
    for body, content_type in ((b"\x0b", ""), (update(), "application/x-protobuf; messageType=other.Quote")):
        taken = PARSER.protobuf(body, content_type, NOW)
        assert (taken.trades, [one.code for one in taken.rejected]) == ([], ["malformed"])
    with pytest.raises(TooManyRecords):
        PARSER.protobuf(MarketUpdates(updates=[_update()] * 1001).SerializeToString(), "", NOW)


LONGEST = [("id", MOST_ID), ("venue", MOST_VENUE)]


@pytest.mark.parametrize(("field", "length"), LONGEST)
def test_the_longest_names(field: str, length: int) -> None:
    """An id and a venue may have so many characters, of any script."""
    assert getattr(parsed(LEAST | {field: "ü" * length}), field) == "ü" * length


def test_the_largest_and_smallest_numbers() -> None:
    """Numbers just within the bounds are taken: 38 digits, 30 decimals, below 1e30."""
    for text in ("9" * 30, "99999999.123456789012345678901234567891", "1e-30", "1E+29"):
        found = PARSER.one(with_field("volume", text.encode()), NOW)
        assert found.volume == Decimal(text)
    assert parsed(LEAST | {"sequence": 2**63 - 1}).sequence == 2**63 - 1


@pytest.mark.parametrize("text", ["0E-20000", "-0e-40", "0E+999999999", f"0.{'0' * 50}"])
def test_a_zero_of_many_digits(text: str) -> None:
    """A volume of 0 is 0 whatever its exponent: PostgreSQL refuses one of 20,000 decimals, and all trades with it."""
    assert str(PARSER.one(with_field("volume", text.encode()), NOW).volume) == "0"


GOOD = json.dumps(LEAST).encode()


def test_lines_are_counted_without_empty_ones() -> None:
    """A rejected line has its index among the lines that are not empty, whatever their ends."""
    body = b"\n\r\n" + GOOD + b"\r\n \t\n{}\r\n" + GOOD + b"\n\nx\n" + GOOD + b"\n7"
    taken = PARSER.lines(body, NOW, first=100)
    assert [one.index for one in taken.rejected] == [101, 103, 105]
    assert [one.raw.strip() for one in taken.rejected] == [b"{}", b"x", b"7"]
    assert [one.id for one in taken.trades] == [HASHED] * 3


def test_lines_that_are_all_good() -> None:
    """Empty lines and the form of line ends make no difference there either."""
    assert [one.id for one in PARSER.lines(b"\r\n" + GOOD + b"\r\n\n" + GOOD, NOW).trades] == [HASHED] * 2
    assert PARSER.lines(b"\n\r\n \n", NOW) == Taken([], [])


def test_a_byte_order_mark_is_left_out() -> None:
    """Windows programs begin a file of UTF-8 with one; in the middle of a body it is no JSON."""
    mark = b"\xef\xbb\xbf"
    assert [one.id for one in PARSER.lines(mark + GOOD + b"\r\n" + GOOD, NOW).trades] == [HASHED] * 2
    assert [one.id for one in PARSER.document(mark + b"[" + GOOD + b"]", NOW).trades] == [HASHED]
    assert [one.id for one in PARSER.document(mark + GOOD, NOW).trades] == [HASHED]
    assert [one.code for one in PARSER.lines(mark + GOOD, NOW, first=7).rejected] == ["malformed"]


def test_an_array_with_bad_records() -> None:
    """The good ones are taken; the others are rejected with their place."""
    taken = PARSER.document(b" [" + GOOD + b", {}, 7, " + GOOD + b"]", NOW)
    assert len(taken.trades) == 2
    assert [(one.index, one.code) for one in taken.rejected] == [(1, "asset"), (2, "malformed")]


def test_an_array_that_is_none() -> None:
    """An array that is cut, or has a byte that is no JSON, is one malformed record, even where its start is good."""
    for body in (b"[" + GOOD, b"[" + GOOD + b",]", b"[" + GOOD + b"]]", b"[\xff]"):
        taken = PARSER.document(body, NOW)
        assert (taken.trades, [one.code for one in taken.rejected]) == ([], ["malformed"])
