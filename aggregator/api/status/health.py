"""GET /health: whether the process is alive; and its state as JSON."""

import time
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.responses import Response as HttpResponse

from aggregator.api.routing.description import Json, Response, json, text
from aggregator.api.routing.responses import NO_STORE as NO_STORE_HEADER
from aggregator.api.routing.responses import accepts, answer
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import NO_STORE, Time
from aggregator.api.status.partitions import LONGEST_WAIT, Partition, partitions_of
from aggregator.api.status.readiness import ReadinessCheck
from aggregator.models import rfc_3339
from aggregator.trades.ports import LiveTrades

Status = Literal["healthy", "degraded", "unhealthy"]
_Seconds = Annotated[float | None, Meta(description="Seconds; null without a trade in the last minute")]


class Health(Struct, frozen=True):
    """The state of the process. Latencies are those of the last minute."""

    status: Annotated[
        Status,
        Meta(
            description="unhealthy while trades cannot be stored; degraded while /ready has a reason or a trade has"
            f" waited for more than {LONGEST_WAIT:g} s; else healthy"
        ),
    ]
    consumer_lag: Annotated[
        int | None, Meta(description="Trades that wait for the processor; null in a process that takes in none")
    ]
    store_latency_p99: _Seconds
    ingest_latency_p50: _Seconds
    ingest_latency_p99: _Seconds
    uptime_seconds: Annotated[float, Meta(ge=0)]
    partitions: Annotated[
        tuple[Partition, ...], Meta(description="Of a kafka:// log, those that this process reads; else empty")
    ]
    checked_at: Time


_HEALTH: Json = {
    "status": "healthy",
    "consumer_lag": 12,
    "store_latency_p99": 0.004,
    "ingest_latency_p50": 0.003,
    "ingest_latency_p99": 0.011,
    "uptime_seconds": 3600.25,
    "partitions": [{"partition": 0, "records": 12, "seconds": 0.4}],
    "checked_at": "2026-11-21T06:10:27.047Z",
}


class HealthRoute:
    """The route for the health of the process. `now` is unix seconds, `monotonic` seconds of a clock without steps."""

    def __init__(
        self,
        readiness: ReadinessCheck,
        trades: LiveTrades | None,
        now: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._readiness = readiness
        self._trades = trades
        self._now = now
        self._monotonic = monotonic
        self._started = monotonic()

    def routes(self) -> list[Route]:
        """Return the route."""
        return routes_of(self)

    @Route(
        "GET",
        "/health",
        label="/health",
        operation_id="getHealth",
        tag="service",
        summary="Whether the process is alive",
        description="The status is always 200, because a process that is not alive gives no response. The body is `OK`;"
        " for a request whose `Accept` has `application/json`, it tells how the process does.",
        responses={
            200: Response("The process is alive", (text("text/plain", "OK"), json(Health, _HEALTH)), (NO_STORE,))
        },
        access="open",
        is_probe=True,
    )
    async def health(self, request: Request) -> HttpResponse:
        """Return OK, or the health as JSON."""
        if not accepts(request.headers, "accept", "application/json"):
            return PlainTextResponse("OK", headers=NO_STORE_HEADER)
        return answer(await self._look())

    async def _look(self) -> Health:
        reasons = (await self._readiness.look()).reasons
        trades = self._trades
        backlog = None if trades is None else trades.backlog
        latencies = None if trades is None else trades.latencies
        trouble, waited = ("", 0.0) if trades is None or backlog is None else (trades.trouble, backlog.seconds)
        return Health(
            status=status_of(reasons, trouble, waited),
            consumer_lag=None if backlog is None else backlog.trades,
            store_latency_p99=None if latencies is None else latencies.store_p99,
            ingest_latency_p50=None if latencies is None else latencies.ingest_p50,
            ingest_latency_p99=None if latencies is None else latencies.ingest_p99,
            uptime_seconds=round(self._monotonic() - self._started, 3),
            partitions=partitions_of(trades),
            checked_at=rfc_3339(self._now()),
        )


def status_of(reasons: Sequence[str], trouble: str, waited: float) -> Status:
    """Return the status, from the reasons of /ready, why trades are not stored, and how long the oldest has waited."""
    if trouble:
        return "unhealthy"
    return "degraded" if reasons or waited > LONGEST_WAIT else "healthy"
