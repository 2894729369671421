"""Refreshes asked for by a process that has no exchanges, done by one that has: a stream of requests, and answers.

RemoteRefresh -> `<prefix>refreshes` (one consumer group) -> RefreshRequests -> published to who has asked
"""

import asyncio
import uuid
from contextlib import suppress

import msgspec
import structlog

from aggregator.cluster.consumer_group import Entry, Group
from aggregator.cluster.price_feed import RedisPriceFeed
from aggregator.errors import StoreUnavailable
from aggregator.models import Asset, LeftOut, NoPrice, Price, Reason, encode
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.ports import Refresh, Trigger
from aggregator.prices.tiers import Catalog
from aggregator.resilience.backoff import Backoff
from aggregator.resilience.single_flight import SingleFlight
from aggregator.stores.redis.client import RedisClient, mapped

_MOST_WAITING = 1000
_AT_ONCE = 32
_LONGEST_PAUSE = 1.0  # seconds between attempts to reach Redis, while somebody may be waiting for an answer


class _Outcome(msgspec.Struct):
    """An answer: one of the two."""

    price: Price | None = None
    no_price: NoPrice | None = None


_decoder = msgspec.json.Decoder(_Outcome)


class RemoteRefresh:
    """`aggregator.ports.Refresh` by a refresher somewhere; if none answers within `patience` seconds: no price."""

    def __init__(self, client: RedisClient, feed: RedisPriceFeed, patience: float, tracer: Tracer = UNTRACED) -> None:
        self._redis = client.redis
        self._tracer = tracer
        self._stream = f"{client.prefix}refreshes"
        self._channel = client.channel(f"outcomes:{uuid.uuid4()}")
        self._patience = patience
        self._flights: SingleFlight[str, Price | NoPrice] = SingleFlight()
        self._waiting: dict[str, asyncio.Future[Price | NoPrice]] = {}
        feed.subscribe(self._channel, self._receive)

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Ask, and wait for the answer; callers at the same moment share one question."""
        return await self._flights.do(asset.symbol, lambda: self._asked(asset, trigger))

    async def _asked(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        waiting: asyncio.Future[Price | NoPrice] = asyncio.get_running_loop().create_future()
        self._waiting[asset.symbol] = waiting
        try:
            async with asyncio.timeout(self._patience):
                await self._ask(asset, trigger)
                return await waiting
        except StoreUnavailable as error:
            return _nobody(asset, str(error))
        except TimeoutError:
            return _nobody(asset, f"no refresher has answered within {self._patience:g} s")
        finally:
            del self._waiting[asset.symbol]

    def _settle(self, outcome: Price | NoPrice) -> None:
        """Give the outcome to who waits for it; one that nobody waits for any more goes nowhere."""
        waiting = self._waiting.get(outcome.asset)
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)

    async def _ask(self, asset: Asset, trigger: Trigger) -> None:
        request = {"symbol": asset.symbol, "trigger": trigger, "reply": self._channel} | self._tracer.headers()
        with mapped():
            await self._redis.xadd(self._stream, dict(request.items()), maxlen=_MOST_WAITING)

    def _receive(self, data: bytes) -> None:
        said = _decoder.decode(data)
        outcome = said.price or said.no_price
        if outcome is not None:
            self._settle(outcome)


class RefreshRequests:
    """Does what RemoteRefresh asks for. What has waited for more than `patience` seconds, nobody waits for any more."""

    def __init__(
        self,
        client: RedisClient,
        catalog: Catalog,
        refresher: Refresh,
        name: str,
        patience: float,
        tracer: Tracer = UNTRACED,
    ) -> None:
        self._redis = client.redis
        self._group = Group(client, f"{client.prefix}refreshes", name)
        self._catalog = catalog
        self._refresher = refresher
        self._patience = patience
        self._tracer = tracer
        self._log = structlog.get_logger().bind(store="redis")

    async def run(self) -> None:
        """Answer requests, several at a time; never returns."""
        with suppress(StoreUnavailable), mapped():
            await self._group.forget_the_gone()
        slots = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while True:
                await slots.acquire()
                request = await self._next()
                group.create_task(self._answer(request)).add_done_callback(lambda _: slots.release())

    async def _next(self) -> Entry:
        """Wait for a request that somebody still waits for."""
        backoff = Backoff(_LONGEST_PAUSE)
        while True:
            try:
                with mapped():
                    request = await self._group.read(acknowledged=True)
                    if request is not None and await self._age(request) <= self._patience:
                        return request
            except StoreUnavailable:
                await backoff.pause()
            else:
                backoff = Backoff(_LONGEST_PAUSE)

    async def _age(self, request: Entry) -> float:
        """Return the seconds since it was asked, both times by Redis' clock."""
        seconds, micros = await self._redis.time()
        return seconds + micros / 1e6 - request.time

    async def _answer(self, request: Entry) -> None:
        asset = self._catalog.find(request.fields.get("symbol", ""))
        if asset is None:  # listed there, but not here
            return
        trigger: Trigger = "manual" if request.fields.get("trigger") == "manual" else "force"
        with self._tracer.span("refresh asked for", {"aggregator.asset": asset.symbol}, "server", request.fields):
            outcome = await self._refresher.refresh(asset, trigger)
        said = _Outcome(price=outcome) if isinstance(outcome, Price) else _Outcome(no_price=outcome)
        try:
            with mapped():
                await self._redis.publish(request.fields.get("reply", ""), encode(said))
        except StoreUnavailable as error:
            self._log.warning("refresh_not_answered", asset=asset.symbol, error=str(error))


def _nobody(asset: Asset, why: str) -> NoPrice:
    return NoPrice(asset.symbol, (LeftOut("refreshers", Reason.UNREACHABLE, why),))
