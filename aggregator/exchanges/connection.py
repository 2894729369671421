"""Connections to venues, which are not trusted: counts what arrives and parses it in small pieces.

aiohttp parses all the bytes of a read in one go, and uvloop reads up to 32 times in one iteration of the event loop:
about 8 MiB. A megabyte of one-byte chunks or of interim answers then blocks the loop for a second or more. Here, a read
that is large or dense is held back, the connection is paused, and in each iteration one piece is parsed of all that is
held back on all connections. Small answers, nearly all answers, go to the parser at once.
"""

import asyncio
import os
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

MOST_BYTES = 24 << 20  # of an answer on the wire, with head and chunk headers; more than the largest body we read
MOST_HEAD = 64 << 10  # bytes of heads, including those of interim answers
MOST_HEADS = 8  # of interim answers, of the answer, and of answers to no request
_FREE_LINES, _BYTES_A_LINE = 4096, 8  # bounds the lines of an answer: a chunk has two, a header one

_PIECE = 16 << 10
_DENSE_PIECE = 1 << 10
_FRAMES_PIECE = 4 << 10  # of a WebSocket: about 2,000 frames at most
_MOST_LINES = 64  # in a piece; denser data is parsed in smaller pieces

_SWITCHING, _HEAD_ENDS = b"HTTP/1.1 101", b"\r\n\r\n"
ENCODINGS = "gzip, deflate"  # for Accept-Encoding
# Their decompressors need 16 and 128 MiB for each answer. A header goes on in lines that begin with a space or a tab.
_LARGE_WINDOWS = re.compile(rb"^content-encoding:(?:[^\n]|\n[ \t])*(?:br|zstd)", re.MULTILINE)
_REDIRECTS = range(300, 400)
_HELD: Any = object()


class TooMuch(aiohttp.ClientPayloadError):
    """The venue sends more bytes, lines or heads than an answer may have."""


class ParsingQueue:
    """A queue of connections that hold data back; the first one parses a piece in each iteration of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Connection] = deque()

    def wait(self, connection: "Connection") -> None:
        """Put the connection at the end of the queue."""
        if not self._waiting:
            self._loop.call_soon(self._next)
        self._waiting.append(connection)

    def _next(self) -> None:
        connection = self._waiting.popleft()
        if self._waiting:
            self._loop.call_soon(self._next)
        connection.parse_piece()


class Connection(ResponseHandler):
    """aiohttp's protocol with bounds on what is parsed of one answer, and in one iteration of the event loop.

    The bounds of an answer end with the handshake of a WebSocket; the bound of an iteration holds for its frames too.
    """

    def __init__(self, queue: ParsingQueue, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._queue = queue
        self._held = bytearray()
        self._is_waiting = False  # in the queue
        self._is_full = False  # aiohttp wants no more data until its parsed data is read
        self._lost: Any = _HELD  # why the connection ended while data was held back
        self._refused = False
        self._is_older = False  # whether aiohttp itself hands in data, which is older than what is held here
        self._begin()

    def _begin(self) -> None:
        self._bytes = self._lines = self._heads = 0
        self._has_head = False  # of the answer, not of an interim one
        self._begun = b""  # the head so far

    def set_response_params(self, **params: Any) -> None:
        """Restart the counts with each request."""
        self._begin()
        with self._in_order():
            super().set_response_params(**params)

    def set_parser(self, *parsers: Any, **more: Any) -> None:
        """Parse the frames that came together with the head of the handshake."""
        with self._in_order():
            super().set_parser(*parsers, **more)
        if self._held:
            self._wait()

    @contextmanager
    def _in_order(self) -> Iterator[None]:
        """Let aiohttp parse at once the data that it has kept itself: it is older than what is held here."""
        before, self._is_older = self._is_older, True
        try:
            yield
        finally:
            self._is_older = before

    @property
    def should_close(self) -> bool:
        """Whether the connection cannot be used for another request."""
        return bool(self._held) or super().should_close

    def data_received(self, data: bytes) -> None:
        """Parse the data, or hold it back and pause reading until it is parsed."""
        if self._refused:
            return
        if not data or self._is_older:
            super().data_received(data)
            return
        if self._held or len(data) > self._most_at_once(data):
            self._held += data
            self._wait()
        else:
            self._parse(data)

    def _most_at_once(self, data: bytes | bytearray) -> int:
        """Return how many bytes from the beginning of `data` may be parsed in one iteration."""
        if self.upgraded:
            return _FRAMES_PIECE
        if not self._has_head and data.startswith(_SWITCHING):  # frames may follow
            return data.find(_HEAD_ENDS) + len(_HEAD_ENDS)
        return _DENSE_PIECE if data.count(b"\n", 0, _PIECE) > _MOST_LINES else _PIECE

    def parse_piece(self) -> None:
        """Parse the next piece of the data held back, and resume reading when nothing is left."""
        self._is_waiting = False
        if self._is_full or not self._held or (self.upgraded and self._payload_parser is None):
            return  # continued by `resume_reading` or `set_parser`
        size = self._most_at_once(self._held)
        piece = bytes(self._held[:size])
        del self._held[:size]
        self._parse(piece)
        self._continue()

    def _continue(self) -> None:
        if self._held:
            self._wait()
        elif self._lost is not _HELD:
            self._end()
        elif not self._is_full and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def _wait(self) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()
        if not self._is_waiting and not self._is_full:
            self._is_waiting = True
            self._queue.wait(self)

    def _parse(self, piece: bytes) -> None:
        if not self.upgraded:
            self._bytes += len(piece)
            self._lines += piece.count(b"\n")
            if self._bytes > MOST_BYTES:
                self._refuse(f"more than {MOST_BYTES} bytes")
            elif not self._has_head and self._has_large_window(piece):
                self._refuse("compressed with br or zstd, which was not asked for")
            elif self._lines > _FREE_LINES + self._bytes // _BYTES_A_LINE:
                self._refuse("too many chunks or lines")
        if not self._refused:
            self._is_older = True  # aiohttp hands the bytes behind the head of a handshake in again
            super().data_received(piece)
            self._is_older = False
        if self._heads > MOST_HEADS:
            self._refuse("too many heads")
        elif not self._has_head and self._bytes > MOST_HEAD:
            self._refuse(f"a head of more than {MOST_HEAD} bytes")

    def _has_large_window(self, piece: bytes) -> bool:
        """Whether the head names such an encoding; aiohttp decompresses the first bytes before it shows the head."""
        self._begun += piece.lower()
        return b"content-encoding" in self._begun and _LARGE_WINDOWS.search(self._begun) is not None

    def feed_data(self, data: Any, size: int = 0) -> None:
        """Count a head that aiohttp has parsed, of an interim answer or of the answer."""
        self._heads += 1
        status = data[0].code
        self._has_head = self._has_head or status >= 200 or status == 101  # noqa: PLR2004  # switching protocols
        super().feed_data(data, size)

    def pause_reading(self) -> None:
        """Record that aiohttp wants no more data for now."""
        self._is_full = True
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002  # aiohttp's signature
        """Record that aiohttp wants more data; data held back comes before new data."""
        self._is_full = False
        super().resume_reading(resume_parser)
        if self._held:
            self._wait()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the connection after the data held back has been parsed."""
        if self._held:
            self._lost = exc
            self._wait()
        else:
            super().connection_lost(exc)

    def close(self) -> None:
        """Drop the data held back, and close."""
        self._drop()
        super().close()

    def abort(self) -> None:
        """Drop the data held back, and close at once."""
        self._drop()
        super().abort()

    def _drop(self) -> None:
        self._held.clear()
        if self._lost is not _HELD:
            self._end()

    def _end(self) -> None:
        lost, self._lost = self._lost, _HELD
        super().connection_lost(lost)

    def _refuse(self, why: str) -> None:
        """Fail the request that waits for the answer, and close the connection."""
        error, payload, transport = TooMuch(why), self._payload, self.transport
        self._refused = True
        self.set_exception(error)
        if payload is not None and payload.exception() is None:
            payload.set_exception(error)
        self._parser = self._payload = None  # else aiohttp would replace the error
        self._drop()
        if transport is not None:
            transport.abort()


def connector(**options: Any) -> aiohttp.TCPConnector:
    """Return a connector whose connections have these bounds; DNS answers are kept for five minutes.

    `options` are further arguments of aiohttp's connector.
    """
    made = aiohttp.TCPConnector(**{"limit": 0, "ttl_dns_cache": 300} | options)
    loop = asyncio.get_running_loop()
    # Both ignores: aiohttp has no argument for this. tests/exchanges/hostile fails if a new version breaks it.
    made._factory = partial(Connection, ParsingQueue(loop), loop)  # type: ignore[assignment]  # noqa: SLF001
    return made


async def refuse_redirect(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Refuse redirects: a venue must not choose other hosts for this process to connect to."""
    response = await handler(request)
    if response.status in _REDIRECTS:
        response.close()
        raise aiohttp.WSServerHandshakeError(response.request_info, (), status=response.status)
    return response


def why_unreachable(error: Exception) -> str:
    """Return "connection refused" and the like, the words of the system or of TLS for an error; else its class."""
    if isinstance(error, aiohttp.ClientSSLError):  # its number is one of OpenSSL's, not of the system's
        cause = error.__cause__
        return f"TLS: {getattr(cause, 'verify_message', '') or getattr(cause, 'reason', '') or type(error).__name__}"
    number = getattr(error, "errno", None)
    return os.strerror(number).lower() if isinstance(number, int) and number > 0 else type(error).__name__
