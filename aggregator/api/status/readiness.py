"""Whether the service can serve prices, and every problem that it knows of."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from aggregator.api.routing.description import Json
from aggregator.api.status import exchange_status
from aggregator.api.status.partitions import LONGEST_WAIT, Partition, partitions_of
from aggregator.clock import SteadyClock
from aggregator.errors import StoreError
from aggregator.models import Tier
from aggregator.ports import ExchangeStatus, Lag, OutletStates, Store
from aggregator.prices.freshness import Freshness, TierFreshness
from aggregator.prices.tiers import Catalog
from aggregator.resilience.group_commit import GroupCommit
from aggregator.trades.ports import LiveTrades

T = TypeVar("T")

_PING_SECONDS = 1.0
_DEAD_LETTERS = "refused events are kept (`aggregator dead-letters list --kind outlets`)"


class ExchangeState(Struct, frozen=True):
    """The state of an exchange. Ages are in seconds, null before its first ticker.

    `quiet_for_seconds` is the rest of a cool-down that the exchange has asked for. The age of its newest ticker is by
    its own clock, negative if that is ahead. `push` is `live`, or why its feed has fallen back to polling; null for an
    exchange that is only polled. `rejected` is why its tickers are rejected and for how many assets, during the last
    seconds; null if they are accepted.
    """

    breaker: Literal["closed", "open", "half-open"]
    quiet_for_seconds: float
    last_ticker_seconds_ago: float | None
    newest_ticker_seconds_ago: float | None
    push: str | None
    rejected: str | None


class Readiness(Struct, frozen=True):
    """Whether the service can serve prices. `reasons` lists every problem, also those that clients do not notice.

    `invented_market` is true where an exchange is a mock exchange, as in the demo: its prices are made up.
    """

    ready: bool
    reasons: tuple[str, ...]
    stores: Annotated[dict[str, str], Meta(description="By name: `ok`, or the problem")]
    exchanges: Annotated[
        dict[str, ExchangeState],
        Meta(
            description="By name, as the refreshers see them; if they differ, the view of one that has a problem. Empty"
            " if unknown"
        ),
    ]
    tiers: dict[Tier, TierFreshness]
    jobs_behind_seconds: dict[Tier, float]
    partitions: Annotated[
        tuple[Partition, ...], Meta(description="Of a kafka:// log of trades, those that this process reads")
    ]
    outlets: Annotated[
        dict[str, str],
        Meta(
            description="Those that this process may send to, by name: `ok`, or why it is away or has ended. In the"
            " role `api`, those that the other processes on its Redis send to"
        ),
    ]
    invented_market: bool


READY: Json = {
    "ready": True,
    "reasons": ["cache: no answer within 1 s"],
    "stores": {"cache": "no answer within 1 s", "history": "ok"},
    "exchanges": {
        "exchange1": {
            "breaker": "closed",
            "quiet_for_seconds": 0.0,
            "last_ticker_seconds_ago": 0.2,
            "newest_ticker_seconds_ago": 0.3,
            "push": None,
            "rejected": None,
        }
    },
    "tiers": {Tier.HOT.value: {"assets": 20, "priced": 20, "p95_age": 4.8, "allowed_age": 15.0, "stale_after": 7.5}},
    "jobs_behind_seconds": {},
    "partitions": [],
    "outlets": {"desk": "ok"},
    "invented_market": False,
}
NOT_READY = READY | {
    "ready": False,
    "reasons": ["hot tier: 20 of 20 assets have no price yet"],
    "tiers": {Tier.HOT.value: {"assets": 20, "priced": 0, "p95_age": None, "allowed_age": 15.0, "stale_after": 7.5}},
}


class ReadinessCheck:
    """Looks at stores, exchanges, prices and trades. `trades` is None in a process that takes in none.

    Without `needs_prices`, the process is ready while trades can be read and stored; prices are none of its concern.
    `archive` returns why events are not archived in time; an empty text while they are.
    """

    def __init__(
        self,
        catalog: Catalog,
        stores: Mapping[str, Store],
        sinks: Sequence[GroupCommit],
        watch: ExchangeStatus,
        freshness: Freshness,
        lag: Lag | None,
        clock: SteadyClock,
        now: Callable[[], float],
        trades: LiveTrades | None,
        outlets: Callable[[], OutletStates] = OutletStates,
        *,
        needs_prices: bool = True,
        invented_market: bool = False,
        archive: Callable[[], str] = str,
    ) -> None:
        self._catalog = catalog
        self._stores = stores
        self._sinks = sinks
        self._watch = watch
        self._freshness = freshness
        self._lag = lag
        self._clock = clock
        self._now = now
        self._trades = trades
        self._outlets = outlets
        self._needs_prices = needs_prices
        self._invented_market = invented_market
        self._archive = archive

    async def look(self) -> Readiness:
        """Return the state now: ready while the prices of the hottest tier are fresh and history stores new ones.

        A failing cache is a reason, but the service stays ready: history answers instead, and a load balancer would
        take every replica out of service at once. So are a failing exchange, as the others still make prices, a failing
        store of trades, an outlet that is away or has ended, and events that outlets have refused.
        """
        (exchange_states, exchange_reasons), pings = await asyncio.gather(
            self._exchanges(), asyncio.gather(*(_in_time(store.ping()) for store in self._stores.values()))
        )
        trouble = "" if self._trades is None else self._trades.trouble
        stores = {name: problem for name, (_, problem) in zip(self._stores, pings, strict=True)}
        # A write that has just failed outweighs a ping that succeeds, for example when the disk is full.
        stores |= {sink.name: sink.failing for sink in self._sinks if sink.failing}
        tiers = self._freshness.by_tier(self._now())
        reasons = [f"clock: {problem}"] if (problem := self._clock.trouble) else []
        reasons += [f"{name}: {problem}" for name, problem in stores.items() if problem]
        lags = self._lag.by_tier if self._lag is not None else {}
        if self._needs_prices:
            reasons += [f"{tier} tier: {problem}" for tier, one in tiers.items() if (problem := one.trouble)]
            reasons += [
                f"{tier} tier: its jobs are {lag:.1f} s behind, more than an interval"
                for tier, lag in lags.items()
                if lag > self._catalog.cadence[tier].interval
            ]
            reasons += exchange_reasons
        if trouble:
            reasons.append(f"trades: {trouble}")
        partitions = partitions_of(self._trades)
        reasons += [
            f"trades: partition {one.partition} is {one.records} records behind, {one.seconds:.1f} s"
            for one in partitions
            if one.seconds > LONGEST_WAIT
        ]
        outlets = self._outlets()
        reasons += [f"outlet {name}: {problem}" for name, problem in outlets.problems.items() if problem]
        if outlets.dead_letters:
            reasons.append(f"outlets: {outlets.dead_letters} {_DEAD_LETTERS}")
        if behind := self._archive():
            reasons.append(f"archive: {behind}")
        ready = not trouble
        if self._needs_prices:
            ready = not stores["history"] and not next(iter(tiers.values())).trouble
        return Readiness(
            ready=ready,
            reasons=tuple(reasons),
            stores={name: problem or "ok" for name, problem in stores.items()},
            exchanges=msgspec.convert(exchange_states, dict[str, ExchangeState]),
            tiers=tiers,
            jobs_behind_seconds=dict(lags),
            partitions=partitions,
            outlets={name: problem or "ok" for name, problem in outlets.problems.items()},
            invented_market=self._invented_market,
        )

    async def _exchanges(self) -> tuple[Mapping[str, object], list[str]]:
        """Return the exchanges' states by name, and the reasons for `reasons`."""
        views, problem = await _in_time(self._watch.look())
        if views is None:
            return {}, [f"exchanges: not known: {problem}"]
        hottest = next(iter(self._freshness.by_tier(self._now())))
        return exchange_status.summary(views, self._now(), self._catalog.cadence[hottest].max_age)


async def _in_time(work: Awaitable[T]) -> tuple[T | None, str]:
    """Return the store's response and no problem, or None and the problem: an error, or no response in time."""
    try:
        async with asyncio.timeout(_PING_SECONDS):
            return await work, ""
    except StoreError as error:
        return None, str(error)
    except TimeoutError:
        return None, f"no answer within {_PING_SECONDS:g} s"
