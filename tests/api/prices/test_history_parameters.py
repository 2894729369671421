"""History's parameters: the 400 that names a wrong one, cursors, and the 503 when the store is away."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from aggregator.api.app import build
from aggregator.api.prices.candles import CandlesRoute
from aggregator.api.prices.history import HistoryRoutes
from aggregator.api.reads.history_reader import Cursor, write_cursor
from aggregator.errors import StoreUnavailable
from aggregator.models import Price
from aggregator.observability.metrics import Metrics
from tests.api.prices.history_parts import CATALOG, Parts, over_sqlite
from tests.parts.asgi import get
from tests.parts.examples import NOW, price


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sqlite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parts]:
    """Open the routes over SQLite."""
    async with over_sqlite(tmp_path_factory.mktemp("sqlite")) as parts:
        yield parts


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("history?limit=0", "limit must be a whole number from 1 to 1000"),
        ("history?limit=1000000000", "limit"),
        ("history?limit=ten", "limit"),
        ("history?start=2026-02-30", "start must be unix seconds or RFC 3339"),
        ("history?end=2026-02-30T00:00:00Z", "end must be"),
        ("history?start=2&end=1", "start must not be after end"),
        ("history?order=up", "order must be one of asc, desc"),
        ("history?cursor=xyz", "cursor is not one that was given for a0"),
        ("history?cursor=", "cursor"),
        ("history?sources=yes", "sources must be one of true, false"),
        ("history?sources=", "sources must be one of"),
        ("history?sources=true&format=csv", "sources=true needs JSON"),
        ("at?time=1&sources=1", "sources must be one of"),
        ("at?time=1&sources=true&format=csv", "sources=true needs JSON"),
        ("at", "time is missing"),
        ("at?time=", "time must be"),
        ("at?time=nan", "time must be"),
        ("candles?interval=2m", "interval must be one of 1m, 5m, 15m, 1h, 4h, 1d"),
        ("candles?start=2&end=1", "start must not be after end"),
        ("candles?start=0&end=253402300799", "at most 100000 candles of 1m"),
        ("candles?start=-1", "start must be"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_bad_parameters_are_named(sqlite: Parts, query: str, told: str) -> None:
    """A wrong parameter is 400, with its name and what is allowed."""
    answer = await get(sqlite.app, f"/prices/a0/{query}")
    assert answer.status == 400
    assert told in answer.json["msg"]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_cursor_is_for_its_own_asset_and_range(sqlite: Parts) -> None:
    """A cursor of another asset is 400, and so is a cursor together with a range."""
    asset, other = sqlite.fresh_asset(), sqlite.fresh_asset()
    await sqlite.history.write([price(asset, NOW), price(asset, NOW + 1)])
    following = (await sqlite.get(f"/prices/{asset}/history?limit=1"))["next"]
    assert len((await sqlite.get(f"/prices/{asset}/history?cursor={following}"))["prices"]) == 1
    for target in (
        f"/prices/{other}/history?cursor={following}",
        f"/prices/{asset}/history?start=1&cursor={following}",
    ):
        answer = await get(sqlite.app, target)
        assert answer.status == 400
        assert answer.json["msg"].startswith("cursor")


@pytest.mark.parametrize(("start", "end"), [(-1.0, NOW), (-1e308, 1e308), (0.0, 1e308), (0.0, -1e308), (1e126, 1e126)])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_cursor_of_ones_own_is_refused(sqlite: Parts, start: float, end: float) -> None:
    """Its times would be an error of a store that has no such numbers, as DynamoDB has none beyond 1e126."""
    made = write_cursor(Cursor("a0", start, end, newest_first=True))
    answer = await get(sqlite.app, f"/prices/a0/history?cursor={made}")
    assert (answer.status, answer.json["msg"]) == (400, "cursor is not one that was given for a0")


async def test_a_history_that_is_away_is_503() -> None:
    """Every route is 503 with Retry-After; candles too, because their first page is read before the response starts."""

    class Away:
        async def between(self, *_: object, **__: object) -> list[Price]:
            raise StoreUnavailable("away")

    away: Any = Away()  # the routes use no other method
    routes = HistoryRoutes(CATALOG, away).routes() + CandlesRoute(CATALOG, away).routes()
    app = build(routes, Metrics(CollectorRegistry()))
    for target in ("/prices/a0/history", "/prices/a0/at?time=1", "/prices/a0/candles"):
        answer = await get(app, target)
        assert (answer.status, answer.json) == (
            503,
            {"msg": "History cannot be read now", "code": "history_unavailable"},
        )
        assert answer.headers["retry-after"] == "1"
