"""The trade dialects: the messages that they send, and what they read in the examples of the documentations."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.errors import Undecodable
from aggregator.exchanges.dialect import (
    Answer,
    Beat,
    Execution,
    Market,
    Refused,
    Shutdown,
    TradeDialect,
    Unreadable,
)
from aggregator.exchanges.registry import PUSHING, TRADING
from tests.exchanges.mutilation import junk, mutilated
from tests.exchanges.trade_examples import BINANCE, BYBIT, COINBASE, FRAMES, OKX, READ, RECENT
from tests.parts.examples import BTC

TEXTS = list(FRAMES.values())
UNKNOWN_OKX = (
    '{"event":"error","msg":"Wrong URL or channel:trades-all,instId:NMR-USDT doesn\'t exist. Please use the correct'
    ' URL, channel and parameters referring to API document.","code":"60018","connId":"0d0c61a5"}'
)


def dialect(name: str) -> TradeDialect:
    """Return a venue's dialect."""
    return TRADING[name]()


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_of_trades(name: str) -> None:
    """Every digit of price and volume, the time to the microsecond, the id, and the side of the taker."""
    assert list(dialect(name).read(FRAMES[name])) == READ[name]


@pytest.mark.parametrize("name", RECENT)
def test_recent_trades(name: str) -> None:
    """The request, and the trades in the answer with the oldest first."""
    pair, path, body, expected = RECENT[name]
    market = Market("", pair)
    assert dialect(name).recent(market).path == path
    assert list(dialect(name).read_recent(market, Answer(body.encode()))) == expected


@pytest.mark.parametrize("name", RECENT)
def test_as_many_as_the_request_asks_for(name: str) -> None:
    """`most_recent` is the number in the request: an answer with fewer trades is the whole of them."""
    found = re.search(r"(?:limit|count)=(\d+)", dialect(name).recent(Market("", "X")).path)
    assert found is not None
    assert int(found[1]) == dialect(name).most_recent


@pytest.mark.parametrize("name", RECENT)
def test_a_name_cannot_change_the_request(name: str) -> None:
    """The name of a market comes from the venue, and is encoded."""
    assert "/../" not in dialect(name).recent(Market("", "a/../b&c=d?e")).path
    assert "&c=d" not in dialect(name).recent(Market("", "a/../b&c=d?e")).path


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("binance", '{"result":null,"id":1}'),
        ("coinbase", '{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USD"]}]}'),
        ("kraken", '{"channel":"heartbeat"}'),
        ("kraken", '{"method":"subscribe","result":{"channel":"trade","symbol":"A/B"},"success":true}'),
        ("kraken", '{"error":"Already subscribed","method":"subscribe","success":false,"symbol":"A/B"}'),
        ("kraken", '{"error":"Subscription Not Found","method":"unsubscribe","success":false,"symbol":"A/B"}'),
        ("okx", "pong"),
        ("okx", '{"event":"subscribe","arg":{"channel":"trades-all","instId":"BTC-USDT"},"connId":"accb8e21"}'),
        ("bybit", '{"success":true,"ret_msg":"subscribe","conn_id":"2324d924","req_id":"","op":"subscribe"}'),
        ("bybit", '{"success":true,"ret_msg":"pong","conn_id":"0970e817","op":"ping"}'),
        ("mock", '{"type":"subscribed","symbols":["btcusdt"]}'),
        ("mock", '{"trades":[]}'),
    ],
)
def test_a_receipt_is_no_news(name: str, frame: str) -> None:
    """Receipts, pongs and heartbeats without a number are read and say nothing."""
    assert list(dialect(name).read(frame)) == []


@pytest.mark.parametrize(
    ("name", "frame", "pair"),
    [
        ("coinbase", '{"type":"error","message":"Failed to subscribe","reason":"A-B is not a valid product"}', "A-B"),
        (
            "kraken",
            '{"error":"Currency pair not supported A/B","method":"subscribe","success":false,"symbol":"A/B"}',
            "A/B",
        ),
        ("okx", UNKNOWN_OKX, "NMR-USDT"),
        (
            "bybit",
            '{"success":false,"ret_msg":"Invalid symbol :[publicTrade.TAOUSDT]","conn_id":"1","op":"subscribe"}',
            "TAOUSDT",
        ),
        ("mock", '{"type":"error","symbol":"zzz","msg":"Asset not found"}', "zzz"),
    ],
)
def test_a_refusal_names_its_pair(name: str, frame: str, pair: str) -> None:
    """It is named in the text of the venue where there is no field."""
    (news,) = dialect(name).read(frame)
    assert isinstance(news, Refused)
    assert news.name == pair


def test_other_news() -> None:
    """Coinbase's heartbeat has the number of the newest trade; its first match after a subscription counts, too."""
    beat = '{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28Z"}'
    assert list(dialect("coinbase").read(beat)) == [Beat("BTC-USD", 20)]
    assert list(dialect("coinbase").read(COINBASE.replace('"match"', '"last_match"'))) == READ["coinbase"]
    shutdown = '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}'
    assert list(dialect("binance").read(shutdown)) == [Shutdown()]
    assert list(dialect("okx").read('{"event":"notice","code":"64008","msg":"soon closed"}')) == [Shutdown()]


@pytest.mark.parametrize("time", ['"NaN"', '"Infinity"', "1e999999999", "-1", "1e11", '"1e-999999999"'])
def test_a_time_of_kraken_that_is_none(time: str) -> None:
    """A time without end or beyond all days makes one row unreadable, in no time."""
    pair, _, body, expected = RECENT["kraken"]
    (first, second) = dialect("kraken").read_recent(
        Market("", pair), Answer(re.sub(r"1688\d+\.\d+", time, body, count=1).encode())
    )
    assert isinstance(first, Unreadable) or first.timestamp == 0
    assert second == expected[1]


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("side", ["", "Buy!", "0"])
def test_another_side_is_unreadable(name: str, side: str) -> None:
    """A side that the venue does not document is no side."""
    changed, count = re.subn(r'("(?:side|S)":)"\w+"', rf'\1"{side}"', FRAMES[name])
    if name == "binance":
        changed, count = BINANCE.replace('"m":true', f'"m":"{side}"'), 1
    assert count > 0
    assert all(isinstance(one, Unreadable) for one in dialect(name).read(changed))


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("binance", BINANCE.replace('"s":"BNBBTC"', '"s":"ETHBTC"')),
        ("okx", OKX.replace('{"instId":"BTC-USDT","tradeId"', '{"instId":"ETH-USDT","tradeId"')),
        ("bybit", BYBIT.replace('"s":"BTCUSDT"', '"s":"ETHUSDT"')),
    ],
)
def test_a_trade_of_another_pair_is_unreadable(name: str, frame: str) -> None:
    """A trade that contradicts the subscription it came by is set aside with its bytes."""
    (news,) = dialect(name).read(frame)
    assert isinstance(news, Unreadable)
    assert news.raw in frame.encode()
    assert "instead of" in news.why


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        ("binance", '{"code":2,"msg":"Invalid request: too many parameters"}'),
        ("coinbase", '{"type":"gossip"}'),
        ("kraken", '{"channel":"ticker","data":[]}'),
        ("kraken", '{"channel":"trade"}'),
        ("okx", OKX.replace("trades-all", "trades")),
        ("bybit", BYBIT.replace("publicTrade.", "tickers.")),
        ("bybit", '{"success":false,"ret_msg":"args size >10","op":"subscribe"}'),
        ("mock", '{"type":"gossip"}'),
        ("mock", '{"trades":5}'),
    ],
)
def test_another_frame_is_undecodable(name: str, frame: str) -> None:
    """A frame that is neither trades nor known news."""
    with pytest.raises(Undecodable):
        dialect(name).read(frame)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("binance", {"method": "SUBSCRIBE", "params": ["A@trade", "B@trade"], "id": 1}),
        ("coinbase", {"type": "subscribe", "product_ids": ["A", "B"], "channels": ["matches", "heartbeat"]}),
        ("kraken", {"method": "subscribe", "params": {"channel": "trade", "symbol": ["A", "B"]}}),
        (
            "okx",
            {
                "op": "subscribe",
                "args": [{"channel": "trades-all", "instId": "A"}, {"channel": "trades-all", "instId": "B"}],
            },
        ),
        ("bybit", {"op": "subscribe", "args": ["publicTrade.A", "publicTrade.B"]}),
        ("mock", {"op": "subscribe", "symbols": ["A", "B"]}),
    ],
)
def test_the_messages(name: str, message: dict[str, object]) -> None:
    """One message for several pairs, and its opposite."""
    assert json.loads(dialect(name).subscribe(["A", "B"])) == message
    text = json.dumps(message).replace('"SUBSCRIBE"', '"UNSUBSCRIBE"').replace('"subscribe"', '"unsubscribe"')
    assert json.loads(dialect(name).unsubscribe(["A", "B"])) == json.loads(text)


@pytest.mark.parametrize("name", TRADING)
def test_names_and_address_are_those_of_tickers(name: str) -> None:
    """Trades come from the host of the tickers, for pairs of the same names."""
    assert dialect(name).public_url == PUSHING[name]().public_url
    assert dialect(name).spell(BTC) == PUSHING[name]().spell(BTC)


@given(st.sampled_from(list(TRADING)), mutilated(TEXTS) | junk(TEXTS).map(json.dumps) | st.text(max_size=200))
def test_junk_is_news_or_undecodable(name: str, frame: str) -> None:
    """Whatever a frame is, reading it raises nothing but Undecodable."""
    try:
        news = dialect(name).read(frame)
    except Undecodable:
        return
    assert all(isinstance(one, Execution | Unreadable | Beat | Refused | Shutdown) for one in news)


@given(
    st.sampled_from(list(TRADING)),
    mutilated([body for _, _, body, _ in RECENT.values()]).map(str.encode) | st.binary(max_size=200),
)
def test_a_junk_answer_is_executions_or_undecodable(name: str, body: bytes) -> None:
    """Whatever an answer is, reading it raises nothing but Undecodable."""
    try:
        found = dialect(name).read_recent(Market("btcusdt", RECENT[name][0]), Answer(body))
    except Undecodable:
        return
    assert all(isinstance(one, Execution | Unreadable) for one in found)


@pytest.mark.parametrize("name", RECENT)
def test_a_bad_row_spoils_only_itself(name: str) -> None:
    """Of an answer the other rows are read."""
    pair, _, body, expected = RECENT[name]
    bad = '"bad row"'
    start = {"kraken": '"XXBTZUSD":[', "okx": '"data":[', "bybit": '"list":[', "mock": '"trades":['}.get(name, "[")
    found = dialect(name).read_recent(Market("", pair), Answer(body.replace(start, f"{start}{bad},", 1).encode()))
    assert [one for one in found if isinstance(one, Execution)] == expected
    assert [one.raw for one in found if isinstance(one, Unreadable)] == [bad.encode()]
