"""The mock exchange's dialect: `GET /mock/ticker/btcusdt`, numbers as JSON numbers, time in seconds."""

from decimal import Decimal

import msgspec

from aggregator.errors import Undecodable
from aggregator.exchanges.dialect import Answer
from aggregator.models import Asset, Ticker


class _Body(msgspec.Struct):
    symbol: str
    price: Decimal
    volume: Decimal
    timestamp: float


class Mock:
    """See mock_exchange/, which serves it."""

    public_url = ""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Body)

    def path(self, asset: Asset) -> str:
        """Return the ticker's path; symbols are a-z and 0-9 only, so there is nothing to quote."""
        return f"/mock/ticker/{asset.symbol}"

    def parse(self, exchange: str, asset: Asset, answer: Answer) -> Ticker:  # noqa: ARG002  # Dialect's signature
        """Read `{"symbol":"btcusdt","price":79850.12,"volume":1234567.89,"timestamp":1696118400.123}`."""
        try:
            said = self._decoder.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Undecodable(str(error)) from error
        return Ticker(exchange, said.symbol, said.price, said.volume, said.timestamp)
