"""Parsing of records that may be trades, from any sender; `validation.py` has the rules. Pure.

A record may have the field names of other systems: see `_Record`. Numbers may be JSON numbers or strings.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import NamedTuple, cast

import msgspec

from aggregator.models import FUTURE_TOLERANCE, Side, Trade
from aggregator.numerals import may_have_others, other_number
from aggregator.trades import protobuf
from aggregator.trades.market_pb2 import MarketUpdate
from aggregator.trades.rejection import REJECTION_CODES, Rejection
from aggregator.trades.usual_updates import usual_trades
from aggregator.trades.validation import (
    LEAST_TIME,
    MOST_ID,
    FindAsset,
    InvalidTrade,
    are_plain,
    checked_trade,
    hashed_id,
    seconds_of,
    side_of,
)

MOST_RAW = 4096  # bytes of a rejected record that are kept
INGEST = "ingest"  # the venue of a record that names none
_WHOLE = re.compile("[0-9]{1,19}")
_SEPARATOR = re.compile("[-/_]")  # between base and quote
_AMOUNTS = ("price", "volume", "size", "quantity", "qty", "amount")  # the fields that are decimals
_MOST_VENUES = 256  # spellings that a parser remembers


class Taken(NamedTuple):
    """The trades of some bytes, and the records that are none."""

    trades: list[Trade]
    rejected: list[Rejection]


class TooManyRecords(Exception):
    """A document or protobuf body has more records than `protobuf.MOST_UPDATES`; none of them was read."""


class _Record(msgspec.Struct, gc=False):
    """A trade as it is sent, by the first name that is there.

    symbol and ticker are the asset; size, quantity, qty and amount the volume; time the timestamp; exchange the venue;
    trade_id the id; sequence_number the sequence. Other fields, such as event_type, are ignored. Whole numbers may be
    texts, as protobuf's own JSON (with timestampNs) has them, or floats, as data frames have them.
    """

    asset: str | None = None
    symbol: str | None = None
    ticker: str | None = None
    price: Decimal | None = None
    volume: Decimal | None = None
    timestamp: int | float | str | None = None
    venue: str | None = None
    id: str | int | None = None
    side: str | None = None
    sequence: int | float | str | None = None
    sequence_number: int | float | str | None = None
    size: Decimal | None = None
    quantity: Decimal | None = None
    qty: Decimal | None = None
    amount: Decimal | None = None
    time: int | float | str | None = None
    timestamp_ns: int | float | str | None = None
    protobuf_ns: int | float | str | None = msgspec.field(default=None, name="timestampNs")
    exchange: str | None = None
    trade_id: str | int | None = None


class _Usual(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A trade in the form in which most are sent: by our names, with an id, a venue and a volume."""

    asset: str
    price: Decimal
    volume: Decimal
    timestamp: float
    venue: str
    id: str
    side: Side | None = None


_one = msgspec.json.Decoder(_Record)
_lines = msgspec.json.Decoder(_Record).decode_lines
_usual_lines = msgspec.json.Decoder(_Usual).decode_lines
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, InvalidOperation, OverflowError, RecursionError)


class Parser:
    """Makes trades of the bytes of one source; `find` returns a listed asset by its symbol in lower case."""

    def __init__(self, find: FindAsset, source: str = INGEST) -> None:
        self._find = find
        self._source = source
        self._venues: dict[str, str] = {}  # each name once, so that the trades of a venue share one string

    def lines(self, body: bytes, now: float, first: int = 0) -> Taken:
        """Return the trades of complete lines of JSON, and what is none; `first` is the index of the first line.

        Empty lines do not count. `now` is in unix seconds.
        """
        if not first:
            body = body.removeprefix(BOM_UTF8)
        if may_have_others(body):
            return self._each([line for line in body.split(b"\n") if line.strip()], now, first)
        trades = self._usual_trades(body, now)
        if trades is not None:
            return Taken(trades, [])
        try:
            records = _lines(body)
        except _NOT_JSON:
            return self._each([line for line in body.split(b"\n") if line.strip()], now, first)
        try:
            return Taken([self._trade(record, now) for record in records], [])
        except InvalidTrade:
            return self._each([line for line in body.split(b"\n") if line.strip()], now, first)

    def document(self, body: bytes, now: float) -> Taken:
        """Return the trades of a JSON object or array, and what is none. Raises TooManyRecords."""
        body = body.removeprefix(BOM_UTF8)
        try:
            raws = _raws.decode(body) if body.lstrip()[:1] == b"[" else [msgspec.Raw(body)]
        except _NOT_JSON as error:
            return Taken([], [self._rejection(0, InvalidTrade("malformed", f"no JSON: {error}"[:200]), body, now)])
        if len(raws) > protobuf.MOST_UPDATES:  # before they are read: 500,000 records would hold the event loop
            raise TooManyRecords
        return self._each(map(bytes, raws), now, 0)

    def protobuf(self, body: bytes, content_type: str, now: float) -> Taken:
        """Return the trades of a `MarketUpdate`, or of several in a `MarketUpdates`, and what is none.

        Raises TooManyRecords.
        """
        try:
            updates = protobuf.decode(body, protobuf.batch_of(content_type))
        except protobuf.TooManyUpdates as error:
            raise TooManyRecords from error
        except ValueError as error:
            return Taken([], [self._rejection(0, InvalidTrade("malformed", str(error)), body, now)])
        usual = usual_trades(updates, self._find, INGEST, now + FUTURE_TOLERANCE)
        if None not in usual:
            return Taken(cast("list[Trade]", usual), [])
        trades: list[Trade] = []
        rejected: list[Rejection] = []
        for index, (update, trade) in enumerate(zip(updates, usual, strict=True)):
            try:
                trades.append(trade or self._updated(update, now))
            except InvalidTrade as error:
                rejected.append(self._rejection(index, error, protobuf.raw_of(update), now))
        return Taken(trades, rejected)

    def one(self, raw: bytes, now: float) -> Trade:
        """Return the trade of a JSON object. Raises InvalidTrade."""
        try:
            record = _one.decode(raw)
            other = other_number(raw, _AMOUNTS) if may_have_others(raw) else None
        except msgspec.ValidationError as error:
            raise InvalidTrade(_code_of(str(error)), _reason_of(str(error))) from error
        except _NOT_JSON as error:
            raise InvalidTrade("malformed", f"the record is no JSON object: {error}"[:200]) from error
        if other is not None:
            raise InvalidTrade(_code_of(other), f"the {other} must be a number in digits 0 to 9, such as 1000")
        return self._trade(record, now)

    def single(self, raw: bytes, now: float) -> Trade:
        """As `one`, in less time for a trade in the usual form."""
        trades = self._usual_trades(raw, now)
        return trades[0] if trades is not None and len(trades) == 1 else self.one(raw, now)

    def _rejection(self, index: int, error: InvalidTrade, raw: bytes, now: float) -> Rejection:
        """Return the rejection of a record."""
        return Rejection(index, error.code, str(error), raw[:MOST_RAW], self._source, now)

    def _each(self, raws: Iterable[bytes], now: float, first: int) -> Taken:
        trades: list[Trade] = []
        rejected: list[Rejection] = []
        for index, raw in enumerate(raws, first):
            try:
                trades.append(self.one(raw, now))
            except InvalidTrade as error:
                rejected.append(self._rejection(index, error, raw, now))
        return Taken(trades, rejected)

    def _usual_trades(self, body: bytes, now: float) -> list[Trade] | None:
        """Return the trades of lines that have the usual fields and obviously valid values; None if any has others.

        Its tests are shortcuts that cost less than `_trade`, which has the rules for all records.
        """
        find, venues, latest = self._find, self._venues, now + FUTURE_TOLERANCE
        trades: list[Trade] = []
        try:
            for one in _usual_lines(body):
                asset, venue = find(one.asset), venues.get(one.venue)
                price, volume, trade_id = one.price, one.volume, one.id
                timestamp = int(one.timestamp * 1e6 + 0.5) / 1e6  # as in `seconds_of`
                if (
                    asset is None
                    or venue is None
                    or not are_plain(price, volume)
                    or one.timestamp < LEAST_TIME
                    or timestamp > latest
                    or not 0 < len(trade_id) <= MOST_ID
                    or not trade_id.isprintable()
                ):
                    return None
                trades.append(Trade(asset.symbol, price, volume, timestamp, venue, trade_id, one.side))
        except (*_NOT_JSON, ArithmeticError):
            return None
        return trades

    def _trade(self, record: _Record, now: float) -> Trade:
        """Return a record as a trade. Raises InvalidTrade."""
        name = record.asset or record.symbol or record.ticker
        if name is None:
            raise InvalidTrade("asset", "the record names no asset (asset, symbol or ticker)")
        if record.price is None:
            raise InvalidTrade("price", "the record has no price")
        volume = record.volume
        if volume is None:
            volume = _first(record.size, record.quantity, record.qty, record.amount)
        sent = record.timestamp
        if sent is None:
            sent = record.timestamp_ns if record.time is None else record.time
            sent = record.protobuf_ns if sent is None else sent
        venue = record.venue or record.exchange or INGEST
        trade_id = record.trade_id if record.id is None else record.id
        sequence = _whole(record.sequence_number if record.sequence is None else record.sequence)
        timestamp = seconds_of(sent)
        symbol = name.lower()
        if self._find(symbol) is None:
            symbol = _SEPARATOR.sub("", symbol, count=1)  # BTC-USDT, BTC/USDT, BTC_USDT
        if trade_id is None:
            trade_id = hashed_id(symbol, record.price, volume, timestamp, venue, record.side, sequence)
        side = None if record.side is None else side_of(record.side)
        trade = checked_trade(
            self._find, symbol, record.price, volume, timestamp, venue, str(trade_id), side, sequence, now
        )
        if len(self._venues) < _MOST_VENUES:
            self._venues.setdefault(venue, venue)
        return trade

    def _updated(self, update: MarketUpdate, now: float) -> Trade:
        """Return a protobuf update as a trade. Raises InvalidTrade."""
        symbol = update.ticker.lower()
        price, volume = Decimal(repr(update.price)), Decimal(update.volume)
        timestamp = protobuf.seconds_of(update.timestamp_ns)
        trade_id = hashed_id(symbol, price, volume, timestamp, INGEST, None, None)
        return checked_trade(self._find, symbol, price, volume, timestamp, INGEST, trade_id, None, None, now)


def _whole(sent: float | str | None) -> int | None:
    """Return a whole number that may have been sent as a text or as a float. Raises InvalidTrade."""
    if sent is None or isinstance(sent, int):
        return sent
    if isinstance(sent, float) and sent.is_integer():
        return int(sent)
    if isinstance(sent, str) and _WHOLE.fullmatch(sent):
        return int(sent)
    raise InvalidTrade("sequence", "the sequence must be a whole number of 0 or more, below 2^63")


def _first(*values: Decimal | None) -> Decimal | None:
    """Return the first value that is there."""
    for one in values:
        if one is not None:
            return one
    return None


def _reason_of(message: str) -> str:
    """Return the reason in words for a message of msgspec."""
    if message.startswith("Invalid decimal string"):
        return f"the {message.rpartition('$.')[2].rstrip('`')} must be a number"
    return message[:200]


def _code_of(message: str) -> str:
    """Return the rejection code of msgspec's message, which ends with the path of the field."""
    field = message.rpartition("$.")[2].strip("`")
    names = {"size": "volume", "quantity": "volume", "qty": "volume", "amount": "volume", "time": "timestamp"}
    names |= {"symbol": "asset", "ticker": "asset", "exchange": "venue", "trade_id": "id", "timestamp_ns": "timestamp"}
    names["timestampNs"] = "timestamp"
    code = names.get(field, field.removesuffix("_number"))
    return code if code in REJECTION_CODES else "malformed"
