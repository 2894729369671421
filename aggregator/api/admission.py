"""How many requests may be under way in this process at once; those beyond are refused on the spot, not queued."""

from starlette.types import ASGIApp, Receive, Scope, Send

from aggregator.api.responses import answer
from aggregator.observability.metrics import Metrics

STREAMS = frozenset({"/stream", "/ws"})  # they have a bound of their own, as theirs last
_OPS = frozenset({"/health", "/ready", "/metrics"})
_MOST_OPS = 100
_TOO_MANY = answer({"msg": "Too many requests under way"}, 503, {"Retry-After": "1"})


class _Slots:
    """So many and no more."""

    def __init__(self, most: int) -> None:
        self.free = most


class Admission:
    """Stands before the application. An answer counts until its last byte has been handed over.

    What operators ask has slots of its own, so that it is answered however many others ask.
    """

    def __init__(self, app: ASGIApp, most: int, metrics: Metrics) -> None:
        self._app = app
        self._slots = _Slots(most)
        self._ops_slots = _Slots(_MOST_OPS)
        self._in_flight = metrics.in_flight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it: 503."""
        if scope["path"] in STREAMS:
            await self._app(scope, receive, send)
            return
        slots = self._ops_slots if scope["type"] == "http" and scope["path"] in _OPS else self._slots
        if not slots.free:
            await _TOO_MANY(scope, receive, send)
            return
        slots.free -= 1
        self._in_flight.inc()
        try:
            await self._app(scope, receive, send)
        finally:
            slots.free += 1
            self._in_flight.dec()
