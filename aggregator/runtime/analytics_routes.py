"""The routes of the analytics: what they found, from the stores of events, and the state of those in this process."""

from collections.abc import Sequence

from aggregator.api.positions import PositionRoutes
from aggregator.api.route import Route
from aggregator.api.signals import SignalRoutes
from aggregator.runtime.build_analytics import EventStores
from aggregator.runtime.process import Process
from aggregator.trades.analytic import Analytic


def analytics_routes(process: Process, stores: EventStores, analytics: Sequence[Analytic]) -> list[Route]:  # noqa: ARG001  # not every analytic has a state to show
    """Return the routes. `analytics` are those of this process; none where other processes process the trades."""
    return [
        *SignalRoutes(process.catalog, stores.events, process.clock.now).routes(),
        *PositionRoutes(process.catalog, stores.positions).routes(),
    ]
