"""The dialects: the request and the parse of each venue, as tables.

The bodies of Binance, Coinbase and Kraken are made up after their public documentation; none was captured live.
"""

from decimal import Decimal

import pytest

from aggregator.errors import ExchangeError, ExchangeHttpError, Maintenance, NotListed, RateLimited, Undecodable
from aggregator.exchanges.dialect import Answer, Dialect, Market, Request
from aggregator.exchanges.venues.binance import Binance
from aggregator.exchanges.venues.bybit import Bybit
from aggregator.exchanges.venues.coinbase import Coinbase
from aggregator.exchanges.venues.kraken import Kraken
from aggregator.exchanges.venues.mock import Mock
from aggregator.exchanges.venues.okx import Okx
from aggregator.models import Asset, Clock, Ticker, Tier
from tests.parts.examples import BTC

RECEIVED = 1696118399.5
BARE = Asset("btcusdt", "", "", Tier.HOT, 1)  # from a file with only symbols
PAIR = Market("btcusdt", "BTCUSDT")
OTHER = Market("ethusdt", "ETHUSDT")
DOGE = Asset("dogeusdt", "doge", "usdt", Tier.HOT, 2)

MOCK_BODY = (
    b'{"symbol":"btcusdt","price":79850.120000000000001,"volume":1234567.89,"timestamp":1696118400.123,"more":1}'
)
BINANCE_BODY = (
    b'{"symbol":"BTCUSDT","priceChange":"-94.99","lastPrice":"26967.10000000","lastQty":"0.1","volume":"8913.30000000",'
    b'"quoteVolume":"240000000.1","openTime":1696032000123,"closeTime":1696118400123,"count":76}'
)
COINBASE_BODY = (
    b'{"trade_id":86326522,"price":"26967.1","size":"0.00698254","time":"2023-10-01T00:00:00.123456Z",'
    b'"bid":"26265.15","ask":"26267.81","volume":"53602.03940154"}'
)
OKX_BODY = (
    b'{"code":"0","msg":"","data":[{"instType":"SPOT","instId":"BTC-USDT","last":"26967.1","lastSz":"0.1","open24h":"9000",'
    b'"volCcy24h":"240000000.1","vol24h":"8913.30000000","ts":"1696118400123","sodUtc0":"0.1"}]}'
)
BYBIT_BODY = (
    b'{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"BTCUSDT","bid1Price":"20517.96",'
    b'"lastPrice":"26967.1","turnover24h":"240000000.1","volume24h":"8913.3","usdIndexPrice":"1"}]},"retExtInfo":{},'
    b'"time":1696118400123}'
)
KRAKEN_BODY = (
    b'{"error":[],"result":{"XBTUSDT":{"a":["52609.6","1","1.0"],"b":["52609.5","1","1.0"],"c":["26967.10000","0.0008"],'
    b'"v":["1920.83610601","7954.00219674"],"p":["1","2"],"t":[1,2],"l":["1","2"],"h":["1","2"],"o":"52280.4"}}}'
)


@pytest.mark.parametrize(
    ("dialect", "asset", "path"),
    [
        (Mock(), BTC, "/mock/ticker/btcusdt"),
        (Okx(), BTC, "/api/v5/market/ticker?instId=BTC-USDT"),
        (Bybit(), BARE, "/v5/market/tickers?category=spot&symbol=BTCUSDT"),
        (Binance(), BARE, "/api/v3/ticker/24hr?symbol=BTCUSDT"),
        (Coinbase(), BTC, "/products/BTC-USDT/ticker"),
        (Kraken(), BTC, "/0/public/Ticker?pair=XBTUSDT"),
        (Kraken(), DOGE, "/0/public/Ticker?pair=XDGUSDT"),
        (Kraken(), BARE, "/0/public/Ticker?pair=BTCUSDT"),
    ],
)
def test_the_request(dialect: Dialect, asset: Asset, path: str) -> None:
    """One symbol gives one request, with the venue's own name of the pair."""
    assert dialect.request([Market(asset.symbol, dialect.name(asset))]) == Request(path)


@pytest.mark.parametrize("dialect", [Coinbase(), Okx()])
def test_some_need_base_and_quote(dialect: Dialect) -> None:
    """Without a listing, a symbol without base and quote is NotListed, which does not count as a failure."""
    with pytest.raises(NotListed, match="base"):
        dialect.name(BARE)


def test_a_name_cannot_change_the_path() -> None:
    """A venue's name of a pair cannot change the path."""
    evil = Market("btcusdt", "../../x?y=1&z,é")
    for dialect in (Binance(), Coinbase(), Kraken(), Okx(), Bybit()):
        assert "..%2F..%2Fx%3Fy%3D1%26z%2C%C3%A9" in dialect.request([evil]).path


@pytest.mark.parametrize(
    ("dialect", "body", "price", "volume", "timestamp"),
    [
        (Mock(), MOCK_BODY, "79850.120000000000001", "1234567.89", 1696118400.123),
        (Binance(), BINANCE_BODY, "26967.1", "8913.3", 1696118400.123),
        (Coinbase(), COINBASE_BODY, "26967.1", "53602.03940154", 1696118400.123456),
        (Kraken(), KRAKEN_BODY, "26967.1", "7954.00219674", RECEIVED),
        (Okx(), OKX_BODY, "26967.1", "8913.3", 1696118400.123),
        (Bybit(), BYBIT_BODY, "26967.1", "8913.3", 1696118400.123),
    ],
)
def test_the_parse(dialect: Dialect, body: bytes, price: str, volume: str, timestamp: float) -> None:
    """Price in quote units, volume in base units, unix seconds; Decimals with every digit."""
    clock = Clock.RECEIPT if isinstance(dialect, Kraken) else Clock.EXCHANGE
    ticker = Ticker("x", "btcusdt", Decimal(price), Decimal(volume), timestamp, clock)
    assert dialect.parse("x", [PAIR], Answer(body, RECEIVED)) == {"btcusdt": ticker}


@pytest.mark.parametrize("dialect", [Mock(), Binance()])
def test_the_symbol_is_the_one_answered(dialect: Dialect) -> None:
    """The ticker has the symbol in the answer; pricing compares it with the one asked for."""
    body = (MOCK_BODY if isinstance(dialect, Mock) else BINANCE_BODY).replace(b"btc", b"eth").replace(b"BTC", b"ETH")
    ticker = dialect.parse("x", [PAIR], Answer(body))["btcusdt"]
    assert isinstance(ticker, Ticker)
    assert ticker.symbol == "ethusdt"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("EQuery:Unknown asset pair", NotListed),
        ("EQuery:Invalid asset pair", NotListed),
        ("EAPI:Rate limit exceeded", RateLimited),
        ("EGeneral:Too many requests", RateLimited),
        ("EGeneral:Temporary lockout", RateLimited),
        ("EService:Unavailable", Maintenance),
        ("EService:Busy", Maintenance),
        ("EGeneral:Internal error", ExchangeHttpError),
    ],
)
def test_kraken_reports_errors_with_status_200(error: str, expected: type[ExchangeError]) -> None:
    """An error in a body with status 200 becomes the error that a status would be."""
    with pytest.raises(expected):
        Kraken().parse("x", [PAIR], Answer(b'{"error":["%s"]}' % error.encode(), RECEIVED))


def test_kraken_must_answer_for_one_pair() -> None:
    """Two pairs or none for one is Undecodable."""
    for body in (
        b'{"error":[],"result":{}}',
        KRAKEN_BODY.replace(b'"XBTUSDT":', b'"X":{"c":["1","1"],"v":["1","1"]},"Y":'),
    ):
        with pytest.raises(Undecodable, match="pairs"):
            Kraken().parse("x", [PAIR], Answer(body, RECEIVED))


NUMBERS = [b"null", b"NaN", b"true", b'"much"', b"[]", b"{}"]
SHAPES = [
    b"",
    b"not json",
    b"\xff\xfe",
    b"[]",
    b"null",
    b"{}",
    b"[" * 100_000,
    MOCK_BODY[:-1],
    MOCK_BODY.replace(b"btcusdt", b"\xff"),
    MOCK_BODY.replace(b"1696118400.123", b"1e999"),
    *(MOCK_BODY.replace(b"79850.120000000000001", number) for number in NUMBERS),
    *(BINANCE_BODY.replace(b'"26967.10000000"', number) for number in NUMBERS),
    *(COINBASE_BODY.replace(b'"26967.1"', number) for number in NUMBERS),
    *(KRAKEN_BODY.replace(b'"26967.10000"', number) for number in NUMBERS),
    *(OKX_BODY.replace(b'"26967.1"', number) for number in NUMBERS),
    *(BYBIT_BODY.replace(b'"26967.1"', number) for number in NUMBERS),
    OKX_BODY.replace(b'"1696118400123"', b'"NaN"'),
    OKX_BODY.replace(b'"data":[{', b'"data":[{},{'),
    COINBASE_BODY.replace(b"Z", b""),
    BINANCE_BODY.replace(b"1696118400123", b'"now"'),
]


@pytest.mark.parametrize("dialect", [Mock(), Binance(), Coinbase(), Kraken(), Okx(), Bybit()])
@pytest.mark.parametrize("body", SHAPES)
def test_anything_else_is_undecodable(dialect: Dialect, body: bytes) -> None:
    """A cut body, another shape, another venue, another encoding: Undecodable."""
    with pytest.raises(Undecodable):
        dialect.parse("x", [PAIR], Answer(body, RECEIVED))


def batch(*bodies: bytes) -> Answer:
    """Return the mock exchange's answer for several symbols."""
    return Answer(b'{"tickers":[' + b",".join(bodies) + b'],"unknown":["nosuchcoin"]}')


def test_many_symbols_in_one_call() -> None:
    """One path has all symbols; a symbol missing in the answer has no ticker."""
    assert Mock().request([PAIR, OTHER]).path == "/mock/tickers?symbols=btcusdt,ethusdt"
    tickers = Mock().parse("x", [PAIR, OTHER], batch(MOCK_BODY))
    assert tickers == Mock().parse("x", [PAIR], Answer(MOCK_BODY))


@pytest.mark.parametrize("number", [number for number in NUMBERS if number != b"NaN"])  # which is no JSON at all
def test_a_bad_body_in_a_batch_costs_only_itself(number: bytes) -> None:
    """It is Undecodable, and the others are tickers."""
    bad = MOCK_BODY.replace(b"btcusdt", b"ethusdt").replace(b"79850.120000000000001", number)
    tickers = Mock().parse("x", [PAIR, OTHER], batch(bad, MOCK_BODY))
    assert isinstance(tickers["ethusdt"], Undecodable)
    assert isinstance(tickers["btcusdt"], Ticker)


@pytest.mark.parametrize("body", [*SHAPES[:7], b'{"tickers":[1]}', b'{"tickers":[{"symbol":null}]}'])
def test_a_batch_that_is_none(body: bytes) -> None:
    """A batch that cannot be read is Undecodable as a whole."""
    with pytest.raises((Undecodable, RecursionError)):
        Mock().parse("x", [PAIR, OTHER], Answer(body))


@pytest.mark.parametrize("time", [b"1" + b"0" * 400, b"-1", b"1.5", b"null"])
def test_an_impossible_time_in_a_batch_costs_only_itself(time: bytes) -> None:
    """Binance's time of a row is bounded: a number beyond every float is Undecodable, and the others are tickers."""
    bad = BINANCE_BODY.replace(b"BTC", b"ETH").replace(b"1696118400123", time)
    tickers = Binance().parse("x", [PAIR, OTHER], Answer(b"[" + bad + b"," + BINANCE_BODY + b"]"))
    assert isinstance(tickers["ethusdt"], Undecodable)
    assert isinstance(tickers["btcusdt"], Ticker)


@pytest.mark.parametrize(("dialect", "body"), [(Binance(), BINANCE_BODY), (Bybit(), BYBIT_BODY)])
def test_an_impossible_time_is_undecodable(dialect: Dialect, body: bytes) -> None:
    """A time beyond every float is Undecodable, not an arithmetic error."""
    with pytest.raises(Undecodable):
        dialect.parse("x", [PAIR], Answer(body.replace(b"1696118400123", b"1" + b"0" * 400)))
