"""The push dialects: the messages that they send, and what they read in frames."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.errors import Undecodable
from aggregator.exchanges.dialect import Beat, PushDialect, Pushed, Refused, Shutdown
from aggregator.exchanges.registry import PUSHING
from aggregator.exchanges.venues.bybit import BybitPush
from aggregator.exchanges.venues.mock import MockPush
from aggregator.exchanges.venues.okx import OkxPush
from aggregator.models import Asset, Tier
from tests.exchanges.mutilation import junk, mutilated
from tests.parts.examples import BTC

BARE = Asset("btcusdt", "", "", Tier.HOT, 1)  # from a file with only symbols

# The examples of the documentation, without fields that say nothing of price, volume, time and order.
OKX_TICKER = (
    '{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT","instId":"BTC-USDT","last":"9999.99",'
    '"lastSz":"0.1","askPx":"9999.99","bidPx":"8888.88","open24h":"9000","volCcy24h":"2222","vol24h":"2222.5",'
    '"sodUtc0":"2222","ts":"1597026383085"}]}'
)
OKX_RECEIPT = '{"id":"1512","event":"subscribe","arg":{"channel":"tickers","instId":"BTC-USDT"},"connId":"accb8e21"}'
OKX_UNKNOWN = (
    '{"event":"error","msg":"Wrong URL or channel:tickers,instId:NMR-USDT doesn\'t exist. Please use the correct URL,'
    ' channel and parameters referring to API document.","code":"60018","connId":"0d0c61a5"}'
)
BYBIT_TICKER = (
    '{"topic":"tickers.BTCUSDT","ts":1673853746003,"type":"snapshot","cs":2588407389,"data":{"symbol":"BTCUSDT",'
    '"lastPrice":"21109.77","highPrice24h":"21426.99","lowPrice24h":"20575","prevPrice24h":"20704.93",'
    '"volume24h":"6780.866843","turnover24h":"141946527.22907118","price24hPcnt":"0.0196","usdIndexPrice":"21120.24"}}'
)
BYBIT_RECEIPT = '{"success":true,"ret_msg":"subscribe","conn_id":"2324d924","req_id":"","op":"subscribe"}'
BYBIT_PONG = '{"success":true,"ret_msg":"pong","conn_id":"0970e817-426e-429a-a679-ff7f55e0b16a","op":"ping"}'
MOCK_TICKER = (
    '{"type":"ticker","sequence":7,"symbol":"btcusdt","price":79850.120000000000001,"volume":1234567.89,'
    '"timestamp":1696118400.123}'
)
FRAMES = [
    OKX_TICKER,
    OKX_RECEIPT,
    OKX_UNKNOWN,
    BYBIT_TICKER,
    BYBIT_RECEIPT,
    BYBIT_PONG,
    MOCK_TICKER,
    '{"type":"error","symbol":"zzz","msg":"Asset not found"}',
    '{"stream":"btcusdt@ticker","data":{"e":"24hrTicker","E":1672515782136,"s":"BTCUSDT","c":"0.0025","v":"10000"}}',
    '{"type":"ticker","sequence":3,"product_id":"A-B","price":"1","volume_24h":"2","time":"2022-10-19T23:28:22Z","trade_id":1}',
    '{"channel":"ticker","data":[{"symbol":"A/B","last":1.5,"volume":2,"timestamp":"2023-09-25T09:04:31.742599Z"}]}',
]


def refused(text: str) -> str:
    """Return Bybit's answer to a refused message."""
    return json.dumps({"success": False, "ret_msg": text, "conn_id": "2324d924", "op": "subscribe"})


@pytest.mark.parametrize(
    ("dialect", "frame", "news"),
    [
        (
            OkxPush(),
            OKX_TICKER,
            Pushed("BTC-USDT", Decimal("9999.99"), Decimal("2222.5"), 1597026383.085, 1597026383085),
        ),
        (
            BybitPush(),
            BYBIT_TICKER,
            Pushed("BTCUSDT", Decimal("21109.77"), Decimal("6780.866843"), 1673853746.003, 2588407389),
        ),
        (
            MockPush(),
            MOCK_TICKER,
            Pushed("btcusdt", Decimal("79850.120000000000001"), Decimal("1234567.89"), 1696118400.123, 7),
        ),
    ],
)
def test_a_ticker_has_every_digit(dialect: PushDialect, frame: str, news: Pushed) -> None:
    """Price, base volume and time of the documented example, and what orders it."""
    assert list(dialect.read(frame)) == [news]


@pytest.mark.parametrize(
    ("dialect", "frame"),
    [
        (OkxPush(), OKX_RECEIPT),
        (OkxPush(), OKX_RECEIPT.replace("subscribe", "unsubscribe")),
        (OkxPush(), '{"event":"channel-conn-count","channel":"tickers","connCount":"2","connId":"abcd1234"}'),
        (OkxPush(), "pong"),
        (BybitPush(), BYBIT_RECEIPT),
        (BybitPush(), BYBIT_RECEIPT.replace("subscribe", "unsubscribe")),
        (BybitPush(), BYBIT_PONG),
        (BybitPush(), refused("error:already subscribed,topic:tickers.BTCUSDT")),
        (BybitPush(), refused("error:handler not found,topic:tickers.BTCUSDT").replace("subscribe", "unsubscribe")),
        (MockPush(), '{"type":"subscribed","symbols":["btcusdt"]}'),
        (MockPush(), '{"type":"unsubscribed","symbols":[]}'),
    ],
)
def test_a_receipt_is_no_news(dialect: PushDialect, frame: str) -> None:
    """Receipts and pongs are read, and say nothing of a pair; neither does the second of two subscriptions."""
    assert list(dialect.read(frame)) == []


@pytest.mark.parametrize(
    ("dialect", "frame", "name"),
    [
        (OkxPush(), OKX_UNKNOWN, "NMR-USDT"),
        (
            OkxPush(),
            '{"event":"error","code":"60018","msg":"no","arg":{"channel":"tickers","instId":"A-B"}}',
            "A-B",
        ),
        (BybitPush(), refused("Invalid symbol :[tickers.TAOUSDT]"), "TAOUSDT"),
        (BybitPush(), refused("error:handler not found,topic:tickers.TAOUSDT"), "TAOUSDT"),
        (MockPush(), '{"type":"error","symbol":"zzz","msg":"Asset not found"}', "zzz"),
    ],
)
def test_a_refusal_names_its_pair(dialect: PushDialect, frame: str, name: str) -> None:
    """It is named in the text of the venue where there is no field."""
    (news,) = dialect.read(frame)
    assert isinstance(news, Refused)
    assert news.name == name
    assert news.why


@pytest.mark.parametrize(
    ("dialect", "frame"),
    [
        (OkxPush(), OKX_TICKER.replace('"instId":"BTC-USDT","last"', '"instId":"ETH-USDT","last"')),
        (OkxPush(), OKX_TICKER.replace("tickers", "trades")),
        (OkxPush(), OKX_TICKER.replace('"9999.99",', '"",', 1)),
        (OkxPush(), OKX_TICKER.replace("1597026383085", "yesterday")),
        (OkxPush(), OKX_UNKNOWN.replace("60018", "60012")),
        (OkxPush(), '{"event":"error","code":"60018","msg":"channel:tickers,instId: doesn\'t exist"}'),
        (BybitPush(), BYBIT_TICKER.replace('"symbol":"BTCUSDT"', '"symbol":"ETHUSDT"')),
        (BybitPush(), BYBIT_TICKER.replace('"cs":2588407389,', "")),
        (BybitPush(), BYBIT_TICKER.replace("1673853746003", "-1")),
        (BybitPush(), refused("args size >10")),
        (MockPush(), MOCK_TICKER.replace('"sequence":7,', "")),
        (MockPush(), '{"type":"error","msg":"The message is not understood"}'),
        (MockPush(), '{"type":"gossip"}'),
    ],
)
def test_another_frame_is_undecodable(dialect: PushDialect, frame: str) -> None:
    """A ticker that contradicts itself or lacks a part, and an error that names no pair."""
    with pytest.raises(Undecodable):
        dialect.read(frame)


@pytest.mark.parametrize(
    ("dialect", "message"),
    [
        (
            OkxPush(),
            {
                "op": "subscribe",
                "args": [{"channel": "tickers", "instId": "A"}, {"channel": "tickers", "instId": "B"}],
            },
        ),
        (BybitPush(), {"op": "subscribe", "args": ["tickers.A", "tickers.B"]}),
        (MockPush(), {"op": "subscribe", "symbols": ["A", "B"]}),
    ],
)
def test_the_messages(dialect: PushDialect, message: dict[str, object]) -> None:
    """One message for several pairs, and the same with `unsubscribe`."""
    assert json.loads(dialect.subscribe(["A", "B"])) == message
    assert json.loads(dialect.unsubscribe(["A", "B"])) == message | {"op": "unsubscribe"}


def test_the_names_of_pairs() -> None:
    """OKX needs base and quote; without them nothing is subscribed to."""
    dialects = (OkxPush(), BybitPush(), MockPush())
    assert [dialect.spell(BTC) for dialect in dialects] == ["BTC-USDT", "BTCUSDT", "btcusdt"]
    assert OkxPush().spell(BARE) == ""
    assert BybitPush().spell(BARE) == "BTCUSDT"


def test_subscriptions_keep_within_the_documented_lengths() -> None:
    """OKX takes 64 KB of arguments, Bybit 21,000 characters; a name has at most 24 characters here."""
    for dialect, most in ((OkxPush(), 64_000), (BybitPush(), 21_000)):
        names = ["X" * 24] * dialect.most_symbols
        assert len(json.dumps(json.loads(dialect.subscribe(names))["args"], separators=(",", ":"))) <= most


@given(st.sampled_from(list(PUSHING)), mutilated(FRAMES) | junk(FRAMES).map(json.dumps) | st.text(max_size=200))
def test_junk_is_news_or_undecodable(name: str, frame: str) -> None:
    """Whatever a frame is, reading it raises nothing but Undecodable."""
    try:
        news = PUSHING[name]().read(frame)
    except Undecodable:
        return
    assert all(isinstance(one, Pushed | Beat | Refused | Shutdown) for one in news)
