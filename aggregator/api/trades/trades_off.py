"""The routes of the trade stream in a process that lacks a part of it: they keep their description and answer 501."""

from collections.abc import Awaitable, Callable, Iterable
from typing import NoReturn

import msgspec
from starlette.requests import Request

from aggregator.api.routing.responses import Code, Refusal, refuse
from aggregator.api.routing.route import Route, described
from aggregator.api.trades.ingest import IngestRoute

_NO_INGEST = Refusal(
    "This process takes no trades in: run one with the role `all` and without workers, or set AGGREGATOR_TRADES_LOG to"
    " a log that processes share, such as kafka://broker:9092/topic",
    Code.TRADES_OFF,
)
_NOT_STORED = Refusal(
    "This process cannot read stored trades: set AGGREGATOR_TRADES_URL to the store of the process that takes them in,"
    " which must be a sqlite:/// file on this machine, a dynamodb:// table or a postgresql:// database",
    Code.TRADES_OFF,
)
_STORED = ("/trades", "/query")


def routes_without_ingest() -> list[Route]:
    """Return the routes that take trades in, with a handler that answers 501."""
    return [_refused(route, _NO_INGEST) for route in described(IngestRoute).values()]


def routes_without_stored_trades(routes: Iterable[Route]) -> list[Route]:
    """Return the routes; those that need the store of trades have a handler that answers 501."""
    return [_refused(route, _NOT_STORED) if route.label in _STORED else route for route in routes]


def _refused(route: Route, refusal: Refusal) -> Route:
    return msgspec.structs.replace(route, handler=_refuse_with(refusal))


def _refuse_with(refusal: Refusal) -> Callable[[Request], Awaitable[NoReturn]]:
    async def handler(_: Request) -> NoReturn:
        raise refuse(501, refusal)

    return handler
