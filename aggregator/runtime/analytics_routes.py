"""The routes of the analytics: what they found, from the stores of events, and the state of those in this process."""

from collections.abc import Sequence

from aggregator.api.route import Route
from aggregator.api.sentiment import SentimentRoute
from aggregator.runtime.build_analytics import EventStores
from aggregator.runtime.build_news import why_off
from aggregator.runtime.process import Process
from aggregator.trades.analytic import Analytic


def analytics_routes(process: Process, stores: EventStores, analytics: Sequence[Analytic]) -> list[Route]:  # noqa: ARG001  # each analytic adds its line
    """Return the routes. `analytics` are those of this process; none where other processes process the trades."""
    catalog, now = process.catalog, process.clock.now
    return [
        *SentimentRoute(catalog, stores.events, now, why_off(process.settings)).routes(),
    ]
