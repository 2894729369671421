"""The answers about analytics.

`scripts/client_models` makes this module from /openapi.json. A test checks it.
"""

from datetime import datetime

import msgspec


class Aggregations(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of an asset's trades at its newest trade, whose time is `window_end`; `window_start` is 300 s before."""

    asset: str
    vwap_1min: float | None
    """Volume-weighted price; null without a volume in the window."""
    vwap_5min: float | None
    """Volume-weighted price; null without a volume in the window."""
    rolling_avg_5min: float | None
    """Mean price of the last 300 s."""
    volume_zscore: float | None
    """(volume - mean) / standard deviation of up to 19 volumes before it.

    0 if these are all equal, null while they are fewer than two.
    """
    price_momentum: float | None
    """Change in percent against the newest price that is at least 60 s old; null before there is one."""
    trade_frequency: int
    """Trades of the last 60 s."""
    window_start: datetime
    window_end: datetime


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """The features of an asset's trades, and the state of its anomaly model when the newest trade was measured."""

    asset: str
    vwap_1min: float | None
    vwap_5min: float | None
    rolling_avg_5min: float | None
    volume_zscore: float | None
    price_momentum: float | None
    trade_frequency: int
    vwap_deviation: float | None
    window_start: datetime
    window_end: datetime
    updated_at: datetime
    warming_up: list[str]
    by_second: bool | None = None
    anomaly_model: str | None = None
    """The model that looks for unusual trades of the asset.

    `warming_up` before the first, `ready` with one, `off` where nothing looks for them, `unknown` where another
    process has the models. One of: off, ready, unknown, warming_up.
    """


class AnomalyRow(msgspec.Struct, frozen=True, kw_only=True):
    """An unusual trade.

    Scores are from -1 to 0; the lower, the more unusual. `id` is the venue's.
    """

    timestamp: datetime
    id: str
    venue: str
    anomaly_score: float
    threshold: float
    feature_vector: list[float]
    model_version: str


class AnomalyPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest unusual trades of an asset.

    `model_version` is that of the model in use; null if none is known.
    """

    asset: str
    hours: int
    anomalies: list[AnomalyRow]
    state: str
    """`warming_up` before the first model of the asset, `ready` with one.

    `unknown`: another process has the models, and has found nothing in these hours. One of: ready, unknown,
    warming_up.
    """
    samples: int | None
    """Trades that a fit would use now; a model needs 1000.

    null: another process has them.
    """
    model_version: str | None


class Anomaly(msgspec.Struct, frozen=True, kw_only=True):
    """An unusual trade: its score is below the threshold of the model.

    `id` is that of the trade at its venue. Scores are those of scikit-learn's `score_samples`, from -1 to 0; the
    lower, the more unusual. `feature_vector` has price, volume, volume z-score, price momentum in percent,
    deviation from the VWAP of 5 minutes as a share of the price, and trades in 60 s. `timestamp` is the time of
    the trade in unix seconds.
    """

    asset: str
    timestamp: datetime
    id: str
    venue: str
    anomaly_score: float
    threshold: float
    feature_vector: list[float]
    model_version: str


class SentimentItem(msgspec.Struct, frozen=True, kw_only=True):
    """An article about an asset.

    `sentiment` is from -1 to 1, `published_at` in unix seconds. `correlation_strength`: how strong sentiment and
    volume were together, if a trade of the asset with an unusual volume was within 60 s of the article; else
    `none`.
    """

    asset: str
    id: str
    headline: str
    source: str
    url: str
    published_at: datetime
    sentiment: float
    label: str
    """One of: negative, neutral, positive."""
    correlation_strength: str
    """One of: moderate, none, strong, weak."""


class SentimentSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The number of the counted articles with each label, and of those with a strong correlation."""

    positive: int
    negative: int
    neutral: int
    strong_correlations: int


class SentimentPage(msgspec.Struct, frozen=True, kw_only=True):
    """The newest articles about an asset.

    `count` and `summary` are of the newest 1,000, `items` are the newest 50.
    """

    asset: str
    hours: int
    count: int
    items: list[SentimentItem]
    summary: SentimentSummary
