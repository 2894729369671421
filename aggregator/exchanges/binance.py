"""Binance spot: `GET /api/v3/ticker/24hr?symbol=BTCUSDT`; texts for numbers, milliseconds for times.

An unknown symbol is HTTP 400 with code -1121. `volume` is in base units (`quoteVolume` is the other one).
"""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from aggregator.errors import Undecodable
from aggregator.exchanges.dialect import Answer, Tickers
from aggregator.models import Asset, Ticker


class _Body(msgspec.Struct, rename="camel"):
    symbol: str
    last_price: Decimal
    volume: Decimal
    close_time: int


class Binance:
    """The dialect."""

    public_url = "https://api.binance.com"
    most_symbols = 1

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Body)

    def path(self, assets: Sequence[Asset]) -> str:
        """Return the 24-hour ticker's path."""
        return f"/api/v3/ticker/24hr?symbol={assets[0].symbol.upper()}"

    def parse(self, exchange: str, assets: Sequence[Asset], answer: Answer) -> Tickers:
        """Read the ticker; its time is the end of the 24 hours it speaks of."""
        try:
            said = self._decoder.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Undecodable(str(error)) from error
        ticker = Ticker(exchange, said.symbol.lower(), said.last_price, said.volume, said.close_time / 1000)
        return {assets[0].symbol: ticker}
