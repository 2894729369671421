"""GET /signals/{asset}, /positions and /positions/closed, over stores in memory."""

import csv
import io
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from aggregator.api.app import build
from aggregator.api.events.positions import CURSORS as POSITION_CURSORS
from aggregator.api.events.positions import ClosedCursor, PositionRoutes
from aggregator.api.events.signals import CURSORS, SignalRange, SignalRoutes
from aggregator.errors import StoreUnavailable
from aggregator.observability.metrics import Metrics
from aggregator.prices.tiers import assign
from aggregator.stores.events.memory import MemoryEvents, MemoryPositions
from aggregator.strategy.ports import Position
from aggregator.strategy.signals import SIGNALS, signal_of, stored_signal
from tests.parts.asgi import all_pages, get
from tests.parts.examples import CADENCE, NOW

CATALOG = assign([("btcusdt", "btc", "usdt"), ("etheur", "eth", "eur"), ("solusdt", "", "")], 1, 0, CADENCE)


def opened(number: int, asset: str = "btcusdt") -> Position:
    """Return an open position."""
    return Position(f"id{number}", asset, Decimal("0.5"), Decimal(100), NOW + number)


def closed(number: int, asset: str = "btcusdt", price: str = "105.25") -> Position:
    """Return a closed position."""
    profit = Decimal("0.5") * (Decimal(price) - 100)
    return msgspec.structs.replace(
        opened(number, asset),
        exit_price=Decimal(price),
        exit_time=NOW + number + 0.5,
        profit=profit,
        exit_reason="gain",
    )


class Api:
    """The routes at NOW. A read of the stores may take a minute."""

    def __init__(self, positions: Any = None, events: Any = None) -> None:
        self.positions = positions or MemoryPositions()
        self.events = events or MemoryEvents(1e12, lambda: NOW)
        signals = SignalRoutes(CATALOG, self.events, lambda: NOW, 60).routes()
        routes = [*signals, *PositionRoutes(CATALOG, self.positions, 60).routes()]
        self.app = build(routes, Metrics(CollectorRegistry()))

    async def keep(self, *positions: Position) -> None:
        """Store positions and their signals."""
        for one in positions:
            buy = msgspec.structs.replace(one, exit_price=None, exit_time=None, profit=None, exit_reason=None)
            assert await self.positions.open(buy)
            await self.events.put(SIGNALS.name, [stored_signal(signal_of(buy))])
            if one.exit_time is not None:
                assert await self.positions.close_position(one)
                await self.events.put(SIGNALS.name, [stored_signal(signal_of(one))])

    async def get(self, target: str) -> Any:
        """GET a target that must answer 200; return the decoded body."""
        answer = await get(self.app, target, {})
        assert answer.status == 200, answer.text
        return answer.json

    async def pages(self, target: str, name: str) -> list[Any]:
        """Follow the Link header to the end; return all rows."""
        return await all_pages(self.app, target, name)


async def test_signals_are_paper() -> None:
    """Newest first, with every digit; a buy has no profit."""
    api = Api()
    await api.keep(closed(1))
    body = await api.get("/signals/BTC-USDT")
    assert (body["asset"], body["paper"], body["next"]) == ("btcusdt", True, None)
    sell, buy = body["signals"]
    assert sell == {
        "id": "id1-sell",
        "asset": "btcusdt",
        "side": "sell",
        "reason": "gain",
        "price": Decimal("105.25"),
        "quantity": Decimal("0.5"),
        "timestamp": NOW + 1.5,
        "position": "id1",
        "profit": Decimal("2.625"),
        "paper": True,
    }
    assert (buy["side"], buy["reason"], buy["profit"], buy["paper"]) == ("buy", "drop", None, True)
    (told,) = (await api.get(f"/signals/btcusdt?start={NOW + 1.2}&numbers=string"))["signals"]
    assert (told["price"], told["profit"], told["timestamp"]) == ("105.25", "2.625", NOW + 1.5)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_have_each_signal_once(order: str) -> None:
    """In both directions, of a range."""
    api = Api()
    await api.keep(*(closed(number) for number in range(10)))
    rows = await api.pages(f"/signals/btcusdt?limit=3&order={order}&start={NOW + 2}&end={NOW + 8}", "signals")
    times = [row["timestamp"] for row in rows]
    assert times == sorted((NOW + half / 2 for half in range(4, 17)), reverse=order == "desc")


async def test_open_positions() -> None:
    """Open positions are those of all assets or of one, the newest first."""
    api = Api()
    await api.keep(opened(1), opened(2, "etheur"))
    body = await api.get("/positions")
    assert (body["paper"], [one["id"] for one in body["positions"]]) == (True, ["id2", "id1"])
    assert (await api.get("/positions?asset=BTC/USDT"))["positions"] == [
        {
            "id": "id1",
            "asset": "btcusdt",
            "quantity": Decimal("0.5"),
            "entry_price": 100,
            "entry_time": NOW + 1,
            "paper": True,
        }
    ]


@pytest.mark.parametrize("name", ["asset", "symbol", "ticker"])
async def test_positions_of_an_asset_by_any_of_its_names(name: str) -> None:
    """Open ones, and closed ones on every page."""
    api = Api()
    await api.keep(closed(3), closed(4, "etheur"), closed(5), opened(6), opened(7, "etheur"))
    assert [one["id"] for one in (await api.get(f"/positions?{name}=BTC-USDT"))["positions"]] == ["id6"]
    rows = await api.pages(f"/positions/closed?limit=1&{name}=btcusdt", "positions")
    assert [one["asset"] for one in rows] == ["btcusdt", "btcusdt"]


async def test_closed_positions_with_totals() -> None:
    """In pages; the totals are of all pages, by quote currency, and of one asset where it is named."""
    api = Api()
    await api.keep(*(closed(number) for number in range(7)), closed(7, "etheur", "99.5"), closed(8, "solusdt"))
    first = await api.get("/positions/closed?limit=2")
    profit = {"usdt": Decimal("18.375"), "eur": Decimal("-0.25"), "unknown": Decimal("2.625")}
    assert first["totals"] == {"closed": 9, "won": 8, "profit": profit, "complete": True}
    assert (first["paper"], first["positions"][0]["paper"]) == (True, True)
    rows = await api.pages("/positions/closed?limit=2", "positions")
    assert [row["id"] for row in rows] == [f"id{number}" for number in range(8, -1, -1)]
    assert rows[1]["profit"] == Decimal("-0.25")
    assert (rows[1]["exit_reason"], rows[1]["exit_time"]) == ("gain", NOW + 7.5)
    rows = await api.pages("/positions/closed?limit=4&asset=btcusdt&numbers=string", "positions")
    assert [row["profit"] for row in rows] == ["2.625"] * 7
    one = await api.get("/positions/closed?asset=etheur")
    assert one["totals"] == {"closed": 1, "won": 0, "profit": {"eur": Decimal("-0.25")}, "complete": True}


async def test_csv() -> None:
    """With the rows of the JSON, and the next page in the Link header."""
    api = Api()
    await api.keep(closed(1), closed(2))
    answer = await get(api.app, "/positions/closed?limit=1&format=csv")
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["id"], row["profit"], row["exit_price"], row["paper"]) == ("id2", "2.625", "105.25", "true")
    following = answer.headers["link"].partition(">")[0][1:]
    assert following.endswith("&format=csv")
    assert [one["id"] for one in csv.DictReader(io.StringIO((await get(api.app, following)).text))] == ["id1"]
    (first, *_) = csv.DictReader(io.StringIO((await get(api.app, "/signals/btcusdt?format=csv")).text))
    assert (first["side"], first["price"], first["paper"]) == ("sell", "105.25", "true")


CURSOR = POSITION_CURSORS.write(ClosedCursor("btcusdt", NOW, "id1"))


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/signals/nosuch", 404, "asset_not_found"),
        ("/signals/a.b", 400, "invalid_symbol"),
        ("/signals/btcusdt?limit=0", 400, "invalid_parameter"),
        ("/signals/btcusdt?limit=1001", 400, "invalid_parameter"),
        ("/signals/btcusdt?start=x", 400, "invalid_parameter"),
        ("/signals/btcusdt?start=2&end=1", 400, "invalid_parameter"),
        ("/signals/btcusdt?order=up", 400, "invalid_parameter"),
        ("/signals/btcusdt?cursor=x", 400, "invalid_parameter"),
        ("/signals/btcusdt?numbers=x", 400, "invalid_parameter"),
        (
            "/signals/btcusdt?cursor="
            + quote(CURSORS.write(SignalRange("btcusdt", 0.0, 1.0, newest_first=True, after=(1e300, "a")))),
            400,
            "invalid_parameter",
        ),
        ("/positions?asset=nosuch", 404, "asset_not_found"),
        ("/positions?asset=", 400, "invalid_symbol"),
        ("/positions?asset=btcusdt&symbol=etheur", 400, "invalid_parameter"),
        ("/positions?numbers=x", 400, "invalid_parameter"),
        ("/positions/closed?limit=x", 400, "invalid_parameter"),
        ("/positions/closed?cursor=x", 400, "invalid_parameter"),
        (f"/positions/closed?cursor={CURSOR}", 400, "invalid_parameter"),
        (f"/positions/closed?asset=etheur&cursor={CURSOR}", 400, "invalid_parameter"),
        (
            "/positions/closed?cursor=" + quote(POSITION_CURSORS.write(ClosedCursor(None, -1.0, ""))),
            400,
            "invalid_parameter",
        ),
        ("/positions/closed?format=xml", 400, "invalid_parameter"),
        ("/positions/closed?asset=nosuch", 404, "asset_not_found"),
        ("/positions/nosuch", 404, "not_found"),
    ],
)
async def test_what_is_refused(target: str, status: int, code: str) -> None:
    """With a stable code."""
    answer = await get(Api().app, target)
    assert (answer.status, answer.json["code"]) == (status, code)


class Away:
    """Stores that are away."""

    async def events(self, *_: object, **__: object) -> list[object]:
        """Fail."""
        raise StoreUnavailable("away")

    async def open_positions(self, *_: object) -> list[Position]:
        """Fail."""
        raise StoreUnavailable("away")

    async def closed(self, *_: object) -> list[Position]:
        """Fail."""
        raise StoreUnavailable("away")


@pytest.mark.parametrize("target", ["/signals/btcusdt", "/positions", "/positions/closed"])
async def test_stores_that_are_away(target: str) -> None:
    """A 503 that says when to try again."""
    answer = await get(Api(Away(), Away()).app, target)
    expected = (503, "events_unavailable", "1")
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == expected
