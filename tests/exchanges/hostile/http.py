"""Answers of a hostile venue to an HTTP request: an attack is a sequence of blocks of bytes."""

import gzip
import time
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from itertools import repeat
from threading import Lock

Blocks = Iterator[bytes]
Attack = Callable[[], Blocks]

BLOCK = 1 << 18
_MIB = 1 << 20
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_making = Lock()
TICKER = b'{"symbol":"btcusdt","price":79850.12,"volume":1234.5,"timestamp":1696118400.123}'


def answer(body: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    """Return an ordinary answer with this body."""
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, headers, len(body), body)


def _one(body: bytes | Callable[[], bytes], status: bytes = b"200 OK", headers: bytes = b"") -> Attack:
    """Return an attack that is one answer; `body` may be a function, called once, where the body takes long to make."""
    made = cache(lambda: answer(body if isinstance(body, bytes) else body(), status, headers))

    def send() -> Blocks:
        with _making:
            whole = made()
        yield whole

    return send


def _endless(head: bytes, block: bytes) -> Attack:
    """Return an attack that sends a head and then the block without end, in large writes."""
    whole = block * max(1, BLOCK // len(block))

    def send() -> Blocks:
        yield head
        yield from repeat(whole)

    return send


def _drip(head: bytes, block: bytes) -> Attack:
    """Return an attack that sends a block every few milliseconds without end."""

    def send() -> Blocks:
        yield head
        while True:
            yield block
            time.sleep(0.005)

    return send


def _bomb(encoding: bytes, packed: Callable[[], bytes]) -> Attack:
    return _one(packed, headers=b"Content-Encoding: " + encoding + b"\r\n")


def _raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(body) + packer.flush()


def _brotli(body: bytes) -> bytes:
    packed = import_module("brotli").compress(body, quality=3)
    assert isinstance(packed, bytes)
    return packed


def _listing(entries: int, filler: int = 0) -> bytes:
    """Return Binance's listing of so many markets, each with as many filters as make about `filler` bytes."""
    filters = b",".join([b'{"filterType":"LOT_SIZE","minQty":"0.00001000"}'] * (filler // 48))
    market = '{"symbol":"C%dUSDT","status":"TRADING","baseAsset":"C%d","quoteAsset":"USDT","filters":['
    listed = [(market % (number, number)).encode() + filters + b"]}" for number in range(entries)]
    return b'{"rateLimits":[{"limit":6000}],"symbols":[' + b",".join(listed) + b"]}"


_NESTED = b'{"x":' + b"[" * 3000 + b"]" * 3000 + b',"symbol":"btcusdt","price":1,"volume":1,"timestamp":1}'
_LONG = b"1" * 900_000
_TRADE = b'{"id":"1","symbol":"btcusdt","price":1,"volume":1,"side":"buy","timestamp":1696118400.123}'

ATTACKS: dict[str, Attack] = {
    "well": _one(TICKER),
    "chunk-extension": _endless(_CHUNKED + b"1;", b"a" * 64),
    "chunk-extensions": _endless(_CHUNKED, b"1;a=b;c=d\r\nx\r\n"),
    "one-byte-chunks": _endless(_CHUNKED, b"1\r\nx\r\n"),
    "one-byte-packets": _drip(_CHUNKED, b"1\r\nx\r\n"),
    "trailers": _endless(_CHUNKED + b"0\r\n", b"a: b\r\n"),
    "interim": _endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "interim-headers": _endless(b"", b"HTTP/1.1 103 Early Hints\r\n" + b"a: b\r\n" * 100 + b"\r\n"),
    "pipelined": _endless(answer(TICKER), b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "headers": _endless(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
    "header": _endless(b"HTTP/1.1 200 OK\r\na: ", b"b" * 64),
    "reason": _endless(b"HTTP/1.1 200 ", b"b" * 64),
    "cookies": _one(TICKER, headers=b"".join(b"Set-Cookie: a%d=b;%b\r\n" % (n, b"x=y;" * 1900) for n in range(100))),
    "dates": _one(b"", b"429 Too Many", b"Retry-After: %b\r\nDate: %b\r\n" % (b"9" * 8000, b"Mon, " * 1600)),
    "drip-head": _drip(b"HTTP/1.1 200 OK\r\na: ", b"b"),
    "drip-body": _drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b" "),
    "to-the-end": _endless(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" " * 1024),
    "lines": _one(b"\n" * 2_000_000),
    "refusal": _one(lambda: b"x" * (4 * _MIB), b"503 Busy"),
    "not-http": _endless(b"", b"\n"),
    "noise": _endless(b"", b"SSH-2.0\r\n"),
    "redirect": _one(b"", b"302 Found", b"Location: /well/elsewhere\r\n"),
    "gzip": _bomb(b"gzip", lambda: gzip.compress(b" " * (64 * _MIB), 5)),
    "gzip-members": _bomb(b"gzip", lambda: gzip.compress(b"") * 200_000),
    "deflate": _bomb(b"deflate", lambda: zlib.compress(b" " * (64 * _MIB))),
    "raw-deflate": _bomb(b"deflate", lambda: _raw_deflate(b" " * (64 * _MIB))),
    "brotli": _bomb(b"br", lambda: _brotli(b" " * (64 * _MIB))),
    "brotli-folded": _bomb(b"\r\n br", lambda: _brotli(b" " * (64 * _MIB))),
    "nested": _one(_NESTED),
    "digits": _one(b'{"symbol":"btcusdt","price":' + _LONG + b',"volume":1,"timestamp":1}'),
    "exponent": _one(b'{"symbol":"btcusdt","price":1e999999999,"volume":1e-999999999,"timestamp":1}'),
    "long-time": _one(b'{"symbol":"BTCUSDT","lastPrice":"1","volume":"1","closeTime":' + _LONG + b"}"),
    "wrong-symbol": _one(b'{"symbol":"' + b"x" * 900_000 + b'","price":1,"volume":1,"timestamp":1}'),
    "all-bad": _one(b'{"tickers":[' + b'{"symbol":"a"},' * 69_000 + b'{"symbol":"a"}]}'),
    "all-the-same": _one(b'{"tickers":[' + (TICKER + b",") * 12_000 + TICKER + b"]}"),
    "all-numbers": _one(b'{"tickers":[' + b"1," * 500_000 + b"1]}"),
    "bad-symbols": _one(b"[" + b'{"symbol":"a"},' * 69_000 + b'{"symbol":"a"}]'),
    "error-text": _one(b'{"error":["EQuery:Unknown asset pair\\n' + b"x" * 900_000 + b'"],"result":{}}'),
    "error-texts": _one(b'{"error":[' + b'"a",' * 250_000 + b'"a"],"result":{}}'),
    "said": _one(b'{"code":-1121,"msg":"' + b"x" * 900_000 + b'"}', b"400 Bad Request"),
    "recent-rows": _one(b'{"trades":[' + b"1," * 250_000 + b"1]}"),
    "recent-bad-rows": _one(b'{"trades":[' + b"{}," * 1998 + b"{}]}"),
    "recent-digits": _one(b'{"trades":[' + _TRADE.replace(b'"price":1', b'"price":' + b"1" * 500_000) + b"]}"),
    "recent-trades": _one(b'{"trades":[' + (_TRADE + b",") * 1998 + _TRADE + b"]}"),
    "listing": _one(lambda: _listing(720_000)),
    "listing-15": _one(lambda: _listing(160_000)),
    "listing-well": _one(lambda: _listing(5000, 2900)),
    "listing-text": _one(lambda: b'{"symbols":[{"symbol":"\xf0\x9f\x98\x80' + b"a" * (15 * _MIB) + b'"}]}'),
    "listing-deep": _one(lambda: b'{"symbols":[{"symbol":' + b"[" * (15 * _MIB)),
    "listing-brackets": _one(lambda: b'{"symbols":[{"x":[' + b"[]," * (5 * _MIB) + b"[]]}]}"),
    "listing-before": _one(lambda: b'{"x":[' + b"1," * (7 * _MIB) + b'1],"symbols":[]}'),
    "listing-fields": _one(lambda: b'{"symbols":[{' + b'"symbol":"ab",' * _MIB + b'"symbol":"ab"}]}'),
    "listing-quotes": _one(lambda: b'{"symbols":[{"symbol":"' + b'\\"' * (7 * _MIB) + b'"}]}'),
    "listing-gzip": _bomb(b"gzip", lambda: gzip.compress(_listing(720_000), 1)),
    "listing-errors": _one(lambda: b'{"error":[' + b'"a",' * (3 * _MIB) + b'"a"],"result":{}}'),
}
