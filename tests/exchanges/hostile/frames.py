"""Blocks of frames that a hostile venue sends over a WebSocket after a good handshake."""

import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from itertools import repeat

BLOCK = 1 << 18
_TEXT, _MORE, _CLOSE, _PING, _PONG = 1, 0, 8, 9, 10
_FIN, _PACKED = 0x80, 0x40


def frame(payload: bytes, kind: int = _TEXT, flags: int = _FIN) -> bytes:
    """Return one frame as a server sends it, without a mask."""
    size = len(payload)
    if size < 126:
        return bytes([flags | kind, size]) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", flags | kind, 126, size) + payload
    return struct.pack("!BBQ", flags | kind, 127, size) + payload


def _endless(*first: bytes, then: bytes) -> Callable[[], Iterator[bytes]]:
    whole = then * max(1, BLOCK // len(then))

    def send() -> Iterator[bytes]:
        yield from first
        yield from repeat(whole)

    return send


@cache
def _bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(b" " * (64 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
    return frame(packed.removesuffix(b"\x00\x00\xff\xff"), flags=_FIN | _PACKED)


_TICKER = b'{"symbol":"BTC/USDT","last":1,"volume":1,"timestamp":"2023-10-01T00:00:00Z"}'
_TICKERS = b'{"channel":"ticker","data":[' + (_TICKER + b",") * 800 + _TICKER + b"]}"
_TRADE = b'{"symbol":"BTC/USDT","side":"buy","price":1,"qty":1,"trade_id":1,"timestamp":"2023-10-01T00:00:00Z"}'
_NESTED = b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}"

ATTACKS: dict[str, Callable[[], Iterator[bytes]]] = {
    "giant-message": _endless(struct.pack("!BBQ", _FIN | _TEXT, 127, 1 << 40), then=b"x" * 1024),
    "giant-fragments": _endless(frame(b"x" * 1000, flags=0), then=frame(b"x" * 1000, _MORE, 0)),
    "one-byte-fragments": _endless(frame(b"x", flags=0), then=frame(b"x", _MORE, 0)),
    "empty-fragments": _endless(frame(b"", flags=0), then=frame(b"", _MORE, 0)),
    "pings": _endless(then=frame(b"", _PING)),
    "long-pings": _endless(then=frame(b"x" * 125, _PING)),
    "pongs": _endless(then=frame(b"", _PONG)),
    "empty-messages": _endless(then=frame(b"")),
    "tiny-messages": _endless(then=frame(b"{}")),
    "beats": _endless(then=frame(b'{"channel":"heartbeat"}')),
    "tickers": _endless(then=frame(b'{"channel":"ticker","data":[' + _TICKER + b"]}")),
    "long-messages": _endless(then=frame(b" " * 1_000_000)),
    "many-tickers": _endless(then=frame(_TICKERS)),
    "nested-message": _endless(then=frame(_NESTED)),
    "packed-bomb": lambda: repeat(_bomb()),
    "not-utf8": _endless(then=frame(b"\xff" * 60_000)),
    "binary": _endless(then=frame(b"x" * 1000, 2)),
    "closes": _endless(then=frame(struct.pack("!H", 1000) + b"x" * 100, _CLOSE)),
    "bad-close": _endless(then=frame(b"x", _CLOSE)),
    "long-refusal": _endless(
        then=frame(b'{"method":"subscribe","success":false,"symbol":"BTC/USDT","error":"' + b"x" * 900_000 + b'"}')
    ),
}


def _trades(row: bytes, count: int = 1) -> bytes:
    return frame(b'{"channel":"trade","data":[' + (row + b",") * (count - 1) + row + b"]}")


# Against the feed of trades, which takes larger messages, and keeps what it cannot read.
TRADE_ATTACKS: dict[str, Callable[[], Iterator[bytes]]] = {
    "trades": _endless(then=_trades(_TRADE)),
    "many-trades": _endless(then=_trades(_TRADE, 1999)),
    "too-many-rows": _endless(then=_trades(b"1", 120_000)),
    "bad-rows": _endless(then=_trades(b"{}", 1999)),
    "bad-trades": _endless(then=_trades(_TRADE.replace(b'"price":1', b'"price":-1'), 1999)),
    "digits-of-a-trade": _endless(then=_trades(_TRADE.replace(b'"price":1', b'"price":' + b"1" * 250_000))),
    "no-json": _endless(then=frame(b"x" * 250_000)),
}
ATTACKS_ON_TRADES = [*TRADE_ATTACKS, "giant-message", "one-byte-fragments", "pings", "tiny-messages", "packed-bomb"]
