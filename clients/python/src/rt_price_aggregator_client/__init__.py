"""A client of the real-time price aggregator: prices, trades and live streams, typed, sync and asyncio.

`Client` and `AsyncClient` have one method for each call of the service. Prices and volumes are Decimals with all
digits of the answer; times are datetimes in UTC, exact to a microsecond. Figures that the service computes in binary
floating point (features, scores) are floats. Enumerations are plain strings, so that a new value of a newer service
does not break an older client.
"""

from rt_price_aggregator_client.async_client import AsyncClient
from rt_price_aggregator_client.async_stream import AsyncStream
from rt_price_aggregator_client.client import Client
from rt_price_aggregator_client.errors import (
    AggregatorError,
    BadRequest,
    Conflict,
    ConnectionFailed,
    Forbidden,
    InvalidAnswer,
    NoNewPrice,
    NotFound,
    NoValidTrade,
    RateLimited,
    Refused,
    ServerError,
    SwitchedOff,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from rt_price_aggregator_client.events import TOPICS, Gap, OtherEvent, Snapshot, StreamEvent
from rt_price_aggregator_client.frames import to_frame
from rt_price_aggregator_client.ingest import NewTrade
from rt_price_aggregator_client.models import (
    Alert,
    AlertRule,
    Anomaly,
    Candle,
    Features,
    LiveTrade,
    Price,
    Quote,
    SentimentItem,
    Signal,
    StoredPrice,
    Trade,
)
from rt_price_aggregator_client.retries import Retries
from rt_price_aggregator_client.stream import Stream
from rt_price_aggregator_client.stream_session import StreamOptions

__all__ = [
    "TOPICS",
    "AggregatorError",
    "Alert",
    "AlertRule",
    "Anomaly",
    "AsyncClient",
    "AsyncStream",
    "BadRequest",
    "Candle",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Features",
    "Forbidden",
    "Gap",
    "InvalidAnswer",
    "LiveTrade",
    "NewTrade",
    "NoNewPrice",
    "NoValidTrade",
    "NotFound",
    "OtherEvent",
    "Price",
    "Quote",
    "RateLimited",
    "Refused",
    "Retries",
    "SentimentItem",
    "ServerError",
    "Signal",
    "Snapshot",
    "StoredPrice",
    "Stream",
    "StreamEvent",
    "StreamOptions",
    "SwitchedOff",
    "TimedOut",
    "Trade",
    "Unauthorized",
    "Unavailable",
    "to_frame",
]
