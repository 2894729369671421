"""GET /assets, /health, /ready and /metrics: the state of the service."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.responses import Response as HttpResponse

from aggregator.api import exchange_status
from aggregator.api.description import Json, Response, json, text
from aggregator.api.responses import NO_STORE as NO_STORE_HEADER
from aggregator.api.responses import Refusal, answer
from aggregator.api.route import Route, routes_of
from aggregator.api.shared_descriptions import NO_STORE, Count, Symbol
from aggregator.clock import SteadyClock
from aggregator.errors import StoreError
from aggregator.models import Asset, Tier
from aggregator.observability.metrics import CONTENT_TYPE, Metrics
from aggregator.ports import ExchangeStatus, Lag, Store
from aggregator.prices.freshness import Freshness, TierFreshness, VenueCoverage
from aggregator.prices.tiers import Catalog
from aggregator.resilience.group_commit import GroupCommit

T = TypeVar("T")

_PING_SECONDS = 1.0


class ListedAsset(Struct, frozen=True):
    """A listed asset. `rank` is its row in the symbols file, from 1; base and quote are empty if the file has none.

    `venues` is the number of exchanges known to trade it, `too_few_venues` whether these are too few to make a price.
    Both are absent until a refresher has reported them.
    """

    symbol: Symbol
    base: str
    quote: str
    tier: Tier
    rank: Count
    venues: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    too_few_venues: bool | UnsetType = UNSET


class AssetList(Struct, frozen=True):
    """Every listed asset, hottest tier first."""

    assets: tuple[ListedAsset, ...]


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
    """Whether the service can serve prices. `reasons` lists every problem, also those that clients do not notice."""

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


_ASSET: Json = {
    "symbol": "btcusdt",
    "base": "btc",
    "quote": "usdt",
    "tier": Tier.HOT.value,
    "rank": 1,
    "venues": 3,
    "too_few_venues": False,
}
_READY: Json = {
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
}
_NOT_READY = _READY | {
    "ready": False,
    "reasons": ["hot tier: 20 of 20 assets have no price yet"],
    "tiers": {Tier.HOT.value: {"assets": 20, "priced": 0, "p95_age": None, "allowed_age": 15.0, "stale_after": 7.5}},
}


class OpsRoutes:
    """The routes for the state of the service."""

    def __init__(
        self,
        catalog: Catalog,
        stores: Mapping[str, Store],
        sinks: Sequence[GroupCommit],
        watch: ExchangeStatus,
        coverage: VenueCoverage,
        freshness: Freshness,
        lag: Lag | None,
        metrics: Metrics,
        now: Callable[[], float] | None = None,
        clock: SteadyClock | None = None,
    ) -> None:
        self._stores = stores
        self._sinks = sinks
        self._watch = watch
        self._coverage = coverage
        self._freshness = freshness
        self._lag = lag
        self._metrics = metrics
        self._clock = clock or SteadyClock()
        self._now = now or self._clock.now
        self._catalog = catalog

    def routes(self) -> list[Route]:
        """Return the routes."""
        return routes_of(self)

    @Route(
        "GET",
        "/assets",
        label="/assets",
        operation_id="getAssets",
        tag="service",
        summary="Every listed asset with its tier, rank and number of exchanges",
        responses={
            200: Response("The assets, hottest tier first", (json(AssetList, {"assets": [_ASSET]}),), (NO_STORE,))
        },
        is_compressed=True,
    )
    async def assets(self, _: Request) -> HttpResponse:
        """Return every listed asset."""
        return answer({"assets": [self._listed(asset) for asset in self._catalog.assets.values()]})

    def _listed(self, asset: Asset) -> dict[str, object]:
        entry = msgspec.structs.asdict(asset)
        venues = self._coverage.venues.get(asset.symbol)
        return entry if venues is None else entry | {"venues": venues, "too_few_venues": venues < self._coverage.need}

    @Route(
        "GET",
        "/health",
        label="/health",
        operation_id="getHealth",
        tag="service",
        summary="Whether the process is alive",
        responses={200: Response("The process is alive", (text("text/plain", "OK"),), (NO_STORE,))},
        access="open",
        is_probe=True,
    )
    async def health(self, _: Request) -> HttpResponse:
        """Return 200: a process that is not alive gives no response."""
        return PlainTextResponse("OK", headers=NO_STORE_HEADER)

    @Route(
        "GET",
        "/metrics",
        label="/metrics",
        operation_id="getMetrics",
        tag="service",
        summary="Metrics for Prometheus",
        responses={
            200: Response(
                "Prometheus text format 0.0.4", (text("text/plain", "price_cache_hits_total 12.0\n"),), (NO_STORE,)
            )
        },
        access="open",
        is_probe=True,
    )
    async def metrics(self, _: Request) -> HttpResponse:
        """Return the metrics in Prometheus' text format."""
        return HttpResponse(self._metrics.text(), headers=NO_STORE_HEADER, media_type=CONTENT_TYPE)

    @Route(
        "GET",
        "/ready",
        label="/ready",
        operation_id="getReadiness",
        tag="service",
        summary="Whether the service can serve prices",
        responses={
            200: Response(
                "The prices of the hottest tier are fresh, and history stores new prices. `reasons` lists other"
                " problems",
                (json(Readiness, _READY),),
                (NO_STORE,),
            ),
            503: Response(
                "They are not, for the given reasons; or the service is at its limit of concurrent requests",
                (json((Readiness, Refusal), _NOT_READY),),
                (NO_STORE,),
            ),
        },
        access="open",
        is_probe=True,
    )
    async def ready(self, _: Request) -> HttpResponse:
        """Return 200 while the prices of the hottest tier are fresh and history stores new ones, else 503.

        A failing cache is a reason but no 503: history answers instead, and a load balancer would take every replica
        out of service at once. A failing exchange is no 503 either: the other exchanges still make prices.
        """
        (exchange_states, exchange_reasons), pings = await asyncio.gather(
            self._exchanges(), asyncio.gather(*(_in_time(store.ping()) for store in self._stores.values()))
        )
        stores = {name: problem for name, (_, problem) in zip(self._stores, pings, strict=True)}
        # A write that has just failed outweighs a ping that succeeds, for example when the disk is full.
        stores |= {sink.name: sink.failing for sink in self._sinks if sink.failing}
        tiers = self._freshness.by_tier(self._now())
        reasons = [f"clock: {problem}"] if (problem := self._clock.trouble) else []
        reasons += [f"{name}: {problem}" for name, problem in stores.items() if problem]
        reasons += [f"{tier} tier: {problem}" for tier, one in tiers.items() if (problem := one.trouble)]
        lags = self._lag.by_tier if self._lag is not None else {}
        reasons += [
            f"{tier} tier: its jobs are {lag:.1f} s behind, more than an interval"
            for tier, lag in lags.items()
            if lag > self._catalog.cadence[tier].interval
        ]
        reasons += exchange_reasons
        ready = not stores["history"] and not next(iter(tiers.values())).trouble
        body = {
            "ready": ready,
            "reasons": reasons,
            "stores": {name: problem or "ok" for name, problem in stores.items()},
            "exchanges": exchange_states,
            "tiers": tiers,
            "jobs_behind_seconds": lags,
        }
        return answer(body, 200 if ready else 503)

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
