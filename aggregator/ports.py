"""The ports: what the refresh path, the read path and the API need of exchanges, stores and other processes.

Adapters in exchanges/, stores/, cluster/ and runtime/ implement these protocols; prices/ and api/ know only these.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, runtime_checkable

import msgspec

from aggregator.models import Asset, LeftOut, NoPrice, Price, RateTokens, Ticker, Tier, VenueWindow
from aggregator.newest import NewestPrices

# The triggers of a price: the schedule, a read that found no price, POST /refresh, a pushed ticker.
Trigger = Literal["auto", "force", "manual", "push"]


class OutletStates(msgspec.Struct, frozen=True):
    """The outlets of a process. `problems`: by name, why it is away or has ended; empty while it takes events.

    `dead_letters` is the number of events that were refused and are kept.
    """

    problems: Mapping[str, str] = {}
    dead_letters: int = 0


class ExchangeState(Protocol):
    """The health of an exchange, as one process that calls it sees it."""

    @property
    def name(self) -> str:
        """The name of the exchange in prices and metrics."""

    @property
    def breaker_state(self) -> str:
        """The state of its circuit breaker: closed, open or half-open."""

    @property
    def idle_seconds(self) -> float | None:
        """Seconds since its last ticker; None before the first."""

    @property
    def silent_seconds(self) -> float:
        """For how many seconds it has been called without giving a ticker; 0 if the last call gave one."""

    @property
    def newest_ticker(self) -> float | None:
        """The newest time of its tickers by its own clock, in unix seconds; None before the first."""

    @property
    def quiet_seconds(self) -> float:
        """Seconds left of the cool-down that it has asked for; 0 without one."""

    @property
    def push_trouble(self) -> str | None:
        """The reason why it is polled although it should push; empty while it pushes, None if it is to be polled."""

    @property
    def rejection(self) -> str:
        """The reason why its tickers are rejected, and for how many assets; empty while they are accepted."""

    @property
    def tokens(self) -> RateTokens | None:
        """The tokens that its rate limiter has left; None without a rate limit."""

    @property
    def listed(self) -> int | None:
        """The number of our assets that it trades, or trades a pair that converts into; None while that is unknown."""

    @property
    def window(self) -> VenueWindow:
        """The outcomes of its tickers in pricing during the last five minutes."""


class Exchange(ExchangeState, Protocol):
    """A venue that can be asked for tickers."""

    @property
    def batch(self) -> int:
        """The most assets of one call."""

    @property
    def calls_a_second(self) -> float | None:
        """The most such calls per second; None without a rate limit."""

    def trades(self, symbol: str) -> bool | None:
        """Whether the asset is traded there; None if that is unknown."""

    async def fetch(self, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
        """Return, by symbol, a ticker or the reason why there is none, for each of at most `batch` assets.

        Expected failures are returned as reasons, never raised.
        """

    def pushed(self, asset: Asset) -> Ticker | None:
        """Return the newest ticker that it has pushed of the asset; None if there is none that can be used."""

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the symbol whenever a ticker has been pushed of it. Only once, before feeds run."""


class Job(msgspec.Struct, frozen=True):
    """Some assets of one tier to refresh. `due` is in seconds of the clock of the process that made the job.

    `id` identifies a job that processes share; it is empty for a local one.
    """

    tier: Tier
    symbols: tuple[str, ...]
    due: float
    id: str = ""


class JobQueue(Protocol):
    """The schedule: which assets are due for a refresh."""

    async def run(self) -> None:
        """Do the background work of the queue; never return."""

    def warm_up_lock(self, tier: Tier) -> AbstractAsyncContextManager[None]:
        """Return a lock that only one process holds while it warms up the tier."""

    def upcoming(self, tier: Tier) -> Sequence[str]:
        """Return the tier's symbols, the one that is due next first."""

    async def next_job(self, tier: Tier) -> Job:
        """Wait for the tier's next due job and return it."""

    def waited(self, job: Job) -> float:
        """Return for how many seconds the job has been due."""

    async def done(self, job: Job) -> None:
        """Mark the job as done."""

    def pop_missed(self, tier: Tier) -> int:
        """Return how many due refreshes of the tier's assets were skipped since the last call."""


class Lag(Protocol):
    """The lag of all refreshers together behind their schedule."""

    @property
    def by_tier(self) -> Mapping[Tier, float]:
        """For how many seconds the oldest unfinished job of each tier has been due; empty while that is unknown."""


class ExchangeStatus(Protocol):
    """The health of the exchanges, collected from all processes that call them."""

    async def look(self) -> Sequence[Sequence[ExchangeState]]:
        """Return the exchange states that each process reports; empty while none reports. Raises StoreError."""


class Sink(Protocol):
    """A destination of new prices."""

    async def write(self, prices: Sequence[Price]) -> None:
        """Write all of `prices`, or raise StoreError. Writing the same price again does no harm.

        Of two prices with the same asset and timestamp, a cache and SQLite keep the first; DynamoDB and PostgreSQL keep
        the last, as their batch writes have no conditions.
        """


class Store(Sink, Protocol):
    """A sink that can be read."""

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return the newest price of each symbol that has one. Raises StoreError."""

    async def ping(self) -> None:
        """Raise StoreError unless the store can be reached."""

    async def close(self) -> None:
        """Close connections and files."""


class Cache(Store, Protocol):
    """Keeps the newest price of each asset for its tier's TTL; an older price never replaces a newer one."""


class LocalCache(Cache, Protocol):
    """A cache with a part in the memory of this process."""

    @property
    def newest(self) -> NewestPrices:
        """The newest price of each asset that this process has seen."""

    def peek(self, symbol: str) -> Price | None:
        """Return the price if it is in the memory of this process and has not expired. Never waits."""


class RangeTooLong(Exception):
    """A page of so long a range is not read: there would be too much to look through."""


class PriceReader(Protocol):
    """Reads stored prices."""

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """Return at most `limit` prices of `start` <= timestamp <= `end`, in order of time. Raises StoreError."""


class History(Store, PriceReader, Protocol):
    """Keeps every price, by (asset, timestamp), for good or for its retention.

    `latest` ignores prices that are more than FUTURE_TOLERANCE ahead of our clock: they were made while a clock was
    wrong, and would hide all later prices until that time. `between` returns them.
    """

    async def run(self) -> None:
        """Do the background work of the history; never return."""

    async def drain(self, patience: float) -> int | None:
        """Write what still waits to be written, for at most `patience` seconds.

        Return how many prices are left; None if that is unknown.
        """


class PriceSummary(msgspec.Struct, gc=False, frozen=True):
    """The highest, the lowest and the last of `count` prices, in binary floating point, and the time of the last."""

    timestamp: float
    high: float
    low: float
    last: float
    count: int


@runtime_checkable
class SummarizingHistory(Protocol):
    """A history that can summarise prices itself, which is many times faster than to return them. Optional."""

    async def summaries(self, symbol: str, start: float, end: float, limit: int, bucket: float) -> list[PriceSummary]:
        """Summarise the first `limit` prices of `start` <= timestamp <= `end`, in order of time. Raises StoreError.

        There is one summary for each bucket that has a price. A bucket ends at a multiple of `bucket` seconds,
        inclusive.
        """


class Table(Protocol):
    """The remote table that the outbox sends prices to."""

    @property
    def name(self) -> str:
        """The name of the store in metrics, logs and traces."""

    @property
    def batch(self) -> int:
        """The most prices of one `put`. The outbox sends at most 500."""

    async def put(self, prices: Sequence[Price]) -> list[Price]:
        """Put at most `batch` prices of different keys; return those not taken. Raises StoreError."""

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """As `History.latest`."""

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """As `History.between`."""

    async def close(self) -> None:
        """As `Store.close`."""


class Prices(Protocol):
    """The read path."""

    async def get(self, asset: Asset) -> Price | NoPrice:
        """Return the price to serve now; the exchanges are asked only if no price is known."""

    async def get_many(self, assets: Sequence[Asset]) -> dict[str, Price]:
        """Return the known prices by symbol, without asking any exchange."""

    def at_least(self, price: Price) -> Price:
        """Return the newer of `price` and the newest price of the asset that this process has seen."""


class Refresh(Protocol):
    """The refresh path."""

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Fetch, aggregate and store the asset's price now; concurrent callers share one fetch."""
