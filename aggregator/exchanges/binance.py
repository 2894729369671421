"""Binance spot: `GET /api/v3/ticker/24hr?symbol=BTCUSDT`; texts for numbers, milliseconds for times.

An unknown symbol is HTTP 400 with code -1121. `volume` is in base units (`quoteVolume` is the other one).
"""

from decimal import Decimal

import msgspec

from aggregator.errors import Undecodable
from aggregator.exchanges.dialect import Answer
from aggregator.models import Asset, Ticker


class _Body(msgspec.Struct, rename="camel"):
    symbol: str
    last_price: Decimal
    volume: Decimal
    close_time: int


class Binance:
    """The dialect."""

    public_url = "https://api.binance.com"

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Body)

    def path(self, asset: Asset) -> str:
        """Return the 24-hour ticker's path."""
        return f"/api/v3/ticker/24hr?symbol={asset.symbol.upper()}"

    def parse(self, exchange: str, asset: Asset, answer: Answer) -> Ticker:  # noqa: ARG002  # Dialect's signature
        """Read the ticker; its time is the end of the 24 hours it speaks of."""
        try:
            said = self._decoder.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Undecodable(str(error)) from error
        return Ticker(exchange, said.symbol.lower(), said.last_price, said.volume, said.close_time / 1000)
