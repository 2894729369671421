"""Local venues with a feed of trades and a REST call for the recent ones, each after its documentation."""

import json
import time
from collections.abc import Mapping, Sequence

from aiohttp import web

from tests.exchanges.venues.trade_server import Made, TradeVenue


def _strings(found: object) -> list[str]:
    assert isinstance(found, list)
    return [str(one) for one in found]


class BinanceTradeVenue(TradeVenue):
    """developers.binance.com: web-socket-streams (trade streams), market-data-endpoints (recent trades list)."""

    push_path, rest_path = "/stream", "/api/v3/trades"
    btc, rest_btc = "btcusdt", "symbol=BTCUSDT"

    def _names_in(self, asked: Mapping[str, object]) -> tuple[set[str], bool]:
        return {one.removesuffix("@trade") for one in _strings(asked["params"])}, asked["method"] == "SUBSCRIBE"

    def _receipt(self, asked: Mapping[str, object]) -> str:
        return json.dumps({"result": None, "id": asked["id"]})

    def _frame(self, one: Made) -> str:
        maker = "false" if one.bought else "true"
        return (
            f'{{"stream":"btcusdt@trade","data":{{"e":"trade","E":{one.millis + 3},"s":"BTCUSDT","t":{one.number},'
            f'"p":"{one.price}","q":"{one.volume}","T":{one.millis},"m":{maker},"M":true}}}}'
        )

    def _answer(self, made: Sequence[Made]) -> str:
        rows = [
            f'{{"id":{one.number},"price":"{one.price}","qty":"{one.volume}","quoteQty":"48.000012","time":{one.millis},'
            f'"isBuyerMaker":{"false" if one.bought else "true"},"isBestMatch":true}}'
            for one in made
        ]
        return f"[{','.join(rows)}]"


class CoinbaseTradeVenue(TradeVenue):
    """docs.cdp.coinbase.com/exchange: websocket-feed/channels (matches, heartbeat), get-product-trades."""

    push_path, rest_path = "/", "/products/{id}/trades"
    btc, rest_btc = "BTC-USDT", "/products/BTC-USDT/trades"
    keeps_micros = True

    def _names_in(self, asked: Mapping[str, object]) -> tuple[set[str], bool]:
        return set(_strings(asked["product_ids"])), asked["type"] == "subscribe"

    def _receipt(self, asked: Mapping[str, object]) -> str:
        channels = [{"name": name, "product_ids": asked["product_ids"]} for name in ("matches", "heartbeat")]
        return json.dumps({"type": "subscriptions", "channels": channels})

    def _frame(self, one: Made) -> str:
        return (
            f'{{"type":"match","trade_id":{one.number},"sequence":{one.number * 37},"maker_order_id":"ac928c66","taker_'
            f'order_id":"132fb6ae","time":"{one.stamp}","product_id":"BTC-USDT","size":"{one.volume}",'
            f'"price":"{one.price}","side":"{"sell" if one.bought else "buy"}"}}'
        )

    def heartbeat(self) -> str:
        """Return a heartbeat with the number of the newest trade."""
        number = self.made[-1].number
        return json.dumps(
            {
                "type": "heartbeat",
                "sequence": 90,
                "last_trade_id": number,
                "product_id": self.btc,
                "time": "2014-11-07T08:19:28.464459Z",
            }
        )

    def _answer(self, made: Sequence[Made]) -> str:
        rows = [
            f'{{"time":"{one.stamp}","trade_id":{one.number},"price":"{one.price}","size":"{one.volume}",'
            f'"side":"{"sell" if one.bought else "buy"}"}}'
            for one in reversed(made)
        ]
        return f"[{','.join(rows)}]"


class KrakenTradeVenue(TradeVenue):
    """docs.kraken.com/api: docs/websocket-v2/trade, docs/rest-api/get-recent-trades."""

    push_path, rest_path = "/v2", "/0/public/Trades"
    btc, rest_btc = "BTC/USDT", "pair=XBTUSDT"
    keeps_micros = True

    def _names_in(self, asked: Mapping[str, object]) -> tuple[set[str], bool]:
        parameters = asked["params"]
        assert isinstance(parameters, dict)
        assert parameters["channel"] == "trade"
        return set(_strings(parameters["symbol"])), asked["method"] == "subscribe"

    def _receipt(self, asked: Mapping[str, object]) -> str:
        return json.dumps({"method": asked["method"], "result": {"channel": "trade"}, "success": True})

    def _frame(self, one: Made) -> str:
        return (
            f'{{"channel":"trade","type":"update","data":[{{"symbol":"BTC/USDT","side":'
            f'"{"buy" if one.bought else "sell"}","price":{one.price},"qty":{one.volume},"ord_type":"market",'
            f'"trade_id":{one.number},"timestamp":"{one.stamp}"}}]}}'
        )

    def _answer(self, made: Sequence[Made]) -> str:
        rows = [
            f'["{one.price}","{one.volume}",{one.seconds},"{"b" if one.bought else "s"}","m","",{one.number}]'
            for one in made
        ]
        return f'{{"error":[],"result":{{"XBTUSDT":[{",".join(rows)}],"last":"1688671969993150842"}}}}'


class OkxTradeVenue(TradeVenue):
    """www.okx.com/docs-v5/en: WS / All trades channel, GET / Trades."""

    push_path, rest_path = "/ws/v5/business", "/api/v5/market/trades"
    btc, rest_btc = "BTC-USDT", "instId=BTC-USDT"

    def _names_in(self, asked: Mapping[str, object]) -> tuple[set[str], bool]:
        arguments = asked["args"]
        assert isinstance(arguments, list)
        assert {one["channel"] for one in arguments} == {"trades-all"}
        return {one["instId"] for one in arguments}, asked["op"] == "subscribe"

    def _receipt(self, asked: Mapping[str, object]) -> str:
        return json.dumps(
            {"event": asked["op"], "arg": {"channel": "trades-all", "instId": self.btc}, "connId": "a4d3ae55"}
        )

    def _row(self, one: Made) -> str:
        return (
            f'{{"instId":"BTC-USDT","tradeId":"{one.number}","px":"{one.price}","sz":"{one.volume}",'
            f'"side":"{"buy" if one.bought else "sell"}","source":"0","ts":"{one.millis}"}}'
        )

    def _frame(self, one: Made) -> str:
        return f'{{"arg":{{"channel":"trades-all","instId":"BTC-USDT"}},"data":[{self._row(one)}]}}'

    def _answer(self, made: Sequence[Made]) -> str:
        return f'{{"code":"0","msg":"","data":[{",".join(self._row(one) for one in reversed(made))}]}}'


class BybitTradeVenue(TradeVenue):
    """bybit-exchange.github.io/docs/v5: websocket/public/trade, market/recent-trade."""

    push_path, rest_path = "/v5/public/spot", "/v5/market/recent-trade"
    btc, rest_btc = "BTCUSDT", "symbol=BTCUSDT"

    def _names_in(self, asked: Mapping[str, object]) -> tuple[set[str], bool]:
        if asked["op"] == "ping":
            return set(), True
        return {one.removeprefix("publicTrade.") for one in _strings(asked["args"])}, asked["op"] == "subscribe"

    def _receipt(self, asked: Mapping[str, object]) -> str:
        return json.dumps({"success": True, "ret_msg": "", "conn_id": "2324d924", "op": asked["op"]})

    def _frame(self, one: Made) -> str:
        return (
            f'{{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":{one.millis + 2},"data":[{{"T":{one.millis},'
            f'"s":"BTCUSDT","S":"{"Buy" if one.bought else "Sell"}","v":"{one.volume}","p":"{one.price}",'
            f'"L":"PlusTick","i":"{one.number}","BT":false,"RPI":false,"seq":{one.number * 3}}}]}}'
        )

    def _answer(self, made: Sequence[Made]) -> str:
        rows = [
            f'{{"execId":"{one.number}","symbol":"BTCUSDT","price":"{one.price}","size":"{one.volume}",'
            f'"side":"{"Buy" if one.bought else "Sell"}","time":"{one.millis}","isBlockTrade":false,"isRPITrade":false,'
            f'"seq":"{one.number * 3}"}}'
            for one in reversed(made)
        ]
        return (
            f'{{"retCode":0,"retMsg":"OK","result":{{"category":"spot","list":[{",".join(rows)}]}},"retExtInfo":{{}},'
            f'"time":{round(time.time() * 1000)}}}'
        )


class MockTradeVenue(TradeVenue):
    """mock_exchange/, for faults that it does not have."""

    push_path, rest_path = "/mock/trades", "/mock/trades"
    btc, rest_btc = "btcusdt", "symbols=btcusdt"
    keeps_micros = True

    def _names_in(self, asked: Mapping[str, object]) -> tuple[set[str], bool]:
        return set(_strings(asked["symbols"])), asked["op"] == "subscribe"

    def _receipt(self, asked: Mapping[str, object]) -> str:
        return json.dumps({"type": f"{asked['op']}d", "symbols": asked["symbols"]})

    def _row(self, one: Made) -> str:
        return (
            f'{{"id":"{one.number}","symbol":"btcusdt","price":{one.price},"volume":{one.volume},'
            f'"side":"{"buy" if one.bought else "sell"}","timestamp":{one.seconds}}}'
        )

    def _frame(self, one: Made) -> str:
        return self.frame_of([one])

    def frame_of(self, made: Sequence[Made]) -> str:
        """Return a frame with several trades."""
        return f'{{"trades":[{",".join(self._row(one) for one in made)}]}}'

    def _answer(self, made: Sequence[Made]) -> str:
        return self.frame_of(made)

    async def push(self, request: web.Request) -> web.StreamResponse:
        """Serve either interface: both are at one path."""
        return await super().push(request) if "Upgrade" in request.headers else await self.recent(request)


TRADE_VENUES: Mapping[str, type[TradeVenue]] = {
    "binance": BinanceTradeVenue,
    "coinbase": CoinbaseTradeVenue,
    "kraken": KrakenTradeVenue,
    "okx": OkxTradeVenue,
    "bybit": BybitTradeVenue,
    "mock": MockTradeVenue,
}
