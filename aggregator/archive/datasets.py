"""The datasets of the archive, their columns and keys. Pure.

Numbers are DECIMAL(38,18). A number with more digits is rounded to 18 decimals, and one of 10^20 or more is null; in
both cases `exact` has the digits as a JSON object such as `{"price":"1e-25"}`, and is null in all other rows. Times are
TIMESTAMP WITH TIME ZONE in UTC, exact to the microsecond.

Trades have price and volume as DOUBLE, too: DuckDB casts a DECIMAL(38,18) to DOUBLE in 0.9 us, which was nine tenths of
the time of a query for VWAPs.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

DatasetName = Literal["trades", "prices", "features", "anomalies", "signals", "sentiment"]

DECIMAL = "DECIMAL(38,18)"
TIME = "TIMESTAMP WITH TIME ZONE"
_DOUBLE = "_double"
PARTITIONS = ("year", "month", "day", "hour")
"""The columns that folders add, of the UTC hour of `Dataset.time`: year=2026/month=11/day=30/hour=09."""


class Dataset(msgspec.Struct, frozen=True):
    """A kind of rows: the SQL type of each column in order, the columns of its key, and the one of the partition.

    Rows of a file are in the order of `key`. `name` is that of the view in SQL, too.
    """

    name: DatasetName
    columns: Mapping[str, str]
    key: tuple[str, ...]
    time: str = "timestamp"

    @property
    def doubles(self) -> Mapping[str, str]:
        """The columns of type DOUBLE that repeat a DECIMAL, each with the name of that one."""
        return {f"{name}{_DOUBLE}": name for name in self.decimals if f"{name}{_DOUBLE}" in self.columns}

    @property
    def decimals(self) -> tuple[str, ...]:
        """The columns of type DECIMAL."""
        return tuple(name for name, kind in self.columns.items() if kind == DECIMAL)


TRADES = Dataset(
    "trades",
    {
        "asset": "VARCHAR",
        "price": DECIMAL,
        "volume": DECIMAL,
        "timestamp": TIME,
        "venue": "VARCHAR",
        "id": "VARCHAR",
        "side": "VARCHAR",
        "sequence_number": "BIGINT",
        "late": "BOOLEAN",
        "exact": "VARCHAR",
        "price_double": "DOUBLE",
        "volume_double": "DOUBLE",
    },
    key=("asset", "timestamp", "venue", "id"),
)
PRICES = Dataset(
    "prices",
    {
        "asset": "VARCHAR",
        "price": DECIMAL,
        "timestamp": TIME,
        "tier": "VARCHAR",
        "spread": DECIMAL,
        "updated_at": TIME,
        "sources": "VARCHAR",  # JSON, as in GET /prices/{asset}/history
        "left_out": "VARCHAR",  # JSON: the venues without a part in the price, and why
        "exact": "VARCHAR",
    },
    key=("asset", "timestamp"),
)
FEATURES = Dataset(
    "features",
    {
        "asset": "VARCHAR",
        "timestamp": TIME,  # the start of the minute; the figures are those at its last trade
        "vwap_1min": DECIMAL,
        "vwap_5min": DECIMAL,
        "rolling_avg_5min": DECIMAL,
        "volume_zscore": "DOUBLE",
        "price_momentum": "DOUBLE",
        "trade_frequency": "BIGINT",
        "vwap_deviation": DECIMAL,
        "exact": "VARCHAR",
    },
    key=("asset", "timestamp"),
)
_EVENT = {"asset": "VARCHAR", "timestamp": TIME, "id": "VARCHAR"}
_EVENT_KEY = ("asset", "timestamp", "id")
ANOMALIES = Dataset(
    "anomalies",
    {
        **_EVENT,
        "venue": "VARCHAR",
        "anomaly_score": "DOUBLE",
        "threshold": "DOUBLE",
        "feature_vector": "DOUBLE[]",
        "model_version": "VARCHAR",
    },
    key=_EVENT_KEY,
)
SIGNALS = Dataset(
    "signals",
    {
        **_EVENT,
        "side": "VARCHAR",
        "reason": "VARCHAR",
        "price": DECIMAL,
        "quantity": DECIMAL,
        "position": "VARCHAR",
        "profit": DECIMAL,
        "exact": "VARCHAR",
    },
    key=_EVENT_KEY,
)
SENTIMENT = Dataset(
    "sentiment",
    {
        **_EVENT,
        "headline": "VARCHAR",
        "source": "VARCHAR",
        "url": "VARCHAR",
        "sentiment": "DOUBLE",
        "label": "VARCHAR",
        "correlation_strength": "VARCHAR",
    },
    key=_EVENT_KEY,
)
DATASETS: Mapping[str, Dataset] = {one.name: one for one in (TRADES, PRICES, FEATURES, ANOMALIES, SIGNALS, SENTIMENT)}
