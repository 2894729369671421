"""Parsing and validation of records that may be trades, from any sender. Pure.

A record may have the field names of other systems: see `_Record`. Numbers may be JSON numbers or strings.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from aggregator.models import FUTURE_TOLERANCE, Asset, Side, Trade
from aggregator.trades import protobuf
from aggregator.trades.rejection import Rejection

FindAsset = Callable[[str], Asset | None]

MOST_DIGITS = 38  # significant digits of a price or volume: what DynamoDB and Parquet keep
MOST_EXPONENT = 30  # decimals, and digits before the point
MOST_ID = 128  # characters
MOST_VENUE = 32
MOST_RAW = 4096  # bytes of a rejected record that are kept
INGEST = "ingest"  # the venue of a record that names none
_LEAST_TIME, _MOST_TIME = 1e9, 1e11  # seconds between which a number is taken for seconds
_SEPARATOR = re.compile("[-/_]")  # between base and quote
_UNITS = (1.0, 1e3, 1e6, 1e9)  # of numbers for time in a second
_SIDES = {"buy": Side.BUY, "b": Side.BUY, "bid": Side.BUY, "sell": Side.SELL, "s": Side.SELL, "ask": Side.SELL}
_LARGEST_SEQUENCE = 2**63 - 1
_TOO_LARGE = Decimal(10) ** MOST_EXPONENT
_PLAIN, _PLAIN_LENGTH = Decimal("1e-4"), 24  # a number that is no smaller and no longer has few decimals and digits


class Taken(NamedTuple):
    """The trades of some bytes, and the records that are none."""

    trades: list[Trade]
    rejected: list[Rejection]


class TooManyRecords(Exception):
    """A document or protobuf body has more records than `protobuf.MOST_UPDATES`; none of them was read."""


class InvalidTrade(ValueError):
    """A record that is no trade. `code` is one of `ports.REJECTION_CODES`; the message is the reason in words."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _Record(msgspec.Struct, gc=False):
    """A trade as it is sent, by the first name that is there.

    symbol and ticker are the asset; size, quantity, qty and amount the volume; time the timestamp; exchange the venue;
    trade_id the id; sequence_number the sequence. Other fields, such as event_type, are ignored.
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
    sequence: int | None = None
    sequence_number: int | None = None
    size: Decimal | None = None
    quantity: Decimal | None = None
    qty: Decimal | None = None
    amount: Decimal | None = None
    time: int | float | str | None = None
    timestamp_ns: int | None = None
    exchange: str | None = None
    trade_id: str | int | None = None


_one = msgspec.json.Decoder(_Record)
_lines = msgspec.json.Decoder(_Record).decode_lines
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, InvalidOperation, OverflowError, RecursionError)


class Parser:
    """Makes trades of the bytes of one source; `find` returns a listed asset by its symbol in lower case."""

    def __init__(self, find: FindAsset, source: str = INGEST) -> None:
        self._find = find
        self._source = source

    def lines(self, body: bytes, now: float, first: int = 0) -> Taken:
        """Return the trades of complete lines of JSON, and what is none; `first` is the index of the first line.

        Empty lines do not count. `now` is in unix seconds.
        """
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
            records = protobuf.decode(body, protobuf.batch_of(content_type))
        except protobuf.TooManyUpdates as error:
            raise TooManyRecords from error
        except ValueError as error:
            return Taken([], [self._rejection(0, InvalidTrade("malformed", str(error)), body, now)])
        taken = Taken([], [])
        for index, record in enumerate(records):
            symbol, (price, volume) = record.symbol.lower(), (record.price, record.volume)
            hashed = hashed_id(symbol, price, volume, record.timestamp, INGEST, None, None)
            try:
                trade = checked_trade(
                    self._find, symbol, price, volume, record.timestamp, INGEST, hashed, None, None, now
                )
            except InvalidTrade as error:
                taken.rejected.append(self._rejection(index, error, record.raw, now))
            else:
                taken.trades.append(trade)
        return taken

    def one(self, raw: bytes, now: float) -> Trade:
        """Return the trade of a JSON object. Raises InvalidTrade."""
        try:
            record = _one.decode(raw)
        except msgspec.ValidationError as error:
            raise InvalidTrade(_code_of(str(error)), str(error)[:200]) from error
        except _NOT_JSON as error:
            raise InvalidTrade("malformed", f"the record is no JSON object: {error}"[:200]) from error
        return self._trade(record, now)

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

    def _trade(self, record: _Record, now: float) -> Trade:
        """Return a record as a trade. Raises InvalidTrade."""
        asset = record.asset or record.symbol or record.ticker
        if asset is None:
            raise InvalidTrade("asset", "the record names no asset (asset, symbol or ticker)")
        if record.price is None:
            raise InvalidTrade("price", "the record has no price")
        volume = record.volume
        if volume is None:
            volume = next(
                (one for one in (record.size, record.quantity, record.qty, record.amount) if one is not None), None
            )
        sent = record.timestamp
        if sent is None:
            sent = record.time if record.time is not None else record.timestamp_ns
        venue = record.venue or record.exchange or INGEST
        trade_id = record.id if record.id is not None else record.trade_id
        sequence = record.sequence if record.sequence is not None else record.sequence_number
        timestamp = seconds_of(sent)
        symbol = asset.lower()
        if self._find(symbol) is None:
            symbol = _SEPARATOR.sub("", symbol, count=1)  # BTC-USDT, BTC/USDT, BTC_USDT
        if trade_id is None:
            trade_id = hashed_id(symbol, record.price, volume, timestamp, venue, record.side, sequence)
        side = None if record.side is None else side_of(record.side)
        return checked_trade(
            self._find, symbol, record.price, volume, timestamp, venue, str(trade_id), side, sequence, now
        )


def checked_trade(
    find: FindAsset,
    symbol: str,
    price: Decimal,
    volume: Decimal | None,
    timestamp: float,
    venue: str,
    id: str,  # noqa: A002  # the name of the field
    side: Side | None,
    sequence: int | None,
    now: float,
) -> Trade:
    """Return a valid trade; `symbol` is the asset's in lower case, `timestamp` and `now` are unix seconds.

    Raises InvalidTrade.
    """
    if find(symbol) is None:
        raise InvalidTrade("asset", f"the asset {symbol[:40]!r} is not listed")
    if not (price.is_finite() and 0 < price < _TOO_LARGE and _is_bounded(price)):
        raise InvalidTrade("price", "the price must be a positive number of at most 38 digits, 30 of them decimals")
    if volume is not None and not (volume.is_finite() and 0 <= volume < _TOO_LARGE and _is_bounded(volume)):
        raise InvalidTrade("volume", "the volume must be 0 or more, of at most 38 digits, 30 of them decimals")
    if not _LEAST_TIME <= timestamp <= now + FUTURE_TOLERANCE:
        if timestamp > now:
            raise InvalidTrade("future", f"the timestamp is more than {FUTURE_TOLERANCE:g} s ahead of our clock")
        raise InvalidTrade("timestamp", "the timestamp must be a time after September 2001")
    if not 0 < len(id) <= MOST_ID or not id.isprintable():
        raise InvalidTrade("id", f"the id must have 1 to {MOST_ID} printable characters")
    if not 0 < len(venue) <= MOST_VENUE or not venue.isprintable():
        raise InvalidTrade("venue", f"the venue must have 1 to {MOST_VENUE} printable characters")
    if sequence is not None and not 0 <= sequence <= _LARGEST_SEQUENCE:
        raise InvalidTrade("sequence", "the sequence must be a whole number of 0 or more, below 2^63")
    return Trade(symbol, price, volume, timestamp, venue, id, side, sequence)


def seconds_of(sent: float | str | None) -> float:
    """Return unix seconds, to the microsecond, of RFC 3339 or a number of s, ms, us or ns. Raises InvalidTrade."""
    if sent.__class__ is float and _LEAST_TIME <= sent < _MOST_TIME:
        return int(sent * 1e6 + 0.5) / 1e6  # a third of the time of round()
    if sent is None:
        raise InvalidTrade("timestamp", "the record has no timestamp")
    if isinstance(sent, str):
        try:
            sent = float(sent) if sent[:1].isdigit() and "-" not in sent and ":" not in sent else _moment(sent)
        except ValueError as error:
            raise InvalidTrade("timestamp", "the timestamp is neither RFC 3339 nor a number") from error
    for unit in _UNITS:
        if _LEAST_TIME * unit <= sent < _MOST_TIME * unit:
            return int(sent * (1e6 / unit) + 0.5) / 1e6
    raise InvalidTrade("timestamp", "the timestamp must be seconds, ms, us or ns since 1970, after September 2001")


def side_of(text: str) -> Side:
    """Return the taker's side. Raises InvalidTrade."""
    side = _SIDES.get(text.lower())
    if side is None:
        raise InvalidTrade("side", "the side must be buy or sell")
    return side


def hashed_id(*fields: object) -> str:
    """Return the id of a trade that came without one: the same for the same fields, in every process."""
    return blake2b("\x1f".join(map(str, fields)).encode(), digest_size=12).hexdigest()


def _is_bounded(number: Decimal) -> bool:
    """Whether a number below 10**30 has at most MOST_DIGITS digits, and at most MOST_EXPONENT decimals."""
    if not number or (number >= _PLAIN and len(str(number)) <= _PLAIN_LENGTH):
        return True
    _, digits, exponent = number.as_tuple()
    return len(digits) <= MOST_DIGITS and isinstance(exponent, int) and exponent >= -MOST_EXPONENT


def _moment(text: str) -> float:
    """Return the unix seconds of RFC 3339; a time without a zone is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text.upper())  # RFC 3339 allows t and z
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _code_of(message: str) -> str:
    """Return the rejection code of msgspec's message, which ends with the path of the field."""
    field = message.rpartition("$.")[2].strip("`")
    names = {"size": "volume", "quantity": "volume", "qty": "volume", "amount": "volume", "time": "timestamp"}
    names |= {"symbol": "asset", "ticker": "asset", "exchange": "venue", "trade_id": "id", "timestamp_ns": "timestamp"}
    code = names.get(field, field.removesuffix("_number"))
    return code if code in ("asset", "price", "volume", "timestamp", "venue", "id", "side", "sequence") else "malformed"
