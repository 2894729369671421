"""Functions with which venues' dialects read answers and frames, and write the venue's names of pairs. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, TypeVar
from urllib.parse import quote

import msgspec

from aggregator.errors import ExchangeError, ExchangeHttpError, NotListed, Undecodable
from aggregator.exchanges.dialect import Execution, Executions, Unreadable
from aggregator.models import Asset, Side, Ticker

T = TypeVar("T")
K = TypeVar("K")

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Milliseconds = Annotated[int, msgspec.Meta(ge=0, le=10**15)]  # unix time
MillisecondsText = Annotated[str, msgspec.Meta(pattern="^[0-9]{1,15}$")]
TradeId = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]

MOST_ROWS = 2000  # trades in a frame or an answer: twice as many as a venue sends

_TAG = re.compile(r"<[^>]*>")
_UNSIGNED = re.compile(r"\d{1,15}", re.ASCII)


class _Symbol(msgspec.Struct):
    symbol: str


_symbol = msgspec.json.Decoder(_Symbol)


def decode(decoder: msgspec.json.Decoder[T], data: bytes | str | msgspec.Raw) -> T:
    """Return the decoded JSON. Raises Undecodable, also for JSON that is nested too deep for the decoder."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Undecodable(str(error)) from error


def decodable(decoder: msgspec.json.Decoder[T], rows: list[msgspec.Raw]) -> Iterator[T]:
    """Yield the rows that can be decoded: of thousands of markets, a few have no price."""
    for row in rows:
        try:
            yield decode(decoder, row)
        except Undecodable:
            continue


def attempt(read: Callable[[], T]) -> T | Undecodable:
    """Return the result of `read`, or its Undecodable, without the traceback, which would keep the answer in memory."""
    try:
        return read()
    except Undecodable as error:
        return Undecodable(str(error))


def at_most(tickers: list[T], asked: int) -> list[T]:
    """Return `tickers`. Raises Undecodable if there are more than the `asked` ones."""
    if len(tickers) > asked:
        raise Undecodable(f"{len(tickers)} tickers instead of {asked}")
    return tickers


def by_symbol(
    rows: list[msgspec.Raw], asked: int, read: Callable[[msgspec.Raw], Ticker]
) -> dict[str, Ticker | Undecodable]:
    """Return each row's ticker by the row's field `symbol`; a row that cannot be read spoils only its own ticker."""
    return {decode(_symbol, row).symbol: attempt(partial(read, row)) for row in at_most(rows, asked)}


def executions(decoder: msgspec.json.Decoder[T], rows: list[msgspec.Raw], read: Callable[[T], Execution]) -> Executions:
    """Return the execution that `read` makes of each decoded row; a row that cannot be read spoils only itself.

    Raises Undecodable for more than MOST_ROWS rows.
    """
    if len(rows) > MOST_ROWS:
        raise Undecodable(f"{len(rows)} trades at once")
    found: list[Execution | Unreadable] = []
    for row in rows:
        try:
            found.append(read(decode(decoder, row)))
        except Undecodable as error:
            found.append(Unreadable(bytes(row), str(error)))
    return found


def check_pair(found: str, expected: str) -> None:
    """Raise Undecodable where a record is of another pair than the one that it was sent for."""
    if found != expected:
        raise Undecodable(f"a trade of {found[:32]!r} instead of {expected[:32]!r}")


def opposite(side: Side) -> Side:
    """Return the taker's side of a trade from the maker's."""
    return Side.SELL if side is Side.BUY else Side.BUY


def unix_seconds(time: datetime) -> float:
    """Return the time in unix seconds. Raises Undecodable if the text had no time zone."""
    if time.tzinfo is None:
        raise Undecodable("a time without its zone")
    return time.timestamp()


def excerpt(body: bytes) -> str:
    """Return the beginning of a body that is not JSON, without tags and on one line, for an error's detail."""
    return " ".join(_TAG.sub(" ", body[:2000].decode(errors="replace")).split())[:200]


def reported(kinds: Mapping[K, type[ExchangeError]], code: K, text: str) -> ExchangeError:
    """Return the error that the venue's `code` stands for: ExchangeHttpError for a code that is not in `kinds`."""
    return kinds.get(code, ExchangeHttpError)(text)


def unsigned(text: str) -> int | None:
    """Return the value of a header that is a number without sign; None for any other text."""
    return int(text) if _UNSIGNED.fullmatch(text) else None


def in_path(name: str) -> str:
    """Percent-encode a venue's name of a pair: the name comes from the venue and must not change the request."""
    return quote(name, safe="")


def joined(asset: Asset, separator: str) -> str:
    """Return a name such as BTC-USD. Raises NotListed where base and quote are not known."""
    if not asset.base or not asset.quote:
        raise NotListed("the symbols file does not say which is base and which quote")
    return f"{asset.base}{separator}{asset.quote}".upper()


def joined_or_empty(asset: Asset, separator: str) -> str:
    """Return a name such as BTC/USD; empty where base and quote are not known."""
    return joined(asset, separator) if asset.base and asset.quote else ""


def message(fields: Mapping[str, object]) -> str:
    """Return the text of a WebSocket message."""
    return msgspec.json.encode(fields).decode()
