"""GET /anomalies/{asset}: unusual trades of an asset, and the state of its model."""

import time
from collections.abc import Callable
from typing import Annotated, Literal, Protocol

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response as HttpResponse

from aggregator.anomalies.event import ANOMALIES, Anomaly, Vector
from aggregator.anomalies.fit_queue import FIRST
from aggregator.api.reads.event_reader import (
    MOST_HOURS,
    USUAL_HOURS,
    StoredEvents,
    hours_of,
    hours_parameter,
    readable,
)
from aggregator.api.reads.history_reader import STORE_SECONDS
from aggregator.api.routing.description import Response, json
from aggregator.api.routing.responses import Code, Refusal, answer, asset_of, refuse, whole
from aggregator.api.routing.route import Route, routes_of
from aggregator.api.routing.shared_descriptions import (
    ASSET,
    BAD_REQUEST,
    NO_EVENTS_NOW,
    NO_STORE,
    NOT_LISTED,
    SYMBOL,
    Seconds,
    Symbol,
    limit_parameter,
    refusal,
)
from aggregator.libraries.extras import install
from aggregator.prices.tiers import Catalog
from aggregator.trades.ports import EventReader

USUAL_ROWS, MOST_ROWS = 100, 1000
SWITCHED_OFF = Refusal("Unusual trades are not looked for: set AGGREGATOR_ANOMALIES=true", Code.ANOMALIES_OFF)
NOT_INSTALLED = Refusal(
    f"Unusual trades are not looked for: scikit-learn is not installed; {install('analytics')}",
    Code.ANOMALIES_OFF,
)
_DECODER = msgspec.json.Decoder(Anomaly)
_EXAMPLE = {
    "timestamp": 1795241427.047125,
    "id": "4711",
    "venue": "exchange1",
    "anomaly_score": -0.7153,
    "threshold": -0.6217,
    "feature_vector": [77896.49, 2.5, 14.2, 0.41, 0.0031, 912],
    "model_version": "7-1c291ca3",
}


class AnomalyRow(msgspec.Struct, frozen=True):
    """An unusual trade. Scores are from -1 to 0; the lower, the more unusual. `id` is the venue's."""

    timestamp: Seconds
    id: str
    venue: str
    anomaly_score: Annotated[float, Meta(ge=-1, le=0)]
    threshold: Annotated[float, Meta(ge=-1, le=0)]
    feature_vector: Vector
    model_version: str


State = Annotated[
    Literal["warming_up", "ready", "unknown"],
    Meta(
        description="`warming_up` before the first model of the asset, `ready` with one. `unknown`: another process has"
        " the models, and has found nothing in these hours"
    ),
]
_Samples = Annotated[
    int | None,
    Meta(description=f"Trades that a fit would use now; a model needs {FIRST}. null: another process has them"),
]


class AnomalyPage(msgspec.Struct, frozen=True):
    """The newest unusual trades of an asset. `model_version` is that of the model in use; null if none is known."""

    asset: Symbol
    hours: Annotated[int, Meta(ge=1, le=MOST_HOURS)]
    anomalies: tuple[AnomalyRow, ...]
    state: State
    samples: _Samples
    model_version: str | None


class AssetModel(Protocol):
    """The state of an asset's model: its number of samples, and its version, empty before the first."""

    @property
    def samples(self) -> int:
        """The number of trades that a fit would use now."""

    @property
    def version(self) -> str:
        """The version; empty without a model."""


class Models(Protocol):
    """The models of this process."""

    def state(self, asset: str, /) -> AssetModel:
        """Return the state of an asset's model."""


def model_state(models: Models | None, asset: str) -> Literal["warming_up", "ready", "unknown"]:
    """Return the state of an asset's model; `models` is None where another process has them."""
    if models is None:
        return "unknown"
    return "ready" if models.state(asset).version else "warming_up"


class AnomalyRoute:
    """The route for anomalies. A read of the store may take `store_seconds`.

    `models` is None where another process has them. `off`: why no process looks for anomalies.
    """

    def __init__(
        self,
        catalog: Catalog,
        events: EventReader,
        models: Models | None,
        now: Callable[[], float] = time.time,
        off: Refusal | None = None,
        store_seconds: float = STORE_SECONDS,
    ) -> None:
        self._catalog = catalog
        self._events = StoredEvents(events, now, store_seconds)
        self._models = models
        self._off = off

    def routes(self) -> list[Route]:
        """Return the route."""
        return routes_of(self)

    @Route(
        "GET",
        "/anomalies/{asset:path}",
        label="/anomalies",
        operation_id="getAnomalies",
        tag="trades",
        summary="Unusual trades of an asset, and the state of its model",
        description="An Isolation Forest of the last 1,000 trades of the asset scores each trade; about one in a"
        " hundred is below the threshold. `feature_vector` has the price, the volume, its z-score, the price momentum"
        " in percent, the deviation from the VWAP of 5 minutes as a share of the price, and the trades in 60 s.",
        parameters=[
            ASSET,
            hours_parameter("anomalies"),
            limit_parameter("anomalies", USUAL_ROWS, MOST_ROWS),
        ],
        responses={
            200: Response(
                "The anomalies, newest first",
                (
                    json(
                        AnomalyPage,
                        {
                            "asset": SYMBOL,
                            "hours": USUAL_HOURS,
                            "anomalies": [_EXAMPLE],
                            "state": "ready",
                            "samples": FIRST,
                            "model_version": "7-1c291ca3",
                        },
                    ),
                ),
                (NO_STORE,),
            ),
            400: BAD_REQUEST,
            404: NOT_LISTED,
            501: refusal("Unusual trades are not looked for", SWITCHED_OFF, NOT_INSTALLED),
            503: NO_EVENTS_NOW,
        },
        is_compressed=True,
    )
    async def anomalies(self, request: Request) -> HttpResponse:
        """Return the anomalies."""
        if self._off is not None:
            raise refuse(501, self._off)
        asset = asset_of(request, self._catalog).symbol
        hours, limit = hours_of(request), whole(request, "limit", USUAL_ROWS, MOST_ROWS)
        stored = await self._events.last_hours(ANOMALIES.name, asset, hours, limit)
        rows = tuple(map(_row, readable(stored, _DECODER)))
        if self._models is None:
            state: State = "ready" if rows else "unknown"
            version = rows[0].model_version if rows else None
            return answer(AnomalyPage(asset, hours, rows, state, None, version))
        model = self._models.state(asset)
        state = model_state(self._models, asset)
        return answer(AnomalyPage(asset, hours, rows, state, model.samples, model.version or None))


def _row(one: Anomaly) -> AnomalyRow:
    return AnomalyRow(
        one.timestamp,
        one.id,
        one.venue,
        one.anomaly_score,
        one.threshold,
        one.feature_vector,
        one.model_version,
    )
