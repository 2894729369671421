"""The routes of the trade stream in a process that has none: they keep their description and refuse every request."""

from typing import NoReturn

import msgspec
from starlette.requests import Request

from aggregator.api.features import FeatureRoutes
from aggregator.api.ingest import IngestRoute
from aggregator.api.responses import Code, Refusal, refuse
from aggregator.api.route import Route, described
from aggregator.api.trades import TradeRoutes

_OFF = Refusal("This process takes no trades in: run one with the role `all` and without workers", Code.TRADES_OFF)


async def _refuse(_: Request) -> NoReturn:
    raise refuse(501, _OFF)


def routes_without_trades() -> list[Route]:
    """Return the routes of the trade stream with a handler that answers 501."""
    routes = [route for owner in (IngestRoute, TradeRoutes, FeatureRoutes) for route in described(owner).values()]
    return [msgspec.structs.replace(route, handler=_refuse) for route in routes]
