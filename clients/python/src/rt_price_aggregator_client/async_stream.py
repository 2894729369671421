"""A stream of events for programs with an event loop."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import TracebackType
from typing import Self

import httpx2

from rt_price_aggregator_client.errors import AggregatorError, ConnectionFailed, Refused, refusal_of
from rt_price_aggregator_client.events import StreamEvent
from rt_price_aggregator_client.stream_session import StreamSession
from rt_price_aggregator_client.transport import failure_of


class AsyncStream(AsyncIterator[StreamEvent]):
    """Iterates over events as Stream does. `aclose`, or `async with`, ends it."""

    def __init__(self, http: httpx2.AsyncClient, session: StreamSession, timeout: httpx2.Timeout) -> None:
        self._http = http
        self._session = session
        self._timeout = timeout
        self._events = self._over_connections()

    @property
    def last_event_id(self) -> str | None:
        """The id of the last event, with which another stream can be resumed later."""
        return self._session.last_event_id

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamEvent:
        return await anext(self._events)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream and its connection."""
        await self._events.aclose()

    async def _over_connections(self) -> AsyncGenerator[StreamEvent, None]:
        while True:
            failure: AggregatorError = ConnectionFailed("the service ended the connection")
            try:
                async with aclosing(self._connection()) as events:
                    async for event in events:
                        yield event
            except httpx2.RequestError as error:
                failure = failure_of(error)
            except Refused as refusal:
                failure = refusal
            await asyncio.sleep(self._session.lost(failure))

    async def _connection(self) -> AsyncGenerator[StreamEvent, None]:
        query, headers = self._session.parameters, self._session.headers()
        opened = self._http.stream("GET", "/stream", params=query, headers=headers, timeout=self._timeout)
        async with opened as response:
            if not response.is_success:
                raise refusal_of(response.status_code, response.headers, await response.aread())
            async for part in response.aiter_bytes():
                for event in self._session.feed(part):
                    yield event
