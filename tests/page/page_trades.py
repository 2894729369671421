"""Trades for tests of the page: Playwright answers /ws and /trades/… in place of the service."""

import json
from typing import Any

from playwright.sync_api import Page, Route, WebSocketRoute

from tests.parts.process import wait_for

WARM: dict[str, object] = {
    "vwap_1min": 100.0,
    "vwap_5min": 101.0,
    "rolling_avg_5min": 99.5,
    "volume_zscore": 0.5,
    "price_momentum": -1.25,
    "trade_frequency": 42,
    "vwap_deviation": -1.0,
    "warming_up": [],
    "by_second": False,
}
COLD = dict.fromkeys(["vwap_5min", "rolling_avg_5min", "volume_zscore", "price_momentum", "vwap_deviation"])


def a_trade(number: int, at: float, **more: object) -> dict[str, object]:
    """Return a trade of btcusdt as streams and /trades show it."""
    shown = {"asset": "btcusdt", "timestamp": at, "price": 100 + number, "volume": 0.5, "venue": "exchange1"}
    return {**shown, "id": str(number), "side": "buy", "sequence_number": None, **more}


def features(at: float, **more: object) -> dict[str, object]:
    """Return the features of btcusdt at a trade of this time."""
    return {"asset": "btcusdt", "window_start": at - 300, "window_end": at, "updated_at": at, **WARM, **more}


class Trades:
    """Answers for trades in place of the service: the stored trades, and what /ws sends."""

    def __init__(self, page: Page) -> None:
        self.stored: list[dict[str, object]] = []  # newest first
        self.refused: dict[str, object] = {}  # the status and body of a refusal of /trades
        self.has_topics = True
        self.more: str | None = None  # the cursor after the stored trades
        self.candles: list[dict[str, object]] = []
        self.subscribed: dict[str, set[str]] = {"features": set(), "trades": set()}
        self._sockets: list[WebSocketRoute] = []
        page.route("**/trades/*", self._answer)
        page.route("**/candles?*source=trades", lambda route: route.fulfill(json={"candles": self.candles}))
        page.route_web_socket("**/ws", self._connected)

    def send(self, **message: object) -> None:
        """Send a message to the page."""
        self._sockets[-1].send(json.dumps(message))

    def cut(self) -> None:
        """Close the page's connection."""
        self._sockets[-1].close()

    def _answer(self, route: Route) -> None:
        if self.refused:
            route.fulfill(**self.refused)  # type: ignore[arg-type]  # by name
        else:
            route.fulfill(json={"asset": "btcusdt", "trades": self.stored, "next": self.more})

    def _connected(self, socket: WebSocketRoute) -> None:
        self._sockets.append(socket)
        self.subscribed = {"features": set(), "trades": set()}
        socket.on_message(lambda text: self._execute(json.loads(text)))

    def _execute(self, message: dict[str, Any]) -> None:
        (topic,) = message["topics"]
        if not self.has_topics:
            self.send(type="error", msg="topics must be some of prices", code="invalid_parameter")
            return
        if message["type"] == "subscribe":
            self.subscribed[topic] |= set(message["assets"])
        else:
            self.subscribed[topic] -= set(message["assets"])
        self.send(type="subscribed", topics={name: {"assets": sorted(some)} for name, some in self.subscribed.items()})
        if message["type"] == "subscribe":
            self.send(type="snapshot", **{topic: []})


def wait_until(page: Page, trades: Trades, topic: str, symbol: str = "btcusdt") -> None:
    """Wait until the page is subscribed; playwright calls handlers only while the page is asked something."""
    wait_for(lambda: page.evaluate("true") and symbol in trades.subscribed[topic], what=f"a subscription to {topic}")
