"""Trades as the documentations of the venues show them: frames and answers, and what the dialects read in them."""

from decimal import Decimal

import msgspec

from aggregator.exchanges.dialect import Execution
from aggregator.models import Side

BINANCE = (
    '{"stream":"bnbbtc@trade","data":{"e":"trade","E":1672515782137,"s":"BNBBTC","t":12345,"p":"0.001","q":"100",'
    '"T":1672515782136,"m":true,"M":true}}'
)
COINBASE = (
    '{"type":"match","trade_id":10,"sequence":50,"maker_order_id":"ac928c66-ca53-498f-9c13-a110027a60e8",'
    '"taker_order_id":"132fb6ae-456b-4654-b4e0-d681ac05cea1","time":"2014-11-07T08:19:27.028459Z",'
    '"product_id":"BTC-USD","size":"5.23512","price":"400.23","side":"sell"}'
)
KRAKEN = (
    '{"channel":"trade","type":"update","data":[{"symbol":"MATIC/USD","side":"sell","price":0.5117,"qty":40.0,'
    '"ord_type":"market","trade_id":4665906,"timestamp":"2023-09-25T07:49:37.708706Z"},{"symbol":"MATIC/USD",'
    '"side":"buy","price":0.5117,"qty":0.123456789012345678,"ord_type":"market","trade_id":4665907,'
    '"timestamp":"2023-09-25T07:49:37.708706Z"}]}'
)
OKX = (
    '{"arg":{"channel":"trades-all","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"130639474",'
    '"px":"42219.9","sz":"0.12060306","side":"buy","source":"0","ts":"1630048897897"}]}'
)
BYBIT = (
    '{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1672304486868,"data":[{"T":1672304486865,"s":"BTCUSDT",'
    '"S":"Buy","v":"0.001","p":"16578.50","L":"PlusTick","i":"20f43950-d8dd-5b31-9112-a178eb6023af","BT":false,'
    '"seq":1783284617}]}'
)
MOCK = (
    '{"trades":[{"id":"123","symbol":"btcusdt","price":1.5,"volume":0.25,"side":"buy","timestamp":1764400000.123456}]}'
)
FRAMES = {"binance": BINANCE, "coinbase": COINBASE, "kraken": KRAKEN, "okx": OKX, "bybit": BYBIT, "mock": MOCK}

MATIC = Execution("MATIC/USD", Decimal("0.5117"), Decimal(40), 1695628177.708706, "4665906", Side.SELL, 4665906)
READ = {
    "binance": [Execution("bnbbtc", Decimal("0.001"), Decimal(100), 1672515782.136, "12345", Side.SELL)],
    "coinbase": [Execution("BTC-USD", Decimal("400.23"), Decimal("5.23512"), 1415348367.028459, "10", Side.BUY, 50)],
    "kraken": [
        MATIC,
        msgspec.structs.replace(
            MATIC, volume=Decimal("0.123456789012345678"), id="4665907", side=Side.BUY, sequence=4665907
        ),
    ],
    "okx": [Execution("BTC-USDT", Decimal("42219.9"), Decimal("0.12060306"), 1630048897.897, "130639474", Side.BUY)],
    "bybit": [
        Execution(
            "BTCUSDT",
            Decimal("16578.50"),
            Decimal("0.001"),
            1672304486.865,
            "20f43950-d8dd-5b31-9112-a178eb6023af",
            Side.BUY,
            1783284617,
        )
    ],
    "mock": [Execution("btcusdt", Decimal("1.5"), Decimal("0.25"), 1764400000.123456, "123", Side.BUY)],
}

BINANCE_RECENT = (
    '[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,'
    '"isBuyerMaker":true,"isBestMatch":true},{"id":28458,"price":"4.1","qty":"1","quoteQty":"4.1",'
    '"time":1499865549591,"isBuyerMaker":false,"isBestMatch":true}]'
)
COINBASE_RECENT = (
    '[{"time":"2014-11-07T22:19:28.578544Z","trade_id":74,"price":"10.00000000","size":"0.01000000","side":"buy"},'
    '{"time":"2014-11-07T01:08:43.642366Z","trade_id":73,"price":"100.00000000","size":"0.01000000",'
    '"side":"sell"}]'
)
KRAKEN_RECENT = (
    '{"error":[],"result":{"XXBTZUSD":[["30243.40000","0.34507674",1688669597.8277369,"b","m","",61044952],'
    '["30243.30000","0.00376960",1688669598.2804112,"s","l","",61044953]],"last":"1688671969993150842"}}'
)
OKX_RECENT = (
    '{"code":"0","msg":"","data":[{"instId":"BTC-USDT","side":"sell","sz":"0.00001","source":"0","px":"29963.2",'
    '"tradeId":"242720720","ts":"1654161646974"},{"instId":"BTC-USDT","side":"sell","sz":"0.00001","source":"0",'
    '"px":"29964.1","tradeId":"242720719","ts":"1654161641568"}]}'
)
BYBIT_RECENT = (
    '{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"execId":"2100000000007764263",'
    '"symbol":"BTCUSDT","price":"16618.49","size":"0.00012","side":"Buy","time":"1672052955758",'
    '"isBlockTrade":false,"isRPITrade":true,"seq":"123456"}]},"retExtInfo":{},"time":1672053054358}'
)


def executed(
    name: str, price: str, volume: str, seconds: float, trade: str, side: Side, sequence: int | None = None
) -> Execution:
    """Return an execution with numbers from text."""
    return Execution(name, Decimal(price), Decimal(volume), seconds, trade, side, sequence)


# The recent trades of a market: its name, the request, the body, and what is read in it, the oldest first.
RECENT: dict[str, tuple[str, str, str, list[Execution]]] = {
    "binance": (
        "BNBBTC",
        "/api/v3/trades?symbol=BNBBTC&limit=1000",
        BINANCE_RECENT,
        [
            executed("BNBBTC", "4.00000100", "12.00000000", 1499865549.59, "28457", Side.SELL),
            executed("BNBBTC", "4.1", "1", 1499865549.591, "28458", Side.BUY),
        ],
    ),
    "coinbase": (
        "BTC-USD",
        "/products/BTC-USD/trades?limit=1000",
        COINBASE_RECENT,
        [
            executed("BTC-USD", "100.00000000", "0.01000000", 1415322523.642366, "73", Side.BUY),
            executed("BTC-USD", "10.00000000", "0.01000000", 1415398768.578544, "74", Side.SELL),
        ],
    ),
    "kraken": (
        "XXBTZUSD",
        "/0/public/Trades?pair=XXBTZUSD&count=1000",
        KRAKEN_RECENT,
        [
            Execution(
                "XXBTZUSD",
                Decimal("30243.40000"),
                Decimal("0.34507674"),
                1688669597.827736,
                "61044952",
                Side.BUY,
                61044952,
            ),
            Execution(
                "XXBTZUSD",
                Decimal("30243.30000"),
                Decimal("0.00376960"),
                1688669598.280411,
                "61044953",
                Side.SELL,
                61044953,
            ),
        ],
    ),
    "okx": (
        "BTC-USDT",
        "/api/v5/market/trades?instId=BTC-USDT&limit=500",
        OKX_RECENT,
        [
            executed("BTC-USDT", "29964.1", "0.00001", 1654161641.568, "242720719", Side.SELL),
            executed("BTC-USDT", "29963.2", "0.00001", 1654161646.974, "242720720", Side.SELL),
        ],
    ),
    "bybit": (
        "BTCUSDT",
        "/v5/market/recent-trade?category=spot&symbol=BTCUSDT&limit=60",
        BYBIT_RECENT,
        [
            Execution(
                "BTCUSDT",
                Decimal("16618.49"),
                Decimal("0.00012"),
                1672052955.758,
                "2100000000007764263",
                Side.BUY,
                123456,
            )
        ],
    ),
    "mock": ("btcusdt", "/mock/trades?symbols=btcusdt&limit=1000", MOCK, READ["mock"]),
}
