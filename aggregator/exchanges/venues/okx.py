"""OKX spot: `GET /api/v5/market/ticker?instId=BTC-USDT`; a code in every answer, 0 when all is well.

`vol24h` is in base units (`volCcy24h` in quote units), `ts` in milliseconds. An unknown instrument is code 51001 with a
200. There is no call for several but that for all, of which most would be thrown away. 20 calls in 2 seconds are
allowed to an address. See www.okx.com/docs-v5/en
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from aggregator.errors import ExchangeError, ExchangeHttpError, Maintenance, NotListed, RateLimited, Undecodable
from aggregator.exchanges.dialect import (
    Answer,
    Bucket,
    Day,
    Dialect,
    Limit,
    Market,
    Tickers,
    decode,
    in_path,
    readable,
)
from aggregator.models import Asset, Ticker

_KINDS: dict[str, type[ExchangeError]] = {
    "51001": NotListed,
    "50011": RateLimited,
    "50061": RateLimited,
    "50001": Maintenance,
    "50013": Maintenance,
}


class _Said(msgspec.Struct):
    code: str
    msg: str = ""


class _Body(msgspec.Struct, rename="camel"):
    inst_id: str
    last: Decimal
    vol24h: Decimal
    ts: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,15}$")]


class _Tickers(msgspec.Struct):
    data: tuple[_Body]


class _All(msgspec.Struct):
    data: list[msgspec.Raw]


class _Instrument(msgspec.Struct, rename="camel"):
    inst_id: str
    state: str


class _Instruments(msgspec.Struct):
    data: list[_Instrument]


_said = msgspec.json.Decoder(_Said)
_body = msgspec.json.Decoder(_Body)
_all = msgspec.json.Decoder(_All)
_tickers = msgspec.json.Decoder(_Tickers)
_instruments = msgspec.json.Decoder(_Instruments)


class Okx(Dialect):
    """The dialect."""

    public_url = "https://www.okx.com"
    most_symbols = 1
    budget = Bucket(8, 4, (Limit(20, 2),))
    listing = "/api/v5/public/instruments?instType=SPOT"
    days = "/api/v5/market/tickers?instType=SPOT"
    listed_in = re.compile(rb'"data"\s*:\s*\[')

    def name(self, asset: Asset) -> str:
        """BTC-USDT, which needs to know base from quote."""
        if not asset.base or not asset.quote:
            raise NotListed("the symbols file does not say which is base and which quote")
        return f"{asset.base}-{asset.quote}".upper()

    def path(self, markets: Sequence[Market]) -> str:
        """Return the ticker's path."""
        return f"/api/v5/market/ticker?instId={in_path(markets[0].name)}"

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read the ticker."""
        _raise_for(decode(_said, answer.body))
        (said,) = decode(_tickers, answer.body).data
        return {markets[0].symbol: Ticker(exchange, _symbol(said.inst_id), said.last, said.vol24h, int(said.ts) / 1000)}

    def markets(self, answer: Answer) -> Iterable[Market]:
        """Read the instruments."""
        _raise_for(decode(_said, answer.body))
        listed = decode(_instruments, answer.body).data
        return [_market(one) for one in listed]

    def read_days(self, answer: Answer) -> Iterable[Day]:
        """Read the tickers of all instruments."""
        _raise_for(decode(_said, answer.body))
        return [Day(one.inst_id, one.vol24h, one.last) for one in readable(_body, decode(_all, answer.body).data)]

    def refusal(self, status: int, body: bytes) -> ExchangeError | None:
        """Read `{"code":"50011","data":[],"msg":"Too Many Requests"}`."""
        try:
            said = decode(_said, body)
        except Undecodable:
            return None
        return _KINDS.get(said.code, ExchangeHttpError)(f"HTTP {status}: {said.code} {said.msg:.200}")


def _market(said: _Instrument) -> Market:
    base, _, quote = said.inst_id.lower().partition("-")
    return Market(_symbol(said.inst_id), said.inst_id, said.state == "live", base, quote)


def _symbol(name: str) -> str:
    return name.replace("-", "").lower()


def _raise_for(said: _Said) -> None:
    if said.code != "0":
        raise _KINDS.get(said.code, ExchangeHttpError)(f"{said.code:.20} {said.msg:.200}")
