"""The routes of the analytics: what they found, from the stores of events, and the state of those in this process."""

from collections.abc import Callable, Sequence
from functools import partial

from aggregator.anomalies.analytic import Anomalies
from aggregator.api.events.anomalies import AnomalyRoute, model_state
from aggregator.api.events.positions import PositionRoutes
from aggregator.api.events.sentiment import SentimentRoute
from aggregator.api.events.signals import SignalRoutes
from aggregator.api.routing.route import Route
from aggregator.api.server.server import STOP_SECONDS
from aggregator.api.trades.schema import ModelState
from aggregator.runtime.parts.analytics.build_analytics import EventStores
from aggregator.runtime.parts.unavailable import why_no_anomalies, why_no_news
from aggregator.runtime.process import Process
from aggregator.trades.analytic import Analytic


def model_states(process: Process, analytics: Sequence[Analytic]) -> Callable[[str], ModelState] | None:
    """Return the function that tells the state of an asset's anomaly model; None if nothing looks for anomalies."""
    if why_no_anomalies(process.settings) is not None:
        return None
    return partial(model_state, _models_of(analytics))


def _models_of(analytics: Sequence[Analytic]) -> Anomalies | None:
    return next((one for one in analytics if isinstance(one, Anomalies)), None)


def analytics_routes(process: Process, stores: EventStores, analytics: Sequence[Analytic]) -> list[Route]:
    """Return the routes. `analytics` are those of this process; none where other processes process the trades."""
    catalog, settings, now = process.catalog, process.settings, process.clock.now
    models = _models_of(analytics)
    positions = PositionRoutes(catalog, stores.positions)
    process.stack.push_async_callback(positions.close, STOP_SECONDS)
    return [
        *AnomalyRoute(catalog, stores.events, models, now, why_no_anomalies(settings)).routes(),
        *SignalRoutes(catalog, stores.events, now).routes(),
        *positions.routes(),
        *SentimentRoute(catalog, stores.events, now, why_no_news(settings)).routes(),
    ]
