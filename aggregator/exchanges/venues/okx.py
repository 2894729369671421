"""OKX spot: `GET /api/v5/market/ticker?instId=BTC-USDT`. Every answer has a code, 0 for success.

`vol24h` is in base units (`volCcy24h` in quote units), `ts` is milliseconds. An unknown instrument is code 51001 with
status 200. The only call for several instruments returns all of them, and most would be thrown away, so each call asks
for one. An address may send 20 calls in 2 seconds. See www.okx.com/docs-v5/en
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from aggregator.errors import ExchangeError, Maintenance, NotListed, RateLimited, Undecodable
from aggregator.exchanges.decoding import decodable, decode, in_path, joined, reported
from aggregator.exchanges.dialect import Answer, Bucket, DayStatistics, Dialect, Market, Request, Tickers
from aggregator.models import Asset, Ticker

_KINDS: dict[str, type[ExchangeError]] = {
    "51001": NotListed,
    "50011": RateLimited,
    "50061": RateLimited,
    "50001": Maintenance,
    "50013": Maintenance,
}


class _Outcome(msgspec.Struct):
    code: str
    msg: str = ""


class _Ticker(msgspec.Struct, rename="camel"):
    inst_id: str
    last: Decimal
    vol24h: Decimal
    ts: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,15}$")]


class _OneTicker(msgspec.Struct):
    data: tuple[_Ticker]


class _Rows(msgspec.Struct):
    data: list[msgspec.Raw]


class _Instrument(msgspec.Struct, rename="camel"):
    inst_id: str
    state: str


class _Instruments(msgspec.Struct):
    data: list[_Instrument]


_outcome = msgspec.json.Decoder(_Outcome)
_ticker = msgspec.json.Decoder(_Ticker)
_one_ticker = msgspec.json.Decoder(_OneTicker)
_rows = msgspec.json.Decoder(_Rows)
_instruments = msgspec.json.Decoder(_Instruments)


class Okx(Dialect):
    """The REST dialect."""

    public_url = "https://www.okx.com"
    most_symbols = 1
    rate_limit = Bucket(8, 4)
    listing = Request("/api/v5/public/instruments?instType=SPOT")
    listing_start = re.compile(rb'"data"\s*:\s*\[')
    statistics = Request("/api/v5/market/tickers?instType=SPOT")

    def name(self, asset: Asset) -> str:
        """Return BTC-USDT."""
        return joined(asset, "-")

    def request(self, markets: Sequence[Market]) -> Request:
        """Ask for the ticker."""
        return Request(f"/api/v5/market/ticker?instId={in_path(markets[0].name)}")

    def parse(self, exchange: str, markets: Sequence[Market], answer: Answer) -> Tickers:
        """Read the ticker."""
        _raise_for_code(answer)
        (found,) = decode(_one_ticker, answer.body).data
        symbol = found.inst_id.replace("-", "").lower()
        return {markets[0].symbol: Ticker(exchange, symbol, found.last, found.vol24h, int(found.ts) / 1000)}

    def markets(self, answer: Answer) -> Iterable[Market]:
        """Read the instruments."""
        _raise_for_code(answer)
        return [_market(one) for one in decode(_instruments, answer.body).data]

    def read_statistics(self, answer: Answer) -> Iterable[DayStatistics]:
        """Read the tickers of all instruments."""
        _raise_for_code(answer)
        rows = decode(_rows, answer.body).data
        return [DayStatistics(one.inst_id, one.vol24h, one.last) for one in decodable(_ticker, rows)]

    def refusal(self, status: int, body: bytes) -> ExchangeError | None:
        """Read `{"code":"50011","data":[],"msg":"Too Many Requests"}`."""
        try:
            outcome = decode(_outcome, body)
        except Undecodable:
            return None
        return reported(_KINDS, outcome.code, f"HTTP {status}: {outcome.code} {outcome.msg:.200}")


def _market(instrument: _Instrument) -> Market:
    base, _, quote = instrument.inst_id.partition("-")
    return Market.listed(instrument.inst_id, base, quote, trading=instrument.state == "live")


def _raise_for_code(answer: Answer) -> None:
    outcome = decode(_outcome, answer.body)
    if outcome.code != "0":
        raise reported(_KINDS, outcome.code, f"{outcome.code:.20} {outcome.msg:.200}")
