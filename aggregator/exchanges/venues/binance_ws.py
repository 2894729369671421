"""Binance spot pushes `<symbol>@ticker` about once a second, wrapped by the combined stream.

Texts for numbers, milliseconds for times; `v` is in base units (`q` is the other one). There are no sequence numbers:
each ticker is whole, and its event time `E` tells which of two is the newer. A pair that is not traded is accepted and
never heard of. A connection ends after 24 hours; we may send five messages a second. Before a server is shut down, it
says `{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":…}}` and wants a new connection to be opened at once.
See developers.binance.com/docs/binance-spot-api-docs/web-socket-streams (Server Shutdown)
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from aggregator.errors import Undecodable
from aggregator.exchanges.push.dialect import News, Pushed, Shutdown, decoded
from aggregator.models import Asset

_SUFFIX = "@ticker"
_SHUTDOWN = "serverShutdown"


class _Ticker(msgspec.Struct):
    E: int
    s: str
    c: Decimal
    v: Decimal


class _Frame(msgspec.Struct):
    stream: str = ""
    data: _Ticker | None = None
    id: int | None = None
    code: int | None = None
    msg: str = ""
    error: Any = None


class _Event(msgspec.Struct, frozen=True):
    e: str = ""


class _Announcement(msgspec.Struct):
    """Wrapped by the combined stream, or raw."""

    data: _Event = _Event()
    e: str = ""


_decoder = msgspec.json.Decoder(_Frame)
_announcement = msgspec.json.Decoder(_Announcement)


class BinancePush:
    """The push dialect."""

    public_url = "wss://stream.binance.com:9443"
    path = "/stream"
    most_symbols = 1024
    most_together = 50
    pause = 0.5

    def spell(self, asset: Asset) -> str:
        """Return the symbol, which streams have in lower case."""
        return asset.symbol

    def subscribe(self, names: Sequence[str]) -> str:
        """Return SUBSCRIBE."""
        return _request("SUBSCRIBE", names)

    def unsubscribe(self, names: Sequence[str]) -> str:
        """Return UNSUBSCRIBE."""
        return _request("UNSUBSCRIBE", names)

    def read(self, frame: str) -> Sequence[News | Shutdown]:
        """Read `{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":…,"s":"BTCUSDT","c":"…","v":"…",…}}`."""
        if _SHUTDOWN in frame and _is_shutdown(frame):
            return (Shutdown(),)
        said = decoded(_decoder, frame)
        if said.data is None:
            if said.id is None or said.code is not None or said.error is not None:
                raise Undecodable(said.msg or "neither a ticker nor a receipt")
            return ()
        ticker, name = said.data, said.stream.removesuffix(_SUFFIX)
        if name != ticker.s.lower():
            raise Undecodable(f"a ticker of {ticker.s[:32]!r} on the stream of another pair")
        return (Pushed(name, ticker.c, ticker.v, ticker.E / 1000, ticker.E),)


def _is_shutdown(frame: str) -> bool:
    said = decoded(_announcement, frame)
    return _SHUTDOWN in (said.data.e, said.e)


def _request(method: str, names: Sequence[str]) -> str:
    request = {"method": method, "params": [name + _SUFFIX for name in names], "id": 1}
    return msgspec.json.encode(request).decode()
