"""A stream of events for programs without an event loop."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from types import TracebackType
from typing import Self

import httpx2

from rt_price_aggregator_client.errors import AggregatorError, ConnectionFailed, Refused, refusal_of
from rt_price_aggregator_client.events import StreamEvent
from rt_price_aggregator_client.stream_session import StreamSession
from rt_price_aggregator_client.transport import failure_of


class Stream(Iterator[StreamEvent]):
    """Iterates over events for as long as you like, over lost connections. `close`, or `with`, ends it."""

    def __init__(self, http: httpx2.Client, session: StreamSession, timeout: httpx2.Timeout) -> None:
        self._http = http
        self._session = session
        self._timeout = timeout
        self._events = self._over_connections()

    @property
    def last_event_id(self) -> str | None:
        """The id of the last event, with which another stream can be resumed later."""
        return self._session.last_event_id

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> StreamEvent:
        return next(self._events)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream and its connection."""
        self._events.close()

    def _over_connections(self) -> Generator[StreamEvent, None, None]:
        while True:
            failure: AggregatorError = ConnectionFailed("the service ended the connection")
            try:
                with closing(self._connection()) as events:
                    yield from events
            except httpx2.RequestError as error:
                failure = failure_of(error)
            except Refused as refusal:
                failure = refusal
            time.sleep(self._session.lost(failure))

    def _connection(self) -> Generator[StreamEvent, None, None]:
        query, headers = self._session.parameters, self._session.headers()
        with self._http.stream("GET", "/stream", params=query, headers=headers, timeout=self._timeout) as response:
            if not response.is_success:
                raise refusal_of(response.status_code, response.headers, response.read())
            for part in response.iter_bytes():
                yield from self._session.feed(part)
