"""The pairs that a venue trades, by its own listing, and the task that keeps the listings of all venues up to date.

Listings are read at start, once a day, and when a venue refuses a pair that its listing has. A listing with suspended
pairs is read again sooner: a venue that is closed for maintenance suspends all of them. While one cannot be read, the
listing read before stays in use. Before the first one, every pair is tried.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Protocol

from aggregator.errors import ExchangeError, NotListed
from aggregator.exchanges.dialect import Market
from aggregator.models import Asset
from aggregator.prices.tiers import is_symbol
from aggregator.resilience.backoff import Backoff

DAY = 86_400.0
_LONGEST_NAME = 64
_FIRST_PATIENCE = 10.0  # seconds that the start waits for all listings
_RETRY, _LONGEST_RETRY = 15.0, 900.0  # seconds
_SPACING = 900.0  # seconds at least between two readings, even where the listing is in doubt


class Listing:
    """One venue's listing as last read. `name` returns the venue's name of a pair as long as there is none."""

    def __init__(self, name: Callable[[Asset], str]) -> None:
        self._name = name
        self._markets: Mapping[str, Market] | None = None
        self._suspended: set[str] = set()

    @property
    def suspended(self) -> AbstractSet[str]:
        """The symbols that were asked for since the listing was read, although it has them as not traded now."""
        return frozenset(self._suspended)

    @property
    def size(self) -> int | None:
        """The number of pairs that are traded; None before a listing was read."""
        return None if self._markets is None else sum(market.trading for market in self._markets.values())

    def replace(self, markets: Iterable[Market]) -> None:
        """Replace the listing. Of two markets with one symbol, the traded one counts. An empty listing is ignored."""
        found: dict[str, Market] = {}
        for market in markets:
            known = found.get(market.symbol)
            if is_symbol(market.symbol) and _is_name(market.name) and (known is None or not known.trading):
                found[market.symbol] = market
        if found:
            self._markets, self._suspended = found, set()

    def trades(self, symbol: str) -> bool | None:
        """Whether the pair is traded; None before a listing was read."""
        if self._markets is None:
            return None
        market = self._markets.get(symbol)
        return market is not None and market.trading

    def sort(self, assets: Sequence[Asset]) -> tuple[list[Market], dict[str, NotListed]]:
        """Return the markets to ask for, and for each other symbol the reason why not."""
        markets: list[Market] = []
        others: dict[str, NotListed] = {}
        for asset in assets:
            try:
                markets.append(self._market(asset))
            except NotListed as error:
                others[asset.symbol] = error
        return markets, others

    def _market(self, asset: Asset) -> Market:
        if self._markets is None:
            return Market(asset.symbol, self._name(asset))
        market = self._markets.get(asset.symbol)
        if market is None:
            raise NotListed("not in its listing")
        if not market.trading:
            self._suspended.add(asset.symbol)
            raise NotListed("in its listing, but not traded now")
        return market


def _is_name(text: str) -> bool:
    """Whether the venue's name of a pair is short and printable: it goes into every request. Usual are ten letters."""
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable()


class ListedExchange(Protocol):
    """The part of an exchange that `Listings` uses."""

    name: str
    listing: Listing
    listing_doubted: asyncio.Event

    async def read_listing(self) -> ExchangeError | None:
        """Read the listing, or return why that failed."""


class SuspensionPauses:
    """How long a listing with suspended pairs stays in use: `first` seconds, and twice as long each time.

    A pair that a venue has given up may stay in its listing for years. Another suspended pair restarts the pauses.
    """

    def __init__(self, first: float) -> None:
        self._first = self._next = first
        self._known: AbstractSet[str] = frozenset()

    def seconds(self, suspended: AbstractSet[str]) -> float:
        """Return the seconds from the reading of a listing in which these pairs are suspended to the next one."""
        if not suspended:
            return math.inf
        return self._next if suspended <= self._known else self._first

    def end(self, suspended: AbstractSet[str]) -> None:
        """Record that the listing is read again, in which these pairs were suspended."""
        self._next = 2 * self.seconds(suspended) if suspended else self._first
        self._known = suspended


class Listings:
    """Keeps the listings of all exchanges up to date. `every`, `retry` and `spacing` in seconds."""

    def __init__(
        self, exchanges: Sequence[ListedExchange], every: float = DAY, retry: float = _RETRY, spacing: float = _SPACING
    ) -> None:
        self.exchanges = exchanges
        self._every = every
        self._retry = retry
        self._spacing = spacing
        self._up_to_date: set[str] = set()  # names of exchanges
        self._on_read: Callable[[], None] = lambda: None

    def listen(self, on_read: Callable[[], None]) -> None:
        """Call `on_read` now and after each listing that is read."""
        self._on_read = on_read
        on_read()

    async def open(self) -> None:
        """Read all listings at the same time, for at most ten seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_PATIENCE), asyncio.TaskGroup() as group:
                for exchange in self.exchanges:
                    group.create_task(self._read(exchange))

    async def run(self) -> None:
        """Read the listings again and again; never returns."""
        async with asyncio.TaskGroup() as group:
            for exchange in self.exchanges:
                group.create_task(self._keep_up_to_date(exchange))

    async def _keep_up_to_date(self, exchange: ListedExchange) -> None:
        backoff, pauses = Backoff(_LONGEST_RETRY, self._retry, jitter=False), SuspensionPauses(self._spacing)
        while True:
            if exchange.name in self._up_to_date:
                await self._until_due(exchange, pauses)
                backoff = Backoff(_LONGEST_RETRY, self._retry, jitter=False)
            else:
                await backoff.pause()
            await self._read(exchange)

    async def _until_due(self, exchange: ListedExchange, pauses: SuspensionPauses) -> None:
        """Wait until the listing is doubted, or too old: an old one may have other suspended pairs than the venue."""
        waited = spacing = min(self._spacing, self._every)
        await asyncio.sleep(spacing)
        while waited < min(self._every, pauses.seconds(exchange.listing.suspended)):
            with suppress(TimeoutError):
                async with asyncio.timeout(spacing):
                    await exchange.listing_doubted.wait()
                    break
            waited += spacing
        pauses.end(exchange.listing.suspended)

    async def _read(self, exchange: ListedExchange) -> None:
        self._up_to_date.discard(exchange.name)
        if await exchange.read_listing() is None:
            self._up_to_date.add(exchange.name)
            self._on_read()
