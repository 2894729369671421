"""The seams: what the refresher, the read path and the API ask of everything outside. Adapters depend on these."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

import msgspec

from aggregator.models import Asset, LeftOut, NoPrice, Price, Ticker, Tier
from aggregator.newest import NewestPrices

Trigger = Literal["auto", "force", "manual"]  # the schedule, a read that found nothing, POST /refresh


class ExchangeState(Protocol):
    """How an exchange does, as who asks it sees it."""

    @property
    def name(self) -> str:
        """The name prices and metrics know it by."""

    @property
    def breaker_state(self) -> str:
        """Whether it is being asked at all: closed, open or half-open."""

    @property
    def idle_seconds(self) -> float | None:
        """How long ago it last gave a ticker; None when it never has."""

    @property
    def silent_seconds(self) -> float:
        """For how long it has been asked, and has given no ticker; 0 once it has answered the last call with one."""

    @property
    def newest_ticker(self) -> float | None:
        """The newest time of its tickers, by its own clock, in unix seconds; None when it never has given one."""

    @property
    def quiet_seconds(self) -> float:
        """For how much longer it is not asked because it has said so; 0 when it is asked."""

    @property
    def push_trouble(self) -> str | None:
        """Why it is polled although it is to push; empty while it pushes, None where it is to be polled."""

    @property
    def rejection(self) -> str:
        """Why its tickers are rejected, and of how many assets; empty while they count."""


class Exchange(ExchangeState, Protocol):
    """A venue that can be asked for tickers."""

    @property
    def batch(self) -> int:
        """How many assets it takes in one call."""

    @property
    def calls_a_second(self) -> float | None:
        """How many such calls a second it allows; None when it has no bound of its own."""

    def trades(self, symbol: str) -> bool | None:
        """Whether it lists the asset and it is traded there; None when that is not known."""

    async def fetch(self, assets: Sequence[Asset]) -> Mapping[str, Ticker | LeftOut]:
        """Answer each of at most `batch` assets, by symbol, with a ticker or why not. Raises nothing expected."""


class Job(msgspec.Struct, frozen=True):
    """Refresh these assets of one tier, `due` in seconds of whose clock made it.

    `id` names it among processes, and is empty where it never leaves its own.
    """

    tier: Tier
    symbols: tuple[str, ...]
    due: float
    id: str = ""


class JobQueue(Protocol):
    """Whose turn it is to be refreshed."""

    async def run(self) -> None:
        """Do what has to be done beside; never returns."""

    def warm_up_lock(self, tier: Tier) -> AbstractAsyncContextManager[None]:
        """Return what keeps other processes from filling the tier at the same time."""

    def upcoming(self, tier: Tier) -> Sequence[str]:
        """Return the tier's symbols, first whoever's turn comes next."""

    async def next_job(self, tier: Tier) -> Job:
        """Wait for the tier's next job."""

    def waited(self, job: Job) -> float:
        """Return for how many seconds it has been due."""

    async def done(self, job: Job) -> None:
        """Say that it is done."""

    def pop_missed(self, tier: Tier) -> int:
        """Return how many turns of an asset in `tier` were passed over since the last call."""


class Lag(Protocol):
    """How far behind those are who share the work."""

    @property
    def by_tier(self) -> Mapping[Tier, float]:
        """For how many seconds the oldest unfinished job of each tier has been due; empty while that is unknown."""


class Watch(Protocol):
    """What is known of the exchanges."""

    async def look(self) -> Sequence[Sequence[ExchangeState]]:
        """Return what each process that asks the exchanges sees of them; none while none tells. Raises StoreError."""


class Sink(Protocol):
    """Something that takes prices."""

    async def write(self, prices: Sequence[Price]) -> None:
        """Take all of `prices`, or raise StoreError; writing again what is already there does no harm.

        Of two prices with the same asset and timestamp a cache and SQLite keep the first; DynamoDB, whose batches have
        no conditions, keeps the last.
        """


class Store(Sink, Protocol):
    """A sink that also answers."""

    async def latest(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return the newest known price of each symbol; one without is left out. Raises StoreError."""

    async def ping(self) -> None:
        """Raise StoreError unless the store can be reached."""

    async def close(self) -> None:
        """Let go of connections and files."""


class Cache(Store, Protocol):
    """Holds each asset's newest price for its tier's TTL: an older one never replaces a newer one."""


class LocalCache(Cache, Protocol):
    """A cache some of which is in this process."""

    @property
    def newest(self) -> NewestPrices:
        """The newest price of each asset that this process has seen."""

    def peek(self, symbol: str) -> Price | None:
        """Return the price if it is in this process and not expired, without waiting for anything."""


class History(Store, Protocol):
    """Holds every price by (asset, timestamp), for good.

    `latest` passes over prices more than FUTURE_TOLERANCE ahead of our clock, which were made while a clock was wrong:
    they would hide every other until that time. `between` returns them.
    """

    async def between(self, symbol: str, start: float, end: float, limit: int, *, newest_first: bool) -> list[Price]:
        """Return at most `limit` prices of `start` <= timestamp <= `end`, in order of time. Raises StoreError."""

    async def run(self) -> None:
        """Do what the history does in the background; never returns."""

    async def drain(self, patience: float) -> int | None:
        """Finish what `run` has to do, as far as that goes within `patience` seconds.

        Return how many prices are left; None where that cannot be told.
        """


class Table(Protocol):
    """The remote table that the outbox sends prices to."""

    @property
    def name(self) -> str:
        """The name of the store in metrics, logs and traces."""

    @property
    def batch(self) -> int:
        """How many prices one `put` may have."""

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
        """Return the price to serve now, asking the exchanges only when none is known."""

    async def get_many(self, assets: Sequence[Asset]) -> dict[str, Price]:
        """Return the known prices by symbol, without asking any exchange."""

    def at_least(self, price: Price) -> Price:
        """Return the newer of `price` and the newest one that this process has seen."""


class Refresh(Protocol):
    """The refresh path."""

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Fetch, aggregate and store now; callers at the same moment share one fetch."""
