"""Kraken (v2) pushes a `ticker` as a snapshot when asked for and at every trade, and a heartbeat when there is nothing.

Numbers are JSON numbers, `volume` is that of 24 hours in base units, `timestamp` RFC 3339; a ticker without one, as all
once were, is as of when it comes. The names are the usual ones (BTC/USD, not XBT). There are no sequence numbers: each
ticker is whole, and its time tells which of two is the newer.
"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from aggregator.errors import Undecodable
from aggregator.exchanges.push.dialect import News, Pushed, Refused, decoded
from aggregator.models import Asset

_MICRO = 1_000_000
_NO_NEWS = ("heartbeat", "status")


class _Ticker(msgspec.Struct):
    symbol: str
    last: Decimal
    volume: Decimal
    timestamp: datetime | None = None


class _Frame(msgspec.Struct):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw()
    method: str = ""
    success: bool = True
    error: str = ""
    symbol: str = ""


_frame = msgspec.json.Decoder(_Frame)
_tickers = msgspec.json.Decoder(list[_Ticker])


class KrakenPush:
    """The push dialect."""

    public_url = "wss://ws.kraken.com"
    path = "/v2"
    most_symbols = 200
    most_together = 50
    pause = 0.2

    def spell(self, asset: Asset) -> str:
        """Return the pair, which needs to know base from quote."""
        return f"{asset.base}/{asset.quote}".upper() if asset.base and asset.quote else ""

    def subscribe(self, names: Sequence[str]) -> str:
        """Return subscribe."""
        return _request("subscribe", names)

    def unsubscribe(self, names: Sequence[str]) -> str:
        """Return unsubscribe."""
        return _request("unsubscribe", names)

    def read(self, frame: str) -> Sequence[News]:
        """Read `{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","last":…,"volume":…,…}]}`."""
        said = decoded(_frame, frame)
        if said.channel == "ticker":
            return [_pushed(one) for one in decoded(_tickers, bytes(said.data).decode())]
        if said.method and not said.success:
            return (Refused(said.symbol, said.error[:200]),)
        if said.method or said.channel in _NO_NEWS:
            return ()
        raise Undecodable(f"a message of channel {said.channel[:32]!r}")


def _pushed(said: _Ticker) -> Pushed:
    if said.timestamp is None:
        return Pushed(said.symbol, said.last, said.volume, None, 0)
    if said.timestamp.tzinfo is None:
        raise Undecodable("a time without its zone")
    seconds = said.timestamp.timestamp()
    return Pushed(said.symbol, said.last, said.volume, seconds, round(seconds * _MICRO))


def _request(method: str, names: Sequence[str]) -> str:
    request = {"method": method, "params": {"channel": "ticker", "symbol": list(names)}}
    return msgspec.json.encode(request).decode()
