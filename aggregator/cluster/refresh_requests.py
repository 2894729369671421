"""Refresh requests from a process without exchanges to a refresher: a stream of requests, and a channel for outcomes.

RemoteRefresh -> stream `<prefix>refreshes`, one consumer group -> RefreshRequests
RemoteRefresh <- channel `<prefix>outcomes:<uuid>`, named in the request <- RefreshRequests
"""

import asyncio
import uuid
from contextlib import suppress

import msgspec
import structlog

from aggregator.cluster.consumer_group import Entry, Group
from aggregator.cluster.topic_feed import RedisFeed
from aggregator.errors import StoreUnavailable
from aggregator.models import Asset, LeftOut, NoPrice, Price, Reason, encode
from aggregator.observability.tracing import UNTRACED, Tracer
from aggregator.ports import Refresh, Trigger
from aggregator.prices.tiers import Catalog
from aggregator.resilience.backoff import Backoff
from aggregator.resilience.single_flight import SingleFlight
from aggregator.stores.redis.client import RedisClient, mapped

_MAX_REQUESTS = 1000  # in the stream; older ones are trimmed
_CONCURRENCY = 32  # requests that a refresher answers at a time
_LONGEST_PAUSE = 1.0  # seconds between attempts to reach Redis; clients may be waiting


class _Outcome(msgspec.Struct):
    """The outcome on the channel: one of the two."""

    price: Price | None = None
    no_price: NoPrice | None = None


_decoder = msgspec.json.Decoder(_Outcome)


class RemoteRefresh:
    """`aggregator.ports.Refresh` by another process. No outcome within `patience` seconds is a NoPrice."""

    def __init__(self, client: RedisClient, feed: RedisFeed, patience: float, tracer: Tracer = UNTRACED) -> None:
        self._redis = client.redis
        self._tracer = tracer
        self._stream = f"{client.prefix}refreshes"
        self._channel = client.channel(f"outcomes:{uuid.uuid4()}")
        self._patience = patience
        self._flights: SingleFlight[str, Price | NoPrice] = SingleFlight()
        self._waiting: dict[str, asyncio.Future[Price | NoPrice]] = {}
        feed.subscribe(self._channel, self._receive)

    async def refresh(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        """Request a refresh and return its outcome; concurrent callers share one request."""
        return await self._flights.do(asset.symbol, lambda: self._request(asset, trigger))

    async def _request(self, asset: Asset, trigger: Trigger) -> Price | NoPrice:
        waiting: asyncio.Future[Price | NoPrice] = asyncio.get_running_loop().create_future()
        self._waiting[asset.symbol] = waiting
        try:
            async with asyncio.timeout(self._patience):
                await self._send(asset, trigger)
                return await waiting
        except StoreUnavailable as error:
            return _no_refresher(asset, str(error))
        except TimeoutError:
            return _no_refresher(asset, f"no refresher has answered within {self._patience:g} s")
        finally:
            del self._waiting[asset.symbol]

    def _settle(self, outcome: Price | NoPrice) -> None:
        """Pass the outcome to the call that waits for it, if one still does."""
        waiting = self._waiting.get(outcome.asset)
        if waiting is not None and not waiting.done():
            waiting.set_result(outcome)

    async def _send(self, asset: Asset, trigger: Trigger) -> None:
        request = {"symbol": asset.symbol, "trigger": trigger, "reply": self._channel} | self._tracer.headers()
        with mapped():
            await self._redis.xadd(self._stream, dict(request.items()), maxlen=_MAX_REQUESTS)

    def _receive(self, data: bytes) -> None:
        message = _decoder.decode(data)
        outcome = message.price or message.no_price
        if outcome is not None:
            self._settle(outcome)


class RefreshRequests:
    """Answers the requests of RemoteRefresh. Skips requests older than `patience` seconds: nothing waits for them."""

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
        """Answer requests, at most 32 at a time; never returns."""
        with suppress(StoreUnavailable), mapped():
            await self._group.forget_the_gone()
        slots = asyncio.Semaphore(_CONCURRENCY)
        async with asyncio.TaskGroup() as group:
            while True:
                await slots.acquire()
                request = await self._next()
                group.create_task(self._answer(request)).add_done_callback(lambda _: slots.release())

    async def _next(self) -> Entry:
        """Wait for a request that is not too old."""
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
        """Return the age of the request in seconds, by Redis' clock."""
        seconds, micros = await self._redis.time()
        return seconds + micros / 1e6 - request.time

    async def _answer(self, request: Entry) -> None:
        asset = self._catalog.find(request.fields.get("symbol", ""))
        if asset is None:  # in the other process' symbols file, not in ours
            return
        trigger: Trigger = "manual" if request.fields.get("trigger") == "manual" else "force"
        with self._tracer.span("refresh asked for", {"aggregator.asset": asset.symbol}, "server", request.fields):
            outcome = await self._refresher.refresh(asset, trigger)
        message = _Outcome(price=outcome) if isinstance(outcome, Price) else _Outcome(no_price=outcome)
        try:
            with mapped():
                await self._redis.publish(request.fields.get("reply", ""), encode(message))
        except StoreUnavailable as error:
            self._log.warning("refresh_not_answered", asset=asset.symbol, error=str(error))


def _no_refresher(asset: Asset, why: str) -> NoPrice:
    return NoPrice(asset.symbol, (LeftOut("refreshers", Reason.UNREACHABLE, why),))
