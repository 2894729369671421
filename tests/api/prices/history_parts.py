"""The history routes over one store, for tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from aggregator.api.app import build
from aggregator.api.prices.candles import CandlesRoute
from aggregator.api.prices.history import HistoryRoutes
from aggregator.observability.metrics import Metrics
from aggregator.ports import History, PriceReader
from aggregator.prices.tiers import assign
from aggregator.stores.sqlite import SqliteHistory
from tests.parts.asgi import all_pages, get
from tests.parts.examples import CADENCE, NOW

CATALOG = assign([(f"a{number}", "", "") for number in range(500)], 500, 0, CADENCE)


class Parts:
    """The routes over one history; over `reader`, where it is not read itself."""

    def __init__(self, history: History, reader: PriceReader | None = None) -> None:
        self.history = history
        # A read may take a minute: on a busy machine the usual time limit would turn some responses into 503.
        reader = reader or history
        routes = HistoryRoutes(CATALOG, reader, lambda: NOW, 60).routes()
        routes += CandlesRoute(CATALOG, reader, lambda: NOW, 60).routes()
        self.app: ASGIApp = build(routes, Metrics(CollectorRegistry()))
        self._unused = iter(CATALOG.assets)

    def fresh_asset(self) -> str:
        """Return an asset without prices."""
        return next(self._unused)

    async def get(self, target: str, **headers: str) -> Any:
        """GET a target that must answer 200; return the decoded body."""
        answer = await get(self.app, target, headers)
        assert answer.status == 200, answer.text
        return answer.json

    async def pages(self, target: str) -> list[dict[str, Any]]:
        """Follow `Link: rel="next"` to the end; return all rows."""
        return await all_pages(self.app, target, "prices")


@asynccontextmanager
async def over_sqlite(folder: Path) -> AsyncIterator[Parts]:
    """Open the routes over a SQLite file in `folder`."""
    history = SqliteHistory(folder / "prices.db")
    await history.open()
    yield Parts(history)
    await history.close()
