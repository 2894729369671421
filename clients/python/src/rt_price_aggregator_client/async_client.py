"""The client for programs with an event loop."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from types import TracebackType
from typing import Self, TypeVar

import httpx2

from rt_price_aggregator_client import transport
from rt_price_aggregator_client.api import Api
from rt_price_aggregator_client.async_stream import AsyncStream
from rt_price_aggregator_client.call import AsyncSender
from rt_price_aggregator_client.errors import AggregatorError
from rt_price_aggregator_client.ingest import Batches, NewTrade, Total
from rt_price_aggregator_client.models import Ingested
from rt_price_aggregator_client.request import Answer, Request
from rt_price_aggregator_client.retries import Retries
from rt_price_aggregator_client.stream_call import AsyncStreamer
from rt_price_aggregator_client.stream_session import StreamOptions, StreamSession

T = TypeVar("T")


class AsyncClient(AsyncSender, AsyncStreamer, Api):
    """A client of the service at `url`, with the methods of Client as coroutines and asynchronous iterators.

    `timeout` is in seconds, for connecting and for each part of an answer. `retries` sets which failures are tried
    again. `http_transport` is one of httpx2, for a proxy or TLS of your own.
    """

    def __init__(
        self,
        url: str = "http://localhost:8080",
        *,
        api_key: str | None = None,
        timeout: float = 15.0,
        retries: Retries | None = None,
        http_transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._timeout = timeout
        self._retries = retries or Retries()
        self._http = httpx2.AsyncClient(**transport.settings(url, api_key, timeout), transport=http_transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ingest(self, trades: NewTrade | Iterable[NewTrade] | AsyncIterable[NewTrade]) -> Ingested:
        """Store trades as `Client.ingest` does; they may come from an asynchronous iterator."""
        total, batches = Total(), Batches()
        async for trade in _each(trades):
            await self._add(total, batches.add(trade))
        await self._add(total, batches.rest())
        return total.result()

    async def send(self, request: Request[T]) -> T:
        """Send a request, again where that helps; return what it reads from the answer."""
        attempt = 1
        while True:
            try:
                return request.read(await self._answer(request))
            except AggregatorError as failure:
                wait = self._retries.wait(failure, attempt, repeatable=request.repeatable)
                if wait is None:
                    raise
            await asyncio.sleep(wait)
            attempt += 1

    def open_stream(self, options: StreamOptions) -> AsyncStream:
        """Return a stream with these options; `stream` does the same with words."""
        timeout = transport.stream_timeout(self._timeout, options.heartbeat_timeout)
        return AsyncStream(self._http, StreamSession(options, self._retries.attempts), timeout)

    async def _add(self, total: Total, batches: Iterable[Request[Ingested]]) -> None:
        for request in batches:
            try:
                total.add(await self.send(request))
            except AggregatorError as error:
                total.note(error)
                raise

    async def _answer(self, request: Request[T]) -> Answer:
        try:
            response = await self._http.request(**transport.arguments(request))
        except httpx2.RequestError as error:
            raise transport.failure_of(error) from error
        return Answer(response.status_code, response.headers, response.content)


async def _each(trades: NewTrade | Iterable[NewTrade] | AsyncIterable[NewTrade]) -> AsyncIterator[NewTrade]:
    if isinstance(trades, NewTrade):
        yield trades
    elif isinstance(trades, AsyncIterable):
        async for trade in trades:
            yield trade
    else:
        for trade in trades:
            yield trade
