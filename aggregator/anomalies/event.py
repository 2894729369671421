"""The event of an unusual trade, its topic, and its stored form."""

from typing import Annotated

import msgspec

from aggregator.anomalies.sample import SIZE
from aggregator.live.topics import Retention, Topic
from aggregator.models import encode
from aggregator.trades.ports import StoredEvent

Vector = Annotated[tuple[float, ...], msgspec.Meta(min_length=SIZE, max_length=SIZE)]


class Anomaly(msgspec.Struct, frozen=True):
    """An unusual trade: its score is below the threshold of the model. `id` is that of the trade at its venue.

    Scores are those of scikit-learn's `score_samples`, from -1 to 0; the lower, the more unusual.
    `feature_vector` has price, volume, volume z-score, price momentum in percent, deviation from the VWAP of 5 minutes
    as a share of the price, and trades in 60 s. `timestamp` is the time of the trade in unix seconds.
    """

    asset: str
    timestamp: float
    id: str
    venue: str
    anomaly_score: float
    threshold: float
    feature_vector: Vector
    model_version: str


def _asset(anomaly: Anomaly) -> str:
    return anomaly.asset


ANOMALIES = Topic("anomalies", "anomaly", Anomaly, asset=_asset, retention=Retention(events=2000))


def stored_anomaly(anomaly: Anomaly) -> StoredEvent:
    """Return an anomaly as it is stored. Two venues can give trades of the same time the same id."""
    return StoredEvent(anomaly.asset, anomaly.timestamp, f"{anomaly.venue}:{anomaly.id}", encode(anomaly))
