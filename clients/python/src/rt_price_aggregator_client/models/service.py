"""The answers about service.

`scripts/client_models` makes this module from /openapi.json. A test checks it.
"""

from datetime import datetime

import msgspec


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """A listed asset.

    `rank` is its row in the symbols file, from 1; base and quote are empty if the file has none. `venues` is the
    number of exchanges known to trade it, `too_few_venues` whether these are too few to make a price. Both are
    absent until a refresher has reported them.
    """

    symbol: str
    base: str
    quote: str
    tier: str
    """One of: cold, hot, medium."""
    rank: int
    venues: int | None = None
    too_few_venues: bool | None = None


class AssetList(msgspec.Struct, frozen=True, kw_only=True):
    """Every listed asset, hottest tier first."""

    assets: list[Asset]


class RateLimit(msgspec.Struct, frozen=True, kw_only=True):
    """The tokens that the rate limiter has left.

    A token is a call, or a unit of weight where calls are weighed.
    """

    tokens_left: int
    per_second: float


class ExchangeReport(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an exchange, as all refreshers see it."""

    name: str
    state: str
    """One of: degraded, down, ok."""
    problem: str | None
    breaker: str
    """One of: closed, half-open, open."""
    last_ticker: datetime | None
    last_ticker_iso: datetime | None
    tickers: int
    left_out: dict[str, float]
    mean_distance: float | None
    mean_absolute_distance: float | None
    push: str
    """One of: fallen_back, polled, pushing."""
    push_problem: str | None
    rate_limit: RateLimit | None
    cooldown_seconds: float
    assets: int | None
    refreshers: int


class ExchangeReports(msgspec.Struct, frozen=True, kw_only=True):
    """Every exchange.

    The counts are of the last `window_seconds`.
    """

    window_seconds: float
    exchanges: list[ExchangeReport]


class ExchangeState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of an exchange.

    Ages are in seconds, null before its first ticker. `quiet_for_seconds` is the rest of a cool-down that the
    exchange has asked for. The age of its newest ticker is by its own clock, negative if that is ahead. `push` is
    `live`, or why its feed has fallen back to polling; null for an exchange that is only polled. `rejected` is
    why its tickers are rejected and for how many assets, during the last seconds; null if they are accepted.
    """

    breaker: str
    """One of: closed, half-open, open."""
    quiet_for_seconds: float
    last_ticker_seconds_ago: float | None
    newest_ticker_seconds_ago: float | None
    push: str | None
    rejected: str | None


class TierFreshness(msgspec.Struct, frozen=True, kw_only=True):
    """The state of one tier.

    Ages are in seconds; None (JSON null) means that the p95 asset has no usable price.
    """

    assets: int
    priced: int
    p95_age: float | None
    allowed_age: float
    stale_after: float


class Partition(msgspec.Struct, frozen=True, kw_only=True):
    """A partition of the log of trades that the process reads."""

    partition: int
    records: int
    """Records that are not processed yet."""
    seconds: float
    """Age of the last processed record; 0 while none waits."""


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the service can serve prices.

    `reasons` lists every problem, also those that clients do not notice. `invented_market` is true where an
    exchange is a mock exchange, as in the demo: its prices are made up.
    """

    ready: bool
    reasons: list[str]
    stores: dict[str, str]
    """By name: `ok`, or the problem."""
    exchanges: dict[str, ExchangeState]
    """By name, as the refreshers see them; if they differ, the view of one that has a problem.

    Empty if unknown.
    """
    tiers: dict[str, TierFreshness]
    jobs_behind_seconds: dict[str, float]
    partitions: list[Partition]
    """Of a kafka:// log of trades, those that this process reads."""
    outlets: dict[str, str]
    """Those that this process may send to, by name: `ok`, or why it is away or has ended.

    In the role `api`, those that the other processes on its Redis send to.
    """
    invented_market: bool


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the process.

    Latencies are those of the last minute.
    """

    status: str
    """Unhealthy while trades cannot be stored.

    Degraded while /ready has a reason or a trade has waited for more than 5 s; else healthy. One of: degraded,
    healthy, unhealthy.
    """
    consumer_lag: int | None
    """Trades that wait for the processor; null in a process that takes in none."""
    store_latency_p99: float | None
    """Seconds; null without a trade in the last minute."""
    ingest_latency_p50: float | None
    """Seconds; null without a trade in the last minute."""
    ingest_latency_p99: float | None
    """Seconds; null without a trade in the last minute."""
    uptime_seconds: float
    partitions: list[Partition]
    """Of a kafka:// log, those that this process reads; else empty."""
    checked_at: datetime
