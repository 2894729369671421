"""Every method of the Python client once, with all of its parameters; and clients that record what is sent."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

import httpx2
from rt_price_aggregator_client import Client
from rt_price_aggregator_client.api import Api
from rt_price_aggregator_client.call import Call, PagedCall, Sender
from rt_price_aggregator_client.request import Request

T = TypeVar("T")
ASSET = "btcusdt"
SOME_TIME = datetime(2026, 11, 21, 6, 10, 27, 47125, tzinfo=UTC)
RANGE: dict[str, Any] = {"start": SOME_TIME, "order": "asc", "page_size": 5}
WHOLE: dict[str, Any] = {**RANGE, "end": datetime(2100, 1, 1, tzinfo=UTC)}

# By the method's name. Rules of alerts are added and deleted by a test of their own.
CALLS: dict[str, Callable[[Any], Any]] = {
    "price": lambda client: client.price(ASSET, details=True),
    "prices": lambda client: client.prices([ASSET, "ethusdt", "nosuch"], details=True),
    "prices of a tier": lambda client: client.prices(tier="hot"),
    "sources": lambda client: client.sources(ASSET),
    "sparklines": lambda client: client.sparklines([ASSET]),
    "refresh": lambda client: client.refresh("ethusdt"),
    "history": lambda client: client.history(ASSET, **WHOLE),
    "history_with_sources": lambda client: client.history_with_sources(ASSET, **WHOLE),
    "price_at": lambda client: client.price_at(ASSET, datetime(2100, 1, 1, tzinfo=UTC)),
    "price_at_with_sources": lambda client: client.price_at_with_sources(ASSET, datetime(2100, 1, 1, tzinfo=UTC)),
    "candles": lambda client: client.candles(
        ASSET, "5m", start=SOME_TIME, end=datetime(2026, 11, 21, 7, tzinfo=UTC), source="prices"
    ),
    "candles of trades": lambda client: client.candles(ASSET, source="trades"),
    "trades": lambda client: client.trades(ASSET, **WHOLE),
    "last_trades": lambda client: client.last_trades("BTC/USDT", 5),
    "quote": lambda client: client.quote(ASSET),
    "aggregations": lambda client: client.aggregations(ASSET),
    "features": lambda client: client.features(ASSET),
    "anomalies": lambda client: client.anomalies(ASSET, hours=48, limit=5),
    "sentiment": lambda client: client.sentiment(ASSET, hours=48),
    "signals": lambda client: client.signals(ASSET, **WHOLE),
    "positions": lambda client: client.positions(ASSET),
    "closed_positions": lambda client: client.closed_positions(ASSET, page_size=5),
    "closed_totals": lambda client: client.closed_totals(ASSET),
    "fired_alerts": lambda client: client.fired_alerts(ASSET, hours=48, limit=5),
    "assets": lambda client: client.assets(),
    "exchanges": lambda client: client.exchanges(),
    "exchange": lambda client: client.exchange("exchange1"),
    "health": lambda client: client.health(),
    "ready": lambda client: client.ready(),
}
RULES: dict[str, Callable[[Any], Any]] = {
    "alert_rules": lambda client: client.alert_rules(),
    "add_alert_rule": lambda client: client.add_alert_rule(ASSET, "price", above=Decimal("1000000.5"), cooldown=60),
    "delete_alert_rule": lambda client: client.delete_alert_rule("0123456789abcdef"),
}


def methods() -> set[str]:
    """Return the names of the methods that send a request."""
    return {name for name, value in vars(Api).items() if isinstance(value, Call | PagedCall)}


class RequestRecorder(Sender, Api):
    """A client that keeps its requests and sends none. Every list has two empty pages."""

    def __init__(self) -> None:
        self.requests: list[Request[Any]] = []

    def send(self, request: Request[T]) -> T:
        """Keep a request."""
        self.requests.append(request)
        is_first = not any(name == "cursor" for name, _ in request.parameters)
        pages: Any = ([], "a-cursor" if is_first else None)
        return pages  # type: ignore[no-any-return] # which only iterations over pages look at


class BodyRecorder(httpx2.BaseTransport):
    """A connection to the real service that keeps the body of each answer."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self._transport = httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; keep what is answered."""
        response = self._transport.handle_request(request)
        response.read()
        self.bodies.append(response.content)
        return response

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()


def every_item(found: Any) -> list[Any]:
    """Return all items of an iterator, or the answer itself as the only one."""
    return list(found) if isinstance(found, Iterator) else [found]


def scripted(*answers: httpx2.Response | Exception, sent: list[httpx2.Request] | None = None, **options: Any) -> Client:
    """Return a client that gets these answers in turn; `sent` gets its requests."""
    remaining = iter(answers)

    def answer(request: httpx2.Request) -> httpx2.Response:
        if sent is not None:
            request.read()
            sent.append(request)
        found = next(remaining)
        if isinstance(found, Exception):
            raise found
        return found

    return Client("http://service", http_transport=httpx2.MockTransport(answer), **options)
