"""The service about itself: is it alive, is it of use, what does it know, what has it counted."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from aggregator.api import exchanges
from aggregator.api.responses import COMPRESSED, NO_STORE, answer
from aggregator.clock import SteadyClock
from aggregator.errors import StoreError
from aggregator.models import Asset
from aggregator.observability.metrics import CONTENT_TYPE, Metrics
from aggregator.ports import ExchangeStatus, Lag, Store
from aggregator.prices.freshness import Freshness, VenueCoverage
from aggregator.prices.tiers import Catalog
from aggregator.resilience.group_commit import GroupCommit

T = TypeVar("T")

_PING_SECONDS = 1.0


class OpsRoutes:
    """The routes about the service."""

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
        return [
            Route("/assets", self.assets, middleware=COMPRESSED),
            Route("/health", self.health),
            Route("/ready", self.ready),
            Route("/metrics", self.metrics),
        ]

    async def assets(self, _: Request) -> Response:
        """GET /assets: every listed asset, its two sides where the symbols file tells them, its tier and rank.

        And at how many exchanges it is traded, once that is known.
        """
        return answer({"assets": [self._listed(asset) for asset in self._catalog.assets.values()]})

    def _listed(self, asset: Asset) -> dict[str, object]:
        shown = msgspec.structs.asdict(asset)
        venues = self._coverage.venues.get(asset.symbol)
        return shown if venues is None else shown | {"venues": venues, "too_few_venues": venues < self._coverage.need}

    async def health(self, _: Request) -> Response:
        """GET /health: 200 while the process lives."""
        return PlainTextResponse("OK", headers=NO_STORE)

    async def metrics(self, _: Request) -> Response:
        """GET /metrics: Prometheus' text format."""
        return Response(self._metrics.text(), headers=NO_STORE, media_type=CONTENT_TYPE)

    async def ready(self, _: Request) -> Response:
        """GET /ready: 200 while the hottest prices are fresh and history takes new ones, else 503; troubles in both.

        A cache that is away is told and is no 503: readers are served from history, and taking every replica out of
        service at once for it would make a small trouble a large one. Nor is an exchange, as the others make prices.
        """
        (shown, troubles), pings = await asyncio.gather(
            self._exchanges(), asyncio.gather(*(_in_time(store.ping()) for store in self._stores.values()))
        )
        stores = {name: trouble for name, (_, trouble) in zip(self._stores, pings, strict=True)}
        # A write that has just failed says more than a ping that succeeds, as on a full disk.
        stores |= {sink.name: sink.failing for sink in self._sinks if sink.failing}
        tiers = self._freshness.by_tier(self._now())
        reasons = [f"clock: {trouble}"] if (trouble := self._clock.trouble) else []
        reasons += [f"{name}: {trouble}" for name, trouble in stores.items() if trouble]
        reasons += [f"{tier} tier: {trouble}" for tier, one in tiers.items() if (trouble := one.trouble)]
        lags = self._lag.by_tier if self._lag is not None else {}
        reasons += [
            f"{tier} tier: its jobs are {lag:.1f} s behind, more than an interval"
            for tier, lag in lags.items()
            if lag > self._catalog.cadence[tier].interval
        ]
        reasons += troubles
        ready = not stores["history"] and not next(iter(tiers.values())).trouble
        body = {
            "ready": ready,
            "reasons": reasons,
            "stores": {name: trouble or "ok" for name, trouble in stores.items()},
            "exchanges": shown,
            "tiers": tiers,
            "jobs_behind_seconds": lags,
        }
        return answer(body, 200 if ready else 503)

    async def _exchanges(self) -> tuple[Mapping[str, object], list[str]]:
        """Return the exchanges' states by name, and what is wrong with them, or why that is not known."""
        views, trouble = await _in_time(self._watch.look())
        if views is None:
            return {}, [f"exchanges: not known: {trouble}"]
        hottest = next(iter(self._freshness.by_tier(self._now())))
        return exchanges.told(views, self._now(), self._catalog.cadence[hottest].max_age)


async def _in_time(work: Awaitable[T]) -> tuple[T | None, str]:
    """Return what the store says, or what is wrong with it; one that does not answer in time counts as away."""
    try:
        async with asyncio.timeout(_PING_SECONDS):
            return await work, ""
    except StoreError as error:
        return None, str(error)
    except TimeoutError:
        return None, f"no answer within {_PING_SECONDS:g} s"
